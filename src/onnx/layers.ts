/**
 * Which weights of a model can be quantized, as layers: one per weight, with all the nodes that use it. Nodes
 * that see one weight in different ways, so that its canonical form differs (x·W here and y·Wᵀ there), cannot
 * share codes chosen neuron by neuron: each way of seeing it is a layer of its own and gets its own copy of the
 * weight when the model is written. What could have been a layer and is not is listed with the reason.
 */
import type { GraphProto, NodeProto } from 'onnx-buf'
import { carry, carryPositions } from './chain.js'
import { type GraphIndex, subgraphs } from './graph.js'
import type { Layer, Skipped } from './layer.js'
import { isDefaultDomain } from './model.js'
import { matchLayers } from './patterns.js'
import { byteLengthOf, isFloatType, readFloats } from './tensor.js'
import { isLayerOp, toCanonical, viewWeight, type WeightView } from './weightView.js'

export interface LayerFilter {
  readonly include?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
}

/** Layers in topological order of their first use, and what was passed over. Throws NO_MATCH for an idle pattern. */
export function findLayers(
  graph: GraphIndex,
  { include = [], exclude = [] }: LayerFilter = {},
): { layers: Layer[]; skipped: Skipped[] } {
  const found = survey(graph)
  const all = found.layers.map(({ layer }) => layer)
  const included = new Set(include.flatMap((pattern) => matchLayers(pattern, all, found.skipped, 'include')))
  const excluded = new Map(
    exclude.flatMap((pattern) =>
      matchLayers(pattern, all, found.skipped, 'exclude').map((layer): [Layer, string] => [layer, pattern]),
    ),
  )
  const skipped = [...found.skipped]
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

/** Bytes of a layer's weight as the file holds it. */
export function storedBytes(graph: GraphIndex, layer: Layer): number {
  const { stored } = viewsOf(graph, layer)[0]!.chain
  return byteLengthOf(stored.dataType, layer.groups * layer.inputs * layer.neurons) ?? 0
}

/** Weights that something beside the layers reads, so that the file keeps the float values: a tied embedding. */
export function keptCopies(
  graph: GraphIndex,
  layers: readonly Layer[],
): readonly { readonly weight: string; readonly reader: string }[] {
  const users = new Set(layers.flatMap((layer) => viewsOf(graph, layer).map(({ node }) => node)))
  /** Constant nodes between a weight and the layers are left out when the model is written. */
  const otherReader = (tensor: string): string | undefined => {
    if (graph.isOutput(tensor)) return 'an output of the model'
    for (const node of graph.consumers(tensor)) {
      if (users.has(node)) continue
      if (!graph.isConstantNode(node)) return `node '${graph.names[node]}'`
      const behind = graph.nodes[node]!.output.map(otherReader).find((reader) => reader !== undefined)
      if (behind !== undefined) return behind
    }
    return undefined
  }
  return [...new Set(layers.map(({ weight }) => weight))].flatMap((weight) => {
    const reader = otherReader(weight)
    return reader === undefined ? [] : [{ weight, reader }]
  })
}

/** How each use of a layer sees its weight, in the order of `layer.uses`. */
export function viewsOf(graph: GraphIndex, layer: Layer): readonly WeightView[] {
  const known = survey(graph).layers.find((entry) => entry.layer.name === layer.name)
  if (known === undefined)
    throw new TypeError(`layer '${layer.name}': expected a layer of this graph, got another`)
  return known.views
}

interface Survey {
  readonly layers: readonly { readonly layer: Layer; readonly views: readonly WeightView[] }[]
  readonly skipped: readonly Skipped[]
}

const surveys = new WeakMap<GraphIndex, Survey>()

function survey(graph: GraphIndex): Survey {
  let result = surveys.get(graph)
  if (result === undefined) {
    result = surveyGraph(graph)
    surveys.set(graph, result)
  }
  return result
}

function surveyGraph(graph: GraphIndex): Survey {
  const skipped: Skipped[] = []
  const groups: { views: WeightView[]; positions: Int32Array | null }[] = []
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
    const peers = groups.filter(({ views }) => views[0]!.chain.source === source)
    const same = peers.find((group) => consistent(group, view))
    if (same !== undefined) same.views.push(view)
    else groups.push({ views: [view], positions: null })
  }
  return { layers: groups.map(({ views }) => ({ layer: layerOf(graph, views), views })), skipped }
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

/** Whether two nodes read every stored value as the same (group, input, neuron). */
function consistent(group: { views: WeightView[]; positions: Int32Array | null }, view: WeightView): boolean {
  const first = group.views[0]!
  if (first.groups !== view.groups || first.inputs !== view.inputs || first.neurons !== view.neurons)
    return false
  if (first.tensor === view.tensor && first.layout === view.layout) return true
  group.positions ??= canonicalPositions(first)
  const known = group.positions
  return canonicalPositions(view).every((position, i) => position === known[i])
}

function canonicalPositions(view: WeightView): Int32Array {
  const positions = carryPositions(view.chain)
  return toCanonical(view, positions, new Int32Array(positions.length))
}

function canonicalWeights(view: WeightView): Float32Array {
  const values = carry(view.chain, readFloats(view.chain.stored))
  return toCanonical(view, values, new Float32Array(values.length))
}

/** Operators that hold trained weights in a form this program does not quantize. */
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
