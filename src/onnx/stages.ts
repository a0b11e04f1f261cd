/**
 * The calibration plan that is linear in depth: the graph is cut at the layers' inputs, and each
 * piece is run once per stream. A stage runs every node that can run without passing a layer that is not
 * quantized yet, then quantizes all layers whose inputs have thereby become available; their nodes run in the
 * next stage. So every node is in exactly one stage. Pure planning: plain data comes out.
 *
 * A weight tied across depth (one of its inputs depends on another of its nodes) cannot wait for all its inputs:
 * when nothing else can go on, its early nodes run as float. Once the last input is there it is quantized on the
 * inputs of all its nodes, and `replay` says that the quantized stream so far is void and must be computed again
 * from the graph inputs, through all stages up to this one.
 *
 * Constant tensors appear in no list: extractSegment computes them wherever they are needed.
 */
import type { GraphIndex } from './graph.js'
import type { Layer } from './layer.js'

export interface Stage {
  /** Node indices in topological order. */
  readonly nodes: readonly number[]
  /** Tensors that the nodes read: graph inputs, or outputs of earlier stages. */
  readonly inputs: readonly string[]
  /** Tensors that the nodes make and that anyone needs later: layers quantized now, later stages, the caller. */
  readonly outputs: readonly string[]
  /** All tensors, graph inputs among them, to keep when the stage is over; what else is held can go. */
  readonly live: readonly string[]
  /** Layers to quantize after the nodes have run. All their inputs are in `outputs` or in an earlier `live`. */
  readonly quantize: readonly Layer[]
  /** After quantizing, compute the quantized stream again: all nodes up to here, graph inputs to `live`. */
  readonly replay: boolean
  /** Tensors held after the nodes have run whose value in the quantized stream can differ from the float one. */
  readonly changed: readonly string[]
  /** Outputs that the nodes compute of layers quantized earlier: what their error is measured on. */
  readonly measured: readonly string[]
}

export function planStages(graph: GraphIndex, layers: readonly Layer[]): Stage[] {
  const { pieces } = cut(graph, layers)
  const stageOf = new Map<string, number>() // tensor → stage that makes it; graph inputs: −1
  for (const input of graph.inputs) stageOf.set(input, -1)
  pieces.forEach(({ nodes }, stage) => {
    for (const node of nodes) for (const output of madeBy(graph, node)) stageOf.set(output, stage)
  })

  // The last stage that needs each tensor; layers need theirs at the stage that quantizes them.
  const last = pieces.length - 1
  const neededUntil = new Map<string, number>()
  const need = (tensor: string, stage: number) => {
    if (stageOf.has(tensor)) neededUntil.set(tensor, Math.max(stage, neededUntil.get(tensor) ?? -1))
  }
  const reads = pieces.map(({ nodes }) => [...new Set(nodes.flatMap((node) => graph.reads(node)))])
  reads.forEach((tensors, stage) => {
    for (const tensor of tensors) if (stageOf.get(tensor) !== stage) need(tensor, stage)
  })
  pieces.forEach(({ quantize, replay }, stage) => {
    for (const layer of quantize) for (const use of layer.uses) need(use.input, stage)
    if (replay) for (const input of graph.inputs) need(input, stage)
  })
  for (const output of graph.computedOutputs) need(output, last + 1)

  const differing = new Set<string>()
  const usesDone = new Set<number>() // nodes of the layers quantized before the stage at hand
  const measurable = new Set<string>()
  return pieces.map(({ nodes, quantize, replay }, stage) => {
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
      replay,
      changed: held.filter((tensor) => differing.has(tensor)),
      measured: made.filter((tensor) => measurable.has(tensor)),
    }
  })
}

interface Piece {
  readonly nodes: number[]
  readonly quantize: Layer[]
  readonly replay: boolean
}

/** Which nodes run in which stage, and which layers are quantized there. */
function cut(graph: GraphIndex, layers: readonly Layer[]): { pieces: Piece[] } {
  const available = new Set(graph.inputs)
  const waiting = new Set(layers)
  const blocked = new Set(
    layers.flatMap(({ uses }) => uses.map(({ node }) => graph.nodeNamed(node) as number)),
  )
  const released = new Set<Layer>()
  let left = graph.order.filter((node) => !graph.isConstantNode(node))
  const pieces: Piece[] = []

  const has = (tensor: string) => available.has(tensor) || graph.isConstant(tensor)
  const ready = (layer: Layer) => layer.uses.every(({ input }) => has(input))
  for (;;) {
    const nodes: number[] = []
    const advance = () => {
      left = left.filter((node) => {
        if (blocked.has(node) || !graph.reads(node).every(has)) return true
        nodes.push(node)
        for (const output of graph.nodes[node]!.output) available.add(output)
        return false
      })
    }
    advance()
    let quantize = [...waiting].filter(ready)
    while (quantize.length === 0 && left.length > 0) {
      // Only tied weights are left in the way: let the earliest node of one run as float.
      const early = left.find((node) => blocked.has(node) && graph.reads(node).every(has)) as number
      released.add(
        layers.find(({ uses }) => uses.some(({ node }) => graph.nodeNamed(node) === early)) as Layer,
      )
      blocked.delete(early)
      advance()
      quantize = [...waiting].filter(ready)
    }
    for (const layer of quantize) {
      waiting.delete(layer)
      for (const use of layer.uses) blocked.delete(graph.nodeNamed(use.node) as number)
    }
    pieces.push({ nodes, quantize, replay: quantize.some((layer) => released.has(layer)) })
    if (quantize.length === 0) break
  }
  placeConstantNodes(graph, pieces)
  return { pieces }
}

/** Constant nodes run where they are first read, or last of all. */
function placeConstantNodes(graph: GraphIndex, pieces: readonly Piece[]): void {
  const stageOf = new Map(
    pieces.flatMap(({ nodes }, stage) => nodes.map((node): [number, number] => [node, stage])),
  )
  for (const node of graph.order.toReversed()) {
    if (!graph.isConstantNode(node)) continue
    const readers = graph.nodes[node]!.output.flatMap((output) => graph.consumers(output))
    const stage = Math.min(pieces.length - 1, ...readers.map((reader) => stageOf.get(reader) as number))
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

/** Adds to `differing` all outputs of `nodes` that descend from it or from one of `sources`. */
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
