/**
 * The weights of a model that can be quantized, as layers: one per weight, with all the nodes that use it. If two nodes
 * read one weight in different ways (x·W here and y·Wᵀ there), its canonical form differs, and codes chosen neuron by
 * neuron cannot be shared. Each way of reading is then a layer of its own, with its own copy of the weight in the
 * written model. Nodes that hold weights but cannot be quantized are listed with the reason.
 */
import type { GraphProto, NodeProto } from 'onnx-buf'
import { typeError } from '../checks.js'
import { applyChain, chainPositions } from './chain.js'
import { type GraphIndex, subgraphs } from './graph.js'
import type { Layer, Skipped } from './layer.js'
import { isDefaultDomain } from './model.js'
import { matchLayers } from './patterns.js'
import { byteLengthOf, isFloatType, readFloats } from './tensor.js'
import { isLayerOp, toCanonical, viewWeight, type WeightView } from './weightView.js'

/** Globs over node and weight names. Without `include`, all layers are included. */
export interface LayerFilter {
  readonly include?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
}

/**
 * Layers in topological order of their first use, and the nodes that were skipped.
 * @throws {GpfqError} NO_MATCH for a pattern that matches no layer
 */
export function findLayers(
  graph: GraphIndex,
  { include = [], exclude = [] }: LayerFilter = {},
): { layers: Layer[]; skipped: Skipped[] } {
  const scan = scanOf(graph)
  const all = [...scan.views.keys()]
  const included = new Set(include.flatMap((pattern) => matchLayers(pattern, all, scan.skipped, 'include')))
  const excluded = new Map(
    exclude.flatMap((pattern) =>
      matchLayers(pattern, all, scan.skipped, 'exclude').map((layer): [Layer, string] => [layer, pattern]),
    ),
  )
  const skipped = [...scan.skipped]
  const layers = all.filter((layer) => {
    const pattern = excluded.get(layer)
    if (pattern !== undefined) skipped.push({ name: layer.name, reason: `excluded by '${pattern}'` })
    else if (include.length > 0 && !included.has(layer))
      skipped.push({ name: layer.name, reason: 'not among those to include' })
    else return true
    return false
  })
  return { layers, skipped }
}

/** Values of a layer's weight, canonical (groups, inputs, neurons). */
export function readWeights(graph: GraphIndex, layer: Layer): Float32Array {
  return canonicalWeights(viewsOf(graph, layer)[0]!)
}

/** Bytes of a layer's weight as the file stores it. */
export function storedBytes(graph: GraphIndex, layer: Layer): number {
  const { stored } = viewsOf(graph, layer)[0]!.chain
  return byteLengthOf(stored.dataType, layer.groups * layer.inputs * layer.neurons) ?? 0
}

/**
 * Weights whose float values stay in the file, because a node beside the layers (or an output of the model) reads them
 * too: a tied embedding, for example.
 */
export function floatCopies(
  graph: GraphIndex,
  layers: readonly Layer[],
): readonly { readonly weight: string; readonly reader: string }[] {
  const users = new Set(layers.flatMap((layer) => viewsOf(graph, layer).map(({ node }) => node)))
  // Constant nodes between a weight and the layers are dropped from the written model: only their readers count.
  // Readers come after what they read in `graph.order`, so one pass backwards knows all of them.
  const readerBehind = new Map<number, string | undefined>()
  const otherReader = (tensor: string): string | undefined => {
    if (graph.isOutput(tensor)) return 'an output of the model'
    for (const node of graph.consumers(tensor)) {
      if (users.has(node)) continue
      const reader = graph.isConstantNode(node) ? readerBehind.get(node) : `node '${graph.names[node]}'`
      if (reader !== undefined) return reader
    }
    return undefined
  }
  for (const node of graph.order.toReversed())
    if (graph.isConstantNode(node)) readerBehind.set(node, firstOf(graph.nodes[node]!.output, otherReader))
  return [...new Set(layers.map(({ weight }) => weight))].flatMap((weight) => {
    const reader = otherReader(weight)
    return reader === undefined ? [] : [{ weight, reader }]
  })
}

function firstOf<T>(tensors: readonly string[], find: (tensor: string) => T | undefined): T | undefined {
  for (const tensor of tensors) {
    const found = find(tensor)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * How each use of a layer reads its weight, in the order of `layer.uses`.
 * @throws {TypeError} for a layer that the graph does not have
 */
export function viewsOf(graph: GraphIndex, layer: Layer): readonly WeightView[] {
  const views = scanOf(graph).viewsByName.get(layer.name)
  if (views === undefined)
    throw typeError({ place: `layer '${layer.name}'`, problem: 'it is not a layer of this graph' })
  return views
}

/** What one pass over a graph finds: its layers in order, how their nodes read the weights, and what is skipped. */
interface LayerScan {
  readonly views: ReadonlyMap<Layer, readonly WeightView[]>
  readonly viewsByName: ReadonlyMap<string, readonly WeightView[]>
  readonly skipped: readonly Skipped[]
}

const scans = new WeakMap<GraphIndex, LayerScan>()

function scanOf(graph: GraphIndex): LayerScan {
  let scan = scans.get(graph)
  if (scan === undefined) {
    scan = scanLayers(graph)
    scans.set(graph, scan)
  }
  return scan
}

/** Nodes that read one stored weight in one way; `positions` of the first view, computed when they are compared. */
interface Uses {
  readonly views: WeightView[]
  positions: Int32Array | null
}

function scanLayers(graph: GraphIndex): LayerScan {
  const skipped: Skipped[] = []
  const found: Uses[] = []
  const bySource = new Map<string, Uses[]>()
  const finite = new Map<string, boolean>()
  for (const index of graph.order) {
    const node = graph.nodes[index]!
    const name = graph.names[index]!
    if (!isLayerOp(node)) {
      for (const reason of whyNot(graph, node)) skipped.push({ name, reason })
      continue
    }
    const view = viewWeight(graph, index)
    if (typeof view === 'string') {
      skipped.push({ name, reason: view })
      continue
    }
    const { source } = view.chain
    if (!finite.has(source)) finite.set(source, readFloats(view.chain.stored).every(Number.isFinite))
    if (finite.get(source) === false) {
      skipped.push({ name, reason: `its weight '${source}' has values that are not finite` })
      continue
    }
    const peers = bySource.get(source) ?? []
    const same = peers.find((uses) => consistent(uses, view))
    if (same !== undefined) {
      same.views.push(view)
      continue
    }
    const uses: Uses = { views: [view], positions: null }
    found.push(uses)
    bySource.set(source, [...peers, uses])
  }
  const layers = found.map(({ views }): [Layer, WeightView[]] => [layerOf(graph, views), views])
  return {
    views: new Map(layers),
    viewsByName: new Map(layers.map(([{ name }, views]) => [name, views])),
    skipped,
  }
}

function layerOf(graph: GraphIndex, views: readonly WeightView[]): Layer {
  const first = views[0]!
  return {
    name: graph.names[first.node]!,
    op: first.op,
    weight: first.chain.source,
    groups: first.groups,
    inputs: first.inputs,
    neurons: first.neurons,
    uses: views.map(({ node, input, output, sampling }) => ({
      node: graph.names[node]!,
      input,
      output,
      sampling,
    })),
  }
}

/** Whether a node reads every stored value as the same (group, input, neuron) as the others. */
function consistent(uses: Uses, view: WeightView): boolean {
  const first = uses.views[0]!
  if (first.groups !== view.groups || first.inputs !== view.inputs || first.neurons !== view.neurons)
    return false
  if (first.tensor === view.tensor && first.layout === view.layout) return true
  uses.positions ??= canonicalPositions(first)
  const known = uses.positions
  return canonicalPositions(view).every((position, i) => position === known[i])
}

function canonicalPositions(view: WeightView): Int32Array {
  const positions = chainPositions(view.chain)
  return toCanonical(view, positions, new Int32Array(positions.length))
}

function canonicalWeights(view: WeightView): Float32Array {
  const values = applyChain(view.chain, readFloats(view.chain.stored))
  return toCanonical(view, values, new Float32Array(values.length))
}

/** Operators with trained weights that are not quantized. */
const UNTREATED: Readonly<Record<string, string>> = {
  ConvTranspose: 'a transposed convolution is not quantized',
  DeformConv: 'a deformable convolution is not quantized',
  RNN: 'recurrent layers are not quantized',
  GRU: 'recurrent layers are not quantized',
  LSTM: 'recurrent layers are not quantized',
  QLinearConv: 'it is quantized already',
  QLinearMatMul: 'it is quantized already',
  ConvInteger: 'it is quantized already',
  MatMulInteger: 'it is quantized already',
  MatMulNBits: 'it is quantized already',
}

/** Why a node with weights, beside Conv, Gemm and MatMul, is not a layer; empty for a node without weights. */
function whyNot(graph: GraphIndex, node: NodeProto): string[] {
  const reason = UNTREATED[node.opType]
  if (reason !== undefined) return [reason]
  const callee = graph.model.functions.find(
    ({ name, domain }) => name === node.opType && domain === node.domain,
  )
  if (callee?.node.some(isLayerOp)) return ['it calls a function of the model that has layers inside']
  if (subgraphs(node).some(hasLayers)) return [`the layers inside its ${node.opType} body are not quantized`]
  if (!isDefaultDomain(node.domain)) return []
  const table = graph.constant(node.input[0] ?? '')
  if (
    node.opType === 'Gather' &&
    table !== undefined &&
    isFloatType(table.dataType) &&
    table.dims.length === 2
  )
    return graph.isConstantNode(graph.producer(node.output[0] ?? '') ?? -1)
      ? []
      : ['an embedding table stays float']
  if (node.opType === 'Einsum' && node.input.some((name) => graph.isConstant(name)))
    return ['Einsum is not quantized']
  return []
}

function hasLayers(body: GraphProto): boolean {
  return body.node.some((node) => isLayerOp(node) || subgraphs(node).some(hasLayers))
}
