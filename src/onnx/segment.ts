/**
 * A part of a model as a model of its own, for the calibration streams: some nodes, the constants that they need, and
 * tensors of the graph as inputs and outputs. Layers can be given other weights. Only the layer's nodes read them; other
 * readers of the same initializer (the Gather of an embedding, for example) keep the original.
 *
 * Opsets, functions and the IR version stay. Inputs and outputs are declared without shapes: batch sizes vary, and ONNX
 * Runtime infers the rest.
 */
import { create } from '@bufbuild/protobuf'
import {
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { rangeError, typeError } from '../checks.js'
import { type GraphIndex, indexGraph } from './graph.js'
import { findLayers, viewsOf } from './layers.js'
import { encodeModel, graphOf, shallowCopy } from './model.js'
import { makeFloats } from './tensor.js'
import { toNodeLayout } from './weightView.js'

/** A tensor that is fed to the segment. */
export interface SegmentInput {
  readonly name: string
  /** ONNX element type, see ELEM_TYPES. */
  readonly elemType: number
}

/** The name under which a layer reads its input rounded to 8 bits, where the other readers of that tensor do not. */
export const roundedName = (tensor: string): string => `${tensor}:rounded`

/** What layers of a segment have instead of their own. */
export interface LayerChanges {
  /** Layer name → values (groups, inputs, neurons). */
  readonly weights?: ReadonlyMap<string, Float32Array>
  /** Layers of `weights` whose nodes read their input under roundedName. */
  readonly rounded?: ReadonlySet<string>
}

/**
 * Bytes of a model that computes `outputs` from `inputs`. Of `nodes` it takes those that it needs. Constant tensors are
 * computed inside, also if their nodes are not listed.
 * @throws {TypeError} for a tensor that neither the inputs nor the nodes give, or for weights of an unknown layer
 * @throws {RangeError} for weights of another size
 */
export function extractSegment(
  model: ModelProto,
  nodes: readonly number[],
  inputs: readonly SegmentInput[],
  outputs: readonly string[],
  changes: LayerChanges = {},
): Uint8Array {
  const graph = indexGraph(model)
  const { rewired, replaced } = withWeights(graph, new Set(nodes), changes)
  const given = new Set(inputs.map(({ name }) => name))
  const { taken, read } = closure(graph, new Set(nodes), given, outputs, rewired)

  const copy = shallowCopy(model)
  copy.graph = create(GraphProtoSchema, {
    name: graphOf(model).name || 'segment',
    node: graph.order
      .filter((node) => taken.has(node))
      .map((node) => rewired.get(node) ?? graph.nodes[node]!),
    initializer: [...graphOf(model).initializer, ...replaced].filter(({ name }) => read.has(name)),
    sparseInitializer: graphOf(model).sparseInitializer.filter(({ values }) => read.has(values?.name ?? '')),
    input: inputs.filter(({ name }) => read.has(name)).map(({ name, elemType }) => valueInfo(name, elemType)),
    output: outputs.map((name) => {
      const passed = inputs.find((input) => input.name === name)
      return valueInfo(name, passed?.elemType)
    }),
  })
  copy.trainingInfo = []
  return encodeModel(copy)
}

/** Copies of the nodes of layers with other weights, and the initializers that they read. */
function withWeights(
  graph: GraphIndex,
  nodes: ReadonlySet<number>,
  { weights = new Map(), rounded = new Set() }: LayerChanges,
): { rewired: Map<number, NodeProto>; replaced: TensorProto[] } {
  const rewired = new Map<number, NodeProto>()
  const replaced = new Map<string, TensorProto>()
  if (weights.size === 0) return { rewired, replaced: [] }
  const layers = new Map(findLayers(graph).layers.map((layer) => [layer.name, layer]))
  for (const [name, values] of weights) {
    const layer = layers.get(name)
    if (layer === undefined)
      throw typeError({ place: 'weights', expected: 'names of layers', got: `'${name}'` })
    const expected = layer.groups * layer.inputs * layer.neurons
    if (values.length !== expected)
      throw rangeError(`weights of '${name}'`, `${expected} values`, values.length)
    for (const view of viewsOf(graph, layer)) {
      if (!nodes.has(view.node)) continue
      const tensor = `${view.tensor}:${name}:quantized`
      if (!replaced.has(tensor)) {
        const atNode = toNodeLayout(view, values, new Float32Array(values.length))
        replaced.set(tensor, makeFloats(tensor, view.chain.elemType, view.chain.dims, atNode))
      }
      const node = shallowCopy(graph.nodes[view.node]!)
      node.input = node.input.with(view.operand, tensor)
      if (rounded.has(name)) node.input = node.input.with(1 - view.operand, roundedName(view.input))
      rewired.set(view.node, node)
    }
  }
  return { rewired, replaced: [...replaced.values()] }
}

/** Nodes that `outputs` need, up to the given tensors, and all tensors that these nodes read. */
function closure(
  graph: GraphIndex,
  allowed: ReadonlySet<number>,
  given: ReadonlySet<string>,
  outputs: readonly string[],
  rewired: ReadonlyMap<number, NodeProto>,
): { taken: Set<number>; read: Set<string> } {
  const taken = new Set<number>()
  const read = new Set<string>()
  const open = [...outputs]
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    if (read.has(tensor)) continue
    read.add(tensor)
    if (given.has(tensor)) continue
    const node = graph.producer(tensor)
    if (
      node === undefined ? graph.inputs.includes(tensor) : !allowed.has(node) && !graph.isConstantNode(node)
    )
      throw typeError({
        place: 'segment',
        problem: `'${tensor}' is neither among the inputs nor made by the nodes`,
      })
    if (node === undefined || taken.has(node)) continue
    taken.add(node)
    const original = new Set(graph.nodes[node]!.input)
    const captured = graph.reads(node).filter((name) => !original.has(name))
    open.push(
      ...(rewired.get(node)?.input ?? graph.nodes[node]!.input).filter((name) => name !== ''),
      ...captured,
    )
  }
  return { taken, read }
}

function valueInfo(name: string, elemType?: number): ValueInfoProto {
  const info = create(ValueInfoProtoSchema, { name })
  if (elemType !== undefined)
    info.type = create(TypeProtoSchema, {
      value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType }) },
    })
  return info
}
