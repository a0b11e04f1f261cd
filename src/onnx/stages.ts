/**
 * The calibration plan, with work linear in depth: the graph is cut at the layers' inputs, and each stage runs once per
 * stream. A stage runs every node that does not depend on a layer that is not quantized yet. It then quantizes all layers
 * whose inputs are available; their nodes run in the next stage. Every node is in exactly one stage. The plan is plain
 * data; nothing runs here.
 *
 * Tensors with a range of their own (src/onnx/activations) are cuts as well: the range is found when the tensor is there, and
 * no node reads it before, because all of them read the quantized values.
 *
 * A weight tied across depth (one of its inputs depends on another of its nodes) cannot wait for all of its inputs. If
 * no other node can run, its early nodes run as float. When the last input is available, the layer is quantized on the
 * inputs of all its nodes. The quantized stream was computed with the float weight until then, so `replay` asks to
 * compute it again from the graph inputs, through all stages up to this one.
 *
 * Constant tensors are in no list: `extractSegment` computes them where they are needed. Neither are values that cannot be held,
 * sequences for example (src/onnx/nonNumeric.ts): a stage that reads one computes it again, so what it is made of is held.
 *
 * Planning takes time linear in the graph (n log n for the order within a stage). `live` and `changed` list what is held,
 * which can be more than the graph has tensors. They are made when the first of them is read: a run holds those tensors.
 */
import type { GraphIndex } from './graph.js'
import { type Layer, outputsOf } from './layer.js'
import { nonNumericValues } from './nonNumeric.js'
import { cutStages, nodesOf, type Piece } from './stageCuts.js'

/** What runs, and what is quantized, between two sets of tensors. */
export interface Stage {
  /** Node indices in topological order. */
  readonly nodes: readonly number[]
  /** Tensors that the nodes read, or what is computed again for them: graph inputs, or outputs of earlier stages. */
  readonly inputs: readonly string[]
  /** Tensors that the nodes make and that are needed later: by layers quantized now, later stages or the caller. */
  readonly outputs: readonly string[]
  /** All tensors that later stages need, graph inputs among them; others can be freed. Outputs of the model alone are not in it. */
  readonly live: readonly string[]
  /** Layers to quantize after the nodes have run. All their inputs are in `outputs` or in an earlier `live`. */
  readonly quantize: readonly Layer[]
  /** Tensors whose ranges are found after the nodes have run and before `quantize`: from here on they are quantized. */
  readonly ranges: readonly string[]
  /** After quantizing, compute the quantized stream again, from the graph inputs through all nodes up to here. */
  readonly replay: boolean
  /** Of the tensors held after the nodes have run: those that can differ between the two streams. */
  readonly changed: readonly string[]
  /** Outputs, made in this stage, of layers quantized earlier: their error is measured on these. */
  readonly measured: readonly string[]
}

/**
 * The stages of a graph in the order in which they run; the last one quantizes nothing. Layers that are rounded belong to no
 * stage: they are quantized before the first one.
 * @param ranged tensors with a range of their own
 */
export function planStages(
  graph: GraphIndex,
  layers: readonly Layer[],
  ranged: readonly string[] = [],
): Stage[] {
  const rounded = layers.filter((layer) => layer.rounded !== null)
  const pieces = cutStages(
    graph,
    layers.filter((layer) => layer.rounded === null),
    ranged,
  )
  const stageOf = new Map<string, number>() // tensor → stage that makes it; graph inputs: −1
  for (const input of graph.inputs) stageOf.set(input, -1)
  const made = pieces.map(({ nodes }) => nodes.flatMap((node) => madeBy(graph, node)))
  made.forEach((tensors, stage) => {
    for (const tensor of tensors) stageOf.set(tensor, stage)
  })
  const nonNumeric = nonNumericValues(graph)
  const neededUntil = lastNeeds(graph, pieces, stageOf, nonNumeric)
  const inputs = pieces.map(({ nodes }, stage) =>
    lazy(() => inputsOf(graph, nodes, stage, stageOf, nonNumeric)),
  )
  const measurable = measuredFrom(layers, pieces)
  const held = heldTensors(graph, pieces, rounded, stageOf, neededUntil)
  return pieces.map(({ nodes, quantize, ranges, replay }, stage) => ({
    nodes,
    get inputs() {
      return inputs[stage]!()
    },
    outputs: made[stage]!.filter((tensor) => neededUntil.has(tensor)),
    get live() {
      return held()[stage]!.live
    },
    quantize,
    ranges,
    replay,
    get changed() {
      return held()[stage]!.changed
    },
    measured: made[stage]!.filter((tensor) => (measurable.get(tensor) ?? stage) < stage),
  }))
}

/** The last stage that needs each tensor. A layer needs its inputs where it is quantized, an output of the model is made. */
function lastNeeds(
  graph: GraphIndex,
  pieces: readonly Piece[],
  stageOf: ReadonlyMap<string, number>,
  nonNumeric: ReadonlySet<string>,
): Map<string, number> {
  const neededUntil = new Map<string, number>()
  const need = (tensor: string, stage: number) => {
    if (stageOf.has(tensor)) neededUntil.set(tensor, Math.max(stage, neededUntil.get(tensor) ?? -1))
  }
  pieces.forEach(({ nodes, quantize, ranges }, stage) => {
    for (const node of nodes)
      for (const tensor of graph.reads(node)) if (stageOf.get(tensor) !== stage) need(tensor, stage)
    for (const layer of quantize) for (const use of layer.uses) need(use.input, stage)
    for (const tensor of ranges) need(tensor, stage)
  })
  const lastReplay = pieces.findLastIndex(({ replay }) => replay)
  if (lastReplay >= 0) for (const input of graph.inputs) need(input, lastReplay)
  for (const output of graph.computedOutputs) need(output, stageOf.get(output) ?? pieces.length)
  // What cannot be held is computed again, as long as it is needed. Producers come before their readers in the order.
  for (const node of nonNumeric.size === 0 ? [] : graph.order.toReversed())
    for (const output of graph.nodes[node]!.output) {
      const until = nonNumeric.has(output) ? neededUntil.get(output) : undefined
      if (until !== undefined) for (const tensor of graph.reads(node)) need(tensor, until)
    }
  for (const value of nonNumeric) neededUntil.delete(value)
  return neededUntil
}

/** What a stage is fed: the tensors of earlier stages that its nodes read, and those that values computed again are made of. */
function inputsOf(
  graph: GraphIndex,
  nodes: readonly number[],
  stage: number,
  stageOf: ReadonlyMap<string, number>,
  nonNumeric: ReadonlySet<string>,
): readonly string[] {
  const found = new Set(nodes.flatMap((node) => graph.reads(node)))
  for (const tensor of found) {
    const from = stageOf.get(tensor)
    if (from !== undefined && from !== stage && from >= 0 && nonNumeric.has(tensor))
      for (const source of graph.reads(graph.producer(tensor) as number)) found.add(source) // visited later in this loop
  }
  return [...found].filter((tensor) => {
    const from = stageOf.get(tensor)
    return from !== undefined && from !== stage && (from < 0 || !nonNumeric.has(tensor))
  })
}

/** A value that is made when it is first asked for. */
function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** Outputs of layers, and the stage that quantizes the layer: what is made later is quantized. */
function measuredFrom(layers: readonly Layer[], pieces: readonly Piece[]): Map<string, number> {
  const stages = new Map(
    pieces.flatMap(({ quantize }, stage) => quantize.map((layer): [Layer, number] => [layer, stage])),
  )
  return new Map(
    layers.flatMap((layer) => {
      const from = layer.rounded === null ? (stages.get(layer) ?? pieces.length) : -1
      return outputsOf(layer).map((output) => [output, from] as const)
    }),
  )
}

interface Held {
  readonly live: readonly string[]
  readonly changed: readonly string[]
}

/** What each stage holds, found on the first call: one walk through the stages, with the tensors that are held at each. */
function heldTensors(
  graph: GraphIndex,
  pieces: readonly Piece[],
  rounded: readonly Layer[],
  stageOf: ReadonlyMap<string, number>,
  neededUntil: ReadonlyMap<string, number>,
): () => readonly Held[] {
  return lazy(() => {
    const born = pieces.map((): string[] => [])
    for (const [tensor, stage] of stageOf) if (neededUntil.has(tensor)) born[Math.max(0, stage)]!.push(tensor)
    const differing = new Differing(graph, pieces, rounded)
    const alive = new Set<string>()
    return pieces.map((_, stage) => {
      for (const tensor of born[stage]!) alive.add(tensor)
      differing.advance(stage)
      const changed: string[] = []
      const live: string[] = []
      for (const tensor of alive) {
        const until = neededUntil.get(tensor) ?? -1
        if (until >= stage && differing.has(tensor)) changed.push(tensor)
        if (until > stage) live.push(tensor)
        else alive.delete(tensor)
      }
      return { live, changed }
    })
  })
}

/** Which tensors can differ between the two streams, stage by stage. Every tensor is marked once. */
class Differing {
  readonly #graph: GraphIndex
  readonly #pieces: readonly Piece[]
  readonly #tensors = new Set<string>()
  readonly #stageOf = new Map<number, number>()
  readonly #quantized = new Set<number>() // nodes of the layers quantized in earlier stages

  constructor(graph: GraphIndex, pieces: readonly Piece[], rounded: readonly Layer[]) {
    this.#graph = graph
    this.#pieces = pieces
    for (const layer of rounded) for (const node of nodesOf(graph, layer)) this.#quantized.add(node)
    pieces.forEach(({ nodes }, stage) => {
      for (const node of nodes) this.#stageOf.set(node, stage)
    })
  }

  has(tensor: string): boolean {
    return this.#tensors.has(tensor)
  }

  /** Goes on to the next stage. */
  advance(stage: number): void {
    const before = this.#pieces[stage - 1]
    for (const layer of before?.quantize ?? [])
      for (const node of nodesOf(this.#graph, layer)) {
        this.#quantized.add(node)
        // Its early nodes ran as float, and what they made is computed again.
        if (before?.replay && (this.#stageOf.get(node) ?? stage) < stage) this.#mark(node, stage - 1)
      }
    const { nodes, ranges } = this.#pieces[stage]!
    for (const node of nodes)
      if (this.#quantized.has(node) || this.#graph.reads(node).some((tensor) => this.#tensors.has(tensor)))
        this.#mark(node, stage - 1)
    for (const tensor of ranges) this.#tensors.add(tensor)
  }

  /** The outputs of a node differ, and so does what nodes of stages up to `last` make of them. */
  #mark(first: number, last: number): void {
    const open = [first]
    for (let node = open.pop(); node !== undefined; node = open.pop())
      for (const output of madeBy(this.#graph, node)) {
        if (this.#tensors.has(output)) continue
        this.#tensors.add(output)
        for (const reader of this.#graph.consumers(output))
          if ((this.#stageOf.get(reader) ?? last + 1) <= last) open.push(reader)
      }
  }
}

/** Non-constant tensors that a node makes. */
function madeBy(graph: GraphIndex, node: number): string[] {
  return graph.isConstantNode(node) ? [] : graph.nodes[node]!.output.filter((output) => output !== '')
}
