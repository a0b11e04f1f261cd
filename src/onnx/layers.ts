/**
 * Chooses the layers of a model and answers for them. scanLayers.ts finds the weights that can be quantized: one layer a weight, with all the nodes that use it. If two nodes
 * read one weight in different ways (x·W here and y·Wᵀ there), its canonical form differs, and codes chosen neuron by
 * neuron cannot be shared. Each way of reading is then a layer of its own, with its own copy of the weight in the
 * written model. Nodes that hold weights but cannot be quantized are listed with the reason.
 */
import { typeError } from '../checks.js'
import { applyChain } from './chain.js'
import type { Home } from './flatGraph.js'
import type { GraphIndex } from './graph.js'
import type { Layer, Skipped } from './layer.js'
import { matchLayers } from './patterns.js'
import { readersBeside } from './readersBeside.js'
import { scanOf } from './scanLayers.js'
import { byteLengthOf, readFloats } from './tensor.js'
import { toCanonical, type WeightView } from './weightView.js'

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
  return canonicalWeights(allViewsOf(graph, layer)[0]!)
}

/** Bytes of a layer's weight as the file stores it. */
export function storedBytes(graph: GraphIndex, layer: Layer): number {
  const { stored } = allViewsOf(graph, layer)[0]!.chain
  return byteLengthOf(stored.dataType, layer.groups * layer.inputs * layer.neurons) ?? 0
}

/**
 * Weights whose float values stay in the file, because a node beside the layers (or an output of the model) reads them
 * too: a tied embedding, for example. A weight with an unsampled use has no such reader.
 */
export function floatCopies(
  graph: GraphIndex,
  layers: readonly Layer[],
): readonly { readonly weight: string; readonly reader: string }[] {
  const copied = layers.filter(({ unsampled }) => unsampled.length === 0)
  const beside = readersBeside(
    graph,
    copied.flatMap((layer) => viewsOf(graph, layer)),
  )
  return [...new Set(copied.map(({ weight }) => weight))].flatMap((weight) => {
    const reader = beside(weight)
    return reader === undefined ? [] : [{ weight, reader }]
  })
}

/**
 * How each use of a layer reads its weight, in the order of `layer.uses`.
 * @throws {TypeError} for a layer that the graph does not have
 */
export function viewsOf(graph: GraphIndex, layer: Layer): readonly WeightView[] {
  return allViewsOf(graph, layer).slice(0, layer.uses.length)
}

/**
 * How all nodes of a layer read its weight, the unsampled ones after those of `viewsOf`. Nodes and tensors of the unsampled
 * are those of the flat graph.
 * @throws {TypeError} for a layer that the graph does not have
 */
export function allViewsOf(graph: GraphIndex, layer: Layer): readonly WeightView[] {
  const { views, layersByName } = scanOf(graph)
  const own = layersByName.get(layer.name)
  const found = own === undefined ? undefined : views.get(own)
  if (found === undefined)
    throw typeError({ place: `layer '${layer.name}'`, problem: 'it is not a layer of this graph' })
  return found
}

/** Where a layer's weight is stored. */
export function homeOf(graph: GraphIndex, layer: Layer): Home {
  return scanOf(graph).flat.home(layer.weight)
}

/**
 * The name of the layer that a node belongs to, and how it reads the weight; undefined for another node, and where the
 * weight is replaced where it is stored.
 */
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

function canonicalWeights(view: WeightView): Float32Array {
  const values = applyChain(view.chain, readFloats(view.chain.stored))
  return toCanonical(view, values, new Float32Array(values.length))
}
