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
 * Constant tensors are in no list: `extractSegment` computes them where they are needed.
 */
import type { GraphIndex } from './graph.js'
import type { Layer } from './layer.js'

/** What runs, and what is quantized, between two sets of tensors. */
export interface Stage {
  /** Node indices in topological order. */
  readonly nodes: readonly number[]
  /** Tensors that the nodes read: graph inputs, or outputs of earlier stages. */
  readonly inputs: readonly string[]
  /** Tensors that the nodes make and that are needed later: by layers quantized now, later stages or the caller. */
  readonly outputs: readonly string[]
  /** All tensors to keep after the stage, graph inputs among them; others can be freed. */
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
 * The stages of a graph in the order in which they run; the last one quantizes nothing.
 * @param ranged tensors with a range of their own
 */
export function planStages(
  graph: GraphIndex,
  layers: readonly Layer[],
  ranged: readonly string[] = [],
): Stage[] {
  const { pieces } = cut(graph, layers, ranged)
  const stageOf = new Map<string, number>() // tensor → stage that makes it; graph inputs: −1
  for (const input of graph.inputs) stageOf.set(input, -1)
  pieces.forEach(({ nodes }, stage) => {
    for (const node of nodes) for (const output of madeBy(graph, node)) stageOf.set(output, stage)
  })

  // The last stage that needs each tensor. A layer needs its inputs in the stage that quantizes it.
  const last = pieces.length - 1
  const neededUntil = new Map<string, number>()
  const need = (tensor: string, stage: number) => {
    if (stageOf.has(tensor)) neededUntil.set(tensor, Math.max(stage, neededUntil.get(tensor) ?? -1))
  }
  const reads = pieces.map(({ nodes }) => [...new Set(nodes.flatMap((node) => graph.reads(node)))])
  reads.forEach((tensors, stage) => {
    for (const tensor of tensors) if (stageOf.get(tensor) !== stage) need(tensor, stage)
  })
  pieces.forEach(({ quantize, ranges, replay }, stage) => {
    for (const layer of quantize) for (const use of layer.uses) need(use.input, stage)
    for (const tensor of ranges) need(tensor, stage)
    if (replay) for (const input of graph.inputs) need(input, stage)
  })
  for (const output of graph.computedOutputs) need(output, last + 1)

  const differing = new Set<string>()
  const usesDone = new Set<number>() // nodes of the layers quantized in earlier stages
  const measurable = new Set<string>()
  return pieces.map(({ nodes, quantize, ranges, replay }, stage) => {
    if (stage > 0 && pieces[stage - 1]!.quantize.length > 0) {
      for (const layer of pieces[stage - 1]!.quantize)
        for (const use of layer.uses) {
          usesDone.add(graph.nodeNamed(use.node) as number)
          measurable.add(use.output)
        }
      if (pieces[stage - 1]!.replay)
        for (const earlier of pieces.slice(0, stage)) spread(graph, earlier.nodes, usesDone, differing)
    }
    spread(graph, nodes, usesDone, differing)
    for (const tensor of ranges) differing.add(tensor)
    const made = nodes.flatMap((node) => madeBy(graph, node)).filter((tensor) => stageOf.has(tensor))
    const outputs = made.filter((tensor) => neededUntil.has(tensor))
    const held = [...stageOf.keys()].filter(
      (tensor) => (stageOf.get(tensor) as number) <= stage && (neededUntil.get(tensor) ?? -1) >= stage,
    )
    return {
      nodes,
      inputs: reads[stage]!.filter((tensor) => stageOf.has(tensor) && stageOf.get(tensor) !== stage),
      outputs,
      live: held.filter((tensor) => (neededUntil.get(tensor) as number) > stage),
      quantize,
      ranges,
      replay,
      changed: held.filter((tensor) => differing.has(tensor)),
      measured: made.filter((tensor) => measurable.has(tensor)),
    }
  })
}

interface Piece {
  readonly nodes: number[]
  readonly quantize: Layer[]
  readonly ranges: readonly string[]
  readonly replay: boolean
}

/** Which nodes run in which stage, and which layers are quantized there. */
function cut(graph: GraphIndex, layers: readonly Layer[], ranged: readonly string[]): { pieces: Piece[] } {
  const available = new Set(graph.inputs)
  const waiting = new Set(layers)
  const unfixed = new Set(ranged)
  const blocked = new Set(
    layers.flatMap(({ uses }) => uses.map(({ node }) => graph.nodeNamed(node) as number)),
  )
  const released = new Set<Layer>()
  let left = graph.order.filter((node) => !graph.isConstantNode(node))
  const pieces: Piece[] = []

  const has = (tensor: string) => available.has(tensor) || graph.isConstant(tensor)
  const ready = (layer: Layer) => layer.uses.every(({ input }) => has(input))
  const runs = (node: number) => graph.reads(node).every((tensor) => has(tensor) && !unfixed.has(tensor))
  for (;;) {
    const nodes: number[] = []
    const advance = () => {
      left = left.filter((node) => {
        if (blocked.has(node) || !runs(node)) return true
        nodes.push(node)
        for (const output of graph.nodes[node]!.output) available.add(output)
        return false
      })
    }
    advance()
    let quantize = [...waiting].filter(ready)
    let ranges = [...unfixed].filter(has)
    while (quantize.length === 0 && ranges.length === 0 && left.length > 0) {
      // All remaining nodes depend on tied weights: the earliest node of one of them runs as float.
      const early = left.find((node) => blocked.has(node) && runs(node)) as number
      released.add(
        layers.find(({ uses }) => uses.some(({ node }) => graph.nodeNamed(node) === early)) as Layer,
      )
      blocked.delete(early)
      advance()
      quantize = [...waiting].filter(ready)
      ranges = [...unfixed].filter(has)
    }
    for (const tensor of ranges) unfixed.delete(tensor)
    for (const layer of quantize) {
      waiting.delete(layer)
      for (const use of layer.uses) blocked.delete(graph.nodeNamed(use.node) as number)
    }
    pieces.push({ nodes, quantize, ranges, replay: quantize.some((layer) => released.has(layer)) })
    if (quantize.length === 0 && ranges.length === 0) break
  }
  placeConstantNodes(graph, pieces)
  return { pieces }
}

/** Constant nodes run in the first stage that reads them, or in the last one. */
function placeConstantNodes(graph: GraphIndex, pieces: readonly Piece[]): void {
  const stageOf = new Map(
    pieces.flatMap(({ nodes }, stage) => nodes.map((node): [number, number] => [node, stage])),
  )
  for (const node of graph.order.toReversed()) {
    if (!graph.isConstantNode(node)) continue
    let stage = pieces.length - 1
    for (const output of graph.nodes[node]!.output)
      for (const reader of graph.consumers(output)) stage = Math.min(stage, stageOf.get(reader) as number)
    stageOf.set(node, stage)
    pieces[stage]!.nodes.push(node)
  }
  const position = new Map(graph.order.map((node, i) => [node, i]))
  for (const { nodes } of pieces)
    nodes.sort((a, b) => (position.get(a) as number) - (position.get(b) as number))
}

/** Non-constant tensors that a node makes. */
function madeBy(graph: GraphIndex, node: number): string[] {
  return graph.isConstantNode(node) ? [] : graph.nodes[node]!.output.filter((output) => output !== '')
}

/** Adds to `differing` the outputs of `nodes` that depend on a tensor in it or on one of the nodes `sources`. */
function spread(
  graph: GraphIndex,
  nodes: readonly number[],
  sources: ReadonlySet<number>,
  differing: Set<string>,
): void {
  for (const node of nodes)
    if (sources.has(node) || graph.reads(node).some((tensor) => differing.has(tensor)))
      for (const output of madeBy(graph, node)) differing.add(output)
}
