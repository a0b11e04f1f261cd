/**
 * The weights of a model that can be quantized, as layers: one per weight, with all the nodes that use it. If two nodes
 * read one weight in different ways (x·W here and y·Wᵀ there), its canonical form differs, and codes chosen neuron by
 * neuron cannot be shared. Each way of reading is then a layer of its own, with its own copy of the weight in the
 * written model. Nodes that hold weights but cannot be quantized are listed with the reason.
 */
import { typeError } from '../checks.js'
import { applyChain, chainPositions } from './chain.js'
import type { GraphIndex } from './graph.js'
import type { Layer, Skipped } from './layer.js'
import { matchLayers } from './patterns.js'
import { byteLengthOf, readFloats } from './tensor.js'
import { whyUntreated } from './untreated.js'
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
  const { views, layersByName } = scanOf(graph)
  const own = layersByName.get(layer.name)
  const found = own === undefined ? undefined : views.get(own)
  if (found === undefined)
    throw typeError({ place: `layer '${layer.name}'`, problem: 'it is not a layer of this graph' })
  return found
}

/** The name of the layer that a node belongs to, and how it reads the weight; undefined for another node. */
export function layerAt(
  graph: GraphIndex,
  node: number,
): { readonly layer: string; readonly view: WeightView } | undefined {
  return scanOf(graph).byNode.get(node)
}

/** The largest magnitude among the stored values of a layer's weight. */
export function weightMagnitude(graph: GraphIndex, layer: Layer): number {
  return scanOf(graph).magnitudes.get(layer.weight) ?? 0
}

/** What one pass over a graph finds: its layers in order, how their nodes read the weights, and what is skipped. */
interface LayerScan {
  readonly views: ReadonlyMap<Layer, readonly WeightView[]>
  readonly layersByName: ReadonlyMap<string, Layer>
  readonly byNode: ReadonlyMap<number, { readonly layer: string; readonly view: WeightView }>
  /** By weight. */
  readonly magnitudes: ReadonlyMap<string, number>
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

/** A stored weight: how large its values are, and the ways of reading it that have been seen. */
interface Stored {
  /** Largest magnitude; NaN or infinity if a value is. */
  readonly magnitude: number
  readonly ways: Map<string, Uses>
}

/** Ways of reading one weight that are told apart: many times what models have. Each is compared value by value. */
const MOST_WAYS = 16

function scanLayers(graph: GraphIndex): LayerScan {
  const skipped: Skipped[] = []
  const found: Uses[] = []
  const bySource = new Map<string, Stored>()
  for (const index of graph.order) {
    const name = graph.names[index]!
    if (!isLayerOp(graph.nodes[index]!)) {
      const reason = whyUntreated(graph, index)
      if (reason !== undefined) skipped.push({ name, reason })
      continue
    }
    const view = viewWeight(graph, index)
    const reason = typeof view === 'string' ? view : place(view, bySource, found)
    if (reason !== null) skipped.push({ name, reason })
  }
  const layers = found.map(({ views }): [Layer, WeightView[]] => [layerOf(graph, views), views])
  return {
    views: new Map(layers),
    layersByName: new Map(layers.map(([layer]) => [layer.name, layer])),
    byNode: new Map(
      layers.flatMap(([{ name }, views]) => views.map((view) => [view.node, { layer: name, view }])),
    ),
    magnitudes: new Map([...bySource].map(([source, { magnitude }]) => [source, magnitude])),
    skipped,
  }
}

/** Puts a view to those that read the weight in the same way. @returns why it is not quantized, or null */
function place(view: WeightView, bySource: Map<string, Stored>, found: Uses[]): string | null {
  const { source } = view.chain
  let stored = bySource.get(source)
  if (stored === undefined) {
    stored = { magnitude: magnitudeOf(readFloats(view.chain.stored)), ways: new Map() }
    bySource.set(source, stored)
  }
  if (!Number.isFinite(stored.magnitude)) return `its weight '${source}' has values that are not finite`
  const key = `${view.groups} ${view.inputs} ${view.neurons} ${view.layout} ${view.chain.moves}`
  let uses = stored.ways.get(key)
  if (uses === undefined) {
    if (stored.ways.size >= MOST_WAYS) return `its weight '${source}' is read in more than ${MOST_WAYS} ways`
    uses = [...stored.ways.values()].find((other) => consistent(other, view))
    if (uses === undefined) {
      uses = { views: [], positions: null }
      found.push(uses)
    }
    stored.ways.set(key, uses)
  }
  uses.views.push(view)
  return null
}

/** The largest magnitude; NaN or infinity if a value is. */
function magnitudeOf(values: Float32Array): number {
  let most = 0
  for (const value of values) {
    const magnitude = Math.abs(value)
    if (!(magnitude <= most)) most = magnitude
    if (!Number.isFinite(most)) return most
  }
  return most
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
