/**
 * Why a node that holds weights is not a layer: operators that are not quantized, operators of other domains, and functions of
 * the model with layers inside.
 */
import type { ModelProto, NodeProto } from 'onnx-buf'
import type { GraphIndex } from './graph.js'
import { isDefaultDomain } from './model.js'
import { subgraphs } from './subgraphs.js'
import { isFloatType } from './tensor.js'
import { isLayerOp } from './weightView.js'

/** Operators with trained weights that are not quantized. */
const UNTREATED: ReadonlyMap<string, string> = new Map([
  ['ConvTranspose', 'a transposed convolution is not quantized'],
  ['DeformConv', 'a deformable convolution is not quantized'],
  ['QLinearConv', 'it is quantized already'],
  ['QLinearMatMul', 'it is quantized already'],
  ['ConvInteger', 'it is quantized already'],
  ['MatMulInteger', 'it is quantized already'],
  ['MatMulNBits', 'it is quantized already'],
])

/** Why a node with weights is not a layer; undefined for a node without weights. */
export function whyUntreated(graph: GraphIndex, index: number): string | undefined {
  const node = graph.nodes[index]!
  const reason = UNTREATED.get(node.opType)
  if (reason !== undefined) return reason
  if (functionsWithLayers(graph.model).has(keyOf(node.domain, node.opType)))
    return 'it calls a function of the model that has layers inside'
  if (graph.isConstantNode(index)) return undefined
  if (!isDefaultDomain(node.domain))
    return node.input.some((tensor) => isMatrix(graph, tensor))
      ? `${node.domain}.${node.opType} is not quantized`
      : undefined
  if (node.opType === 'Gather' && isTable(graph, node.input[0] ?? '')) return 'an embedding table stays float'
  if (node.opType === 'Einsum' && node.input.some((name) => graph.isConstant(name)))
    return 'Einsum is not quantized'
  return undefined
}

function isTable(graph: GraphIndex, tensor: string): boolean {
  const table = graph.constant(tensor)
  return table !== undefined && isFloatType(table.dataType) && table.dims.length === 2
}

function isMatrix(graph: GraphIndex, tensor: string): boolean {
  const stored = graph.constant(tensor)
  return stored !== undefined && isFloatType(stored.dataType) && stored.dims.length >= 2
}

const known = new WeakMap<ModelProto, ReadonlySet<string>>()

/** Functions of the model with a layer inside, or with a call of such a function. */
function functionsWithLayers(model: ModelProto): ReadonlySet<string> {
  let found = known.get(model)
  if (found === undefined) {
    found = findFunctions(model)
    known.set(model, found)
  }
  return found
}

function findFunctions({ functions }: ModelProto): ReadonlySet<string> {
  const callers = new Map<string, string[]>()
  const found = new Set<string>()
  const open: string[] = []
  const visit = (nodes: readonly NodeProto[], caller: string) => {
    for (const node of nodes) {
      if (isLayerOp(node)) open.push(caller)
      const called = keyOf(node.domain, node.opType)
      const list = callers.get(called)
      if (list === undefined) callers.set(called, [caller])
      else list.push(caller)
      for (const body of subgraphs(node)) visit(body.node, caller)
    }
  }
  for (const { name, domain, node } of functions) visit(node, keyOf(domain, name))
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    if (found.has(key)) continue
    found.add(key)
    for (const caller of callers.get(key) ?? []) open.push(caller)
  }
  return found
}

const keyOf = (domain: string, name: string): string => JSON.stringify([domain, name])
