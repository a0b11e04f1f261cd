/**
 * One pass over a graph and the bodies of its nodes: the weights that can be quantized, as layers, how the nodes read them, and
 * the nodes that hold weights but cannot be quantized. findLayers (layers.ts) chooses among them.
 *
 * Calibration sees the inputs of the graph's Conv, Gemm and MatMul nodes alone. Other nodes give no samples: recurrent ones,
 * which feed their results back, those of otherView.ts, and all in the body of an If, Loop or Scan. Weights that only such nodes read are rounded. A
 * weight with such a reader is replaced where it is stored, so all of its readers must be layers that read it in one way.
 */
import { chainPositions } from './chain.js'
import { type FlatGraph, flatGraph } from './flatGraph.js'
import type { GraphIndex } from './graph.js'
import type { Layer, Skipped } from './layer.js'
import { viewOther } from './otherView.js'
import { readersBeside } from './readersBeside.js'
import { isRecurrent, operandName, viewRecurrent } from './recurrentView.js'
import { readFloats } from './tensor.js'
import { freshNames } from './tensorNames.js'
import { whyUntreated } from './untreated.js'
import { isLayerOp, isMatrix, toCanonical, viewWeight, type WeightView } from './weightView.js'

/** Layers in the order of their first use, how their nodes read the weights, and what is skipped. */
export interface LayerScan {
  readonly flat: FlatGraph
  /** Views of `Layer.uses` in their order, then those of `Layer.unsampled`, whose nodes and tensors are those of `flat`. */
  readonly views: ReadonlyMap<Layer, readonly WeightView[]>
  readonly layersByName: ReadonlyMap<string, Layer>
  /** Of nodes of the graph that get weights of their own. */
  readonly byNode: ReadonlyMap<number, { readonly layer: string; readonly view: WeightView }>
  /** By weight. */
  readonly magnitudes: ReadonlyMap<string, number>
  readonly skipped: readonly Skipped[]
}

const scans = new WeakMap<GraphIndex, LayerScan>()

export function scanOf(graph: GraphIndex): LayerScan {
  let scan = scans.get(graph)
  if (scan === undefined) {
    scan = new Scanner(graph).scan()
    scans.set(graph, scan)
  }
  return scan
}

/** Nodes that read one stored weight in one way; `positions` of the first view, computed when they are compared. */
interface Uses {
  readonly sampled: WeightView[]
  readonly unsampled: WeightView[]
  positions: Int32Array | null
}

/** A stored weight: how large its values are, and the ways of reading it that have been seen. */
interface Stored {
  /** Largest magnitude; NaN or infinity if a value is. */
  readonly magnitude: number
  readonly ways: Map<string, Uses>
}

/** Forms of these operators that are rounded. */
const ROUNDED_WORDS: ReadonlyMap<string, string> = new Map([
  ['Conv', '3-D convolutions'],
  ['MatMul', 'MatMul with several matrices'],
])

/** Ways of reading one weight that are told apart: many times what models have. Each is compared value by value. */
const MOST_WAYS = 16

class Scanner {
  readonly #graph: GraphIndex
  readonly #flat: FlatGraph
  readonly #skipped: Skipped[] = []
  #found: Uses[] = []
  readonly #bySource = new Map<string, Stored>()

  constructor(graph: GraphIndex) {
    this.#graph = graph
    this.#flat = flatGraph(graph)
  }

  scan(): LayerScan {
    const { index } = this.#flat
    for (const node of index.order) {
      const found = this.#viewsOf(node)
      for (const view of found) {
        const reason = typeof view === 'string' ? view : this.#place(view)
        if (reason !== null) this.#skip(node, reason)
      }
    }
    this.#settleUnsampled()
    const fresh = freshNames(new Set(index.names))
    const layers = this.#found.map((uses): [Layer, WeightView[]] => [
      this.#layerOf(uses, fresh),
      [...uses.sampled, ...uses.unsampled],
    ])
    return {
      flat: this.#flat,
      views: new Map(layers),
      layersByName: new Map(layers.map(([layer]) => [layer.name, layer])),
      byNode: new Map(
        layers.flatMap(([{ name, unsampled }, views]) =>
          unsampled.length > 0 ? [] : views.map((view) => [view.node, { layer: name, view }] as const),
        ),
      ),
      magnitudes: new Map([...this.#bySource].map(([source, { magnitude }]) => [source, magnitude])),
      skipped: this.#skipped,
    }
  }

  /** How a node reads its weights, or why one cannot be quantized; empty for a node without weights. */
  #viewsOf(node: number): readonly (WeightView | string)[] {
    const { index } = this.#flat
    if (isRecurrent(index.nodes[node]!)) return viewRecurrent(index, node)
    const view = isLayerOp(index.nodes[node]!) ? viewWeight(index, node) : undefined
    if (view !== undefined && typeof view !== 'string') return [view]
    const found = viewOther(index, node) ?? view ?? whyUntreated(index, node)
    return found === undefined ? [] : [found]
  }

  #skip(node: number, reason: string): void {
    this.#skipped.push({ name: this.#flat.index.names[node]!, reason })
  }

  #isSampled(view: WeightView): boolean {
    const { node, op, chain } = view
    if (node >= this.#graph.nodes.length) return false
    return op === 'Gemm' || (op === 'MatMul' && isMatrix(view)) || (op === 'Conv' && chain.dims.length <= 4)
  }

  /** Puts a view to those that read the weight in the same way. @returns why it is not quantized, or null */
  #place(view: WeightView): string | null {
    const { source } = view.chain
    let stored = this.#bySource.get(source)
    if (stored === undefined) {
      stored = { magnitude: magnitudeOf(readFloats(view.chain.stored)), ways: new Map() }
      this.#bySource.set(source, stored)
    }
    if (!Number.isFinite(stored.magnitude)) return `its weight '${source}' has values that are not finite`
    const key = `${view.groups} ${view.inputs} ${view.neurons} ${view.layout} ${view.chain.moves}`
    let uses = stored.ways.get(key)
    if (uses === undefined) {
      if (stored.ways.size >= MOST_WAYS)
        return `its weight '${source}' is read in more than ${MOST_WAYS} ways`
      uses = [...stored.ways.values()].find((other) => consistent(other, view))
      if (uses === undefined) {
        uses = { sampled: [], unsampled: [], positions: null }
        this.#found.push(uses)
      }
      stored.ways.set(key, uses)
    }
    const list = this.#isSampled(view) ? uses.sampled : uses.unsampled
    list.push(view)
    return null
  }

  /** Weights with unsampled readers: each becomes one layer, or its unsampled readers are skipped. */
  #settleUnsampled(): void {
    const all = this.#found.flatMap(({ sampled, unsampled }) => [...sampled, ...unsampled])
    if (this.#found.every(({ unsampled }) => unsampled.length === 0)) return
    const beside = readersBeside(this.#flat.index, all)
    for (const [source, { ways }] of this.#bySource) {
      const own = [...new Set(ways.values())]
      const unsampled = own.flatMap((uses) => uses.unsampled)
      if (unsampled.length === 0) continue
      const sampled = own.filter((uses) => uses.sampled.length > 0)
      const reader = beside(source)
      const obstacle =
        reader !== undefined
          ? `its weight '${source}' stays float for ${reader}, which reads it too`
          : sampled.length > 1
            ? `the graph around it reads its weight '${source}' in more than one way`
            : null
      const chosen = obstacle === null ? (sampled[0] ?? own[0]!) : undefined
      if (obstacle !== null) for (const { node } of unsampled) this.#skip(node, obstacle)
      for (const uses of own) uses.unsampled.length = 0
      chosen?.unsampled.push(...unsampled)
    }
    this.#found = this.#found.filter(({ sampled, unsampled }) => sampled.length + unsampled.length > 0)
  }

  #layerOf({ sampled, unsampled }: Uses, fresh: (stem: string) => string): Layer {
    const { names } = this.#flat.index
    const first = sampled[0] ?? unsampled[0]!
    const name = names[first.node]!
    const inBody = (node: number): boolean => node >= this.#graph.nodes.length
    return {
      name: isRecurrent(this.#flat.index.nodes[first.node]!)
        ? fresh(`${name}:${operandName(first.operand)}`)
        : name,
      op: first.op,
      weight: first.chain.source,
      groups: first.groups,
      inputs: first.inputs,
      neurons: first.neurons,
      uses: sampled.map(({ node, input, output, sampling }) => ({
        node: names[node]!,
        input,
        output,
        sampling,
      })),
      unsampled: unsampled.map(({ node }) => ({
        node: names[node]!,
        holder: this.#graph.names[this.#flat.holder(node)]!,
        outputs: inBody(node) ? [] : this.#graph.nodes[node]!.output.filter((output) => output !== ''),
      })),
      rounded: sampled.length > 0 ? null : this.#whyRounded(first),
    }
  }

  #whyRounded({ node, op }: WeightView): string {
    if (node < this.#graph.nodes.length && !isRecurrent(this.#flat.index.nodes[node]!))
      return `calibration takes no rows of ${ROUNDED_WORDS.get(op) ?? op}`
    if (node < this.#graph.nodes.length)
      return `${op} feeds its results back, which path following does not reach`
    const holder = this.#flat.holder(node)
    const { opType } = this.#graph.nodes[holder]!
    return `it is in the body of ${opType} '${this.#graph.names[holder]}', whose tensors calibration does not see`
  }
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

/** Whether a node reads every stored value as the same (group, input, neuron) as the others. */
function consistent(uses: Uses, view: WeightView): boolean {
  const first = uses.sampled[0] ?? uses.unsampled[0]!
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
