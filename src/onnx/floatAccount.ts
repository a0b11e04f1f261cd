/**
 * Where the float values of a file are and what becomes of them: each tensor is either the weight of a layer, or it stays
 * float for a reason. It counts the initializers and the constants of the graph, of the bodies of If, Loop and Scan at any
 * depth, and of the functions of the model, so that the bytes add up to all float bytes of the file.
 */
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { flatGraph, type Home } from './flatGraph.js'
import { type FoldedWeights, homeKey } from './foldWeights.js'
import type { GraphIndex } from './graph.js'
import type { Layer, Skipped } from './layer.js'
import { floatCopies } from './layers.js'
import { graphOf, isDefaultDomain } from './model.js'
import { isRecurrent } from './recurrentView.js'
import { byteLengthOf, countOf, isFloatType } from './tensor.js'

/** A float tensor that stays as it is. */
export interface KeptFloats {
  /** Its name, with the body or function that it is in. */
  readonly place: string
  readonly bytes: number
  /** Text for people. */
  readonly reason: string
}

/** All float bytes of a file. */
export interface FloatAccount {
  /** Of all float tensors, in any element type. */
  readonly bytes: number
  /** Of the weights of layers. */
  readonly quantized: number
  /** The others, the largest first. Their bytes and `quantized` add up to `bytes`. */
  readonly kept: readonly KeptFloats[]
}

/** What was decided about a model. */
export interface AccountedModel {
  /** The file, before anything was folded. */
  readonly file: ModelProto
  /** The graph that is quantized. */
  readonly graph: GraphIndex
  readonly layers: readonly Layer[]
  readonly skipped: readonly Skipped[]
  /** Weights of the graph → the name that they have in the file. */
  readonly renamed: ReadonlyMap<string, string>
  /** Tensors of the file that weights are made of (foldWeights.ts). */
  readonly sources: FoldedWeights['sources']
}

/**
 * The account of a model, in time linear in its nodes and tensors.
 * @throws {GpfqError} INVALID_MODEL for a tensor whose dims are out of range
 */
export function accountFloats(model: AccountedModel): FloatAccount {
  const { file, graph, layers, renamed, sources } = model
  const flat = flatGraph(graph)
  const copies = new Map(floatCopies(graph, layers).map(({ weight, reader }) => [weight, reader]))
  const stored = layers.map(({ weight }) => weight)
  const inGraph = stored.filter((weight) => flat.home(weight).graph === 0)
  const inBodies = new Set(stored.filter((weight) => flat.home(weight).graph > 0))
  const weights = new Map(inGraph.map((weight) => [renamed.get(weight) ?? weight, weight]))
  const reasonOf = reasons(flat.index, model)
  /** The layers' weights that a tensor of the file is, or that are made of it; none where something else is made of it. */
  const weightsOf = (home: Home): readonly string[] => {
    const made = (sources.get(homeKey(home)) ?? [home]).map((own) => {
      if (own.graph === 0) return weights.get(own.name)
      const name = flat.nameOf(own)
      return name !== undefined && inBodies.has(name) ? name : undefined
    })
    return made.every((weight) => weight !== undefined) ? made : []
  }
  const kept: KeptFloats[] = []
  let quantized = 0
  for (const { name: own, home, inside, bytes } of floatTensors(file)) {
    const name = home === null ? undefined : flat.nameOf(home)
    const made = home === null ? [] : weightsOf(home)
    const copy = made.map((weight) => copies.get(weight)).find((reader) => reader !== undefined)
    if (made.length > 0 && copy === undefined) quantized += bytes
    else
      kept.push({
        place: inside === '' ? `'${own}'` : `'${own}' in ${inside}`,
        bytes,
        reason:
          name === undefined
            ? `it is inside ${inside}`
            : copy === undefined
              ? reasonOf(name)
              : `it is quantized for its layers, and stays for ${copy}`,
      })
  }
  kept.sort((a, b) => b.bytes - a.bytes)
  return { bytes: kept.reduce((sum, { bytes }) => sum + bytes, quantized), quantized, kept }
}

interface FloatTensor {
  /** The name of the tensor, that of a Constant's output. */
  readonly name: string
  /** The body or the function that it is in; empty for the graph itself. */
  readonly inside: string
  /** Where it is defined; null in a function. */
  readonly home: Home | null
  readonly bytes: number
}

function floatTensors(model: ModelProto): readonly FloatTensor[] {
  const found: FloatTensor[] = []
  let graphs = 0 // numbered as in flatGraph
  let at: number | null = null
  const count = (name: string, inside: string, bytes: number) =>
    found.push({ name, inside, home: at === null ? null : { graph: at, name }, bytes })
  const add = (tensor: TensorProto | undefined, name: string, inside: string) => {
    if (tensor === undefined || !isFloatType(tensor.dataType)) return
    count(name, inside, byteLengthOf(tensor.dataType, countOf(tensor)) ?? 0)
  }
  const addAttribute = (attribute: AttributeProto, node: NodeProto, inside: string) => {
    const name = node.output[0] || node.name
    for (const tensor of [attribute.t, ...attribute.tensors]) add(tensor, name, inside)
    for (const sparse of [attribute.sparseTensor, ...attribute.sparseTensors])
      add(sparse?.values, name, inside)
    const own = node.opType === 'Constant' && isDefaultDomain(node.domain)
    const floats = own ? attribute.floats.length + Number(attribute.name === 'value_float') : 0
    if (floats > 0) count(name, inside, 4 * floats)
    const body = inside === '' ? `the body of ${node.opType} '${node.name || name}'` : inside
    for (const graph of [attribute.g, ...attribute.graphs]) if (graph !== undefined) visitBody(graph, body)
  }
  const visitNodes = (nodes: readonly NodeProto[], inside: string) => {
    for (const node of nodes) for (const attribute of node.attribute) addAttribute(attribute, node, inside)
  }
  const visitBody = (body: GraphProto, inside: string) => {
    const around = at
    if (around !== null) at = ++graphs
    visit(body, inside)
    at = around
  }
  const visit = ({ initializer, sparseInitializer, node }: GraphProto, inside: string) => {
    for (const tensor of initializer) add(tensor, tensor.name, inside)
    for (const { values } of sparseInitializer) add(values, values?.name ?? '', inside)
    visitNodes(node, inside)
  }
  at = 0
  visit(graphOf(model), '')
  at = null
  for (const { domain, name, node } of model.functions)
    visitNodes(node, `the function ${domain === '' ? '' : `${domain}.`}${name}`)
  return found
}

/** Why a tensor of the graph stays float: by the node that reads it, behind nodes of constants. */
function reasons(graph: GraphIndex, { layers, skipped }: AccountedModel): (tensor: string) => string {
  const skippedNodes = new Map(skipped.map(({ name, reason }) => [name, reason]))
  const layerNodes = new Set(
    layers.flatMap(({ uses, unsampled }) => [...uses, ...unsampled].map(({ node }) => node)),
  )
  const readerBehind = new Map<number, string | undefined>()
  const readerOf = (tensor: string): string | undefined => {
    if (graph.isOutput(tensor)) return 'it is an output of the model'
    for (const index of graph.consumers(tensor)) {
      const reader = graph.isConstantNode(index) ? readerBehind.get(index) : wordsFor(index)
      if (reader !== undefined) return reader
    }
    return undefined
  }
  const wordsFor = (index: number): string => {
    const name = graph.names[index]!
    const { opType, domain } = graph.nodes[index]!
    const reason = skippedNodes.get(name)
    if (reason !== undefined) return `'${name}': ${reason}`
    if (layerNodes.has(name) && !isRecurrent(graph.nodes[index]!)) return `it is the bias of '${name}'`
    return `${isDefaultDomain(domain) ? '' : `${domain}.`}${opType} '${name}' reads it`
  }
  for (const node of graph.order.toReversed())
    if (graph.isConstantNode(node)) {
      const reader = graph.nodes[node]!.output.map(readerOf).find((found) => found !== undefined)
      readerBehind.set(node, reader)
    }
  return (tensor) => {
    if (graph.initializer(tensor) === undefined && graph.producer(tensor) === undefined)
      return graph.isConstant(tensor) ? 'it is sparse' : 'it is folded into the weights before it'
    return readerOf(tensor) ?? 'nothing reads it'
  }
}
