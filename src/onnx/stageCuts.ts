/**
 * Cuts a graph into the pieces that become stages (src/onnx/stages.ts): which nodes run, and which layers are quantized after
 * them. Nodes, layers and ranges count the tensors that they still wait for, so that every read is looked at once.
 */
import type { GraphIndex } from './graph.js'
import type { Layer } from './layer.js'

/** The nodes of a stage, and what is done after they have run. */
export interface Piece {
  readonly nodes: number[]
  readonly quantize: readonly Layer[]
  readonly ranges: readonly string[]
  readonly replay: boolean
}

/**
 * Which nodes run in which stage, and which layers are quantized there.
 * @param ranged tensors with a range of their own
 */
export function cutStages(
  graph: GraphIndex,
  layers: readonly Layer[],
  ranged: readonly string[],
): readonly Piece[] {
  const cutter = new Cutter(graph, layers, ranged)
  const pieces: Piece[] = []
  do pieces.push(cutter.next())
  while (!cutter.done)
  placeConstantNodes(graph, pieces)
  return pieces
}

/** Nodes of the graph that compute something else once a layer is quantized, each once. */
export function nodesOf(graph: GraphIndex, { uses, unsampled }: Layer): readonly number[] {
  const names = [...uses.map(({ node }) => node), ...unsampled.map(({ holder }) => holder)]
  return [...new Set(names.map((name) => graph.nodeNamed(name) as number))]
}

class Cutter {
  readonly #graph: GraphIndex
  readonly #layers: readonly Layer[]
  readonly #layersOf = new Map<number, number[]>() // node → the layers whose weights it reads
  readonly #waiting: number[] // inputs that each layer waits for
  readonly #waiters = new Map<string, number[]>() // tensor → layers that wait for it
  readonly #ranged: ReadonlyMap<string, number>
  readonly #unfixed: Set<string>
  readonly #missing: Int32Array // tensors that each node waits for
  readonly #blocked = new Map<number, number>() // nodes of layers that are not quantized → how many of their layers
  readonly #released = new Set<number>() // layers with a node that ran as float
  readonly #early = new Heap() // positions of blocked nodes that could run
  #run: number[] = [] // nodes that can run
  #ready: number[] = []
  #arrived: string[] = []
  #left = 0
  /** Whether the last piece has been cut. */
  done = false

  constructor(graph: GraphIndex, layers: readonly Layer[], ranged: readonly string[]) {
    this.#graph = graph
    this.#layers = layers
    this.#ranged = new Map(ranged.map((tensor, i) => [tensor, i]))
    this.#unfixed = new Set(ranged)
    this.#missing = new Int32Array(graph.nodes.length)
    this.#waiting = layers.map(({ uses }, i) => {
      const inputs = new Set(uses.map(({ input }) => input).filter((input) => !graph.isConstant(input)))
      for (const input of inputs) {
        const list = this.#waiters.get(input)
        if (list === undefined) this.#waiters.set(input, [i])
        else list.push(i)
      }
      for (const node of this.#nodesOf(i)) {
        const own = this.#layersOf.get(node)
        if (own === undefined) this.#layersOf.set(node, [i])
        else own.push(i)
        this.#blocked.set(node, (this.#blocked.get(node) ?? 0) + 1)
      }
      if (inputs.size === 0) this.#ready.push(i)
      return inputs.size
    })
    for (const node of graph.order) {
      if (graph.isConstantNode(node)) continue
      this.#left++
      this.#missing[node] = graph
        .reads(node)
        .reduce((sum, tensor) => sum + Number(!graph.isConstant(tensor)), 0)
      if (this.#missing[node] === 0) this.#runnable(node)
    }
    for (const tensor of ranged) if (graph.isConstant(tensor)) this.#arrived.push(tensor)
    for (const input of graph.inputs) this.#available(input)
  }

  /** Cuts the next piece. */
  next(): Piece {
    const nodes: number[] = []
    this.#advance(nodes)
    while (this.#ready.length === 0 && this.#arrived.length === 0 && this.#left > 0) {
      // All remaining nodes depend on tied weights: the earliest node of one of them runs as float.
      const position = this.#early.pop()
      if (position === undefined) break
      const early = this.#graph.order[position] as number
      if (!this.#blocked.delete(early)) continue
      for (const layer of this.#layersOf.get(early) ?? []) this.#released.add(layer)
      this.#run.push(early)
      this.#advance(nodes)
    }
    const ready = this.#ready.sort((a, b) => a - b)
    const ranges = this.#arrived.sort((a, b) => (this.#ranged.get(a) ?? 0) - (this.#ranged.get(b) ?? 0))
    this.#ready = []
    this.#arrived = []
    for (const tensor of ranges) {
      this.#unfixed.delete(tensor)
      this.#readable(tensor)
    }
    for (const layer of ready) for (const node of this.#nodesOf(layer)) this.#unblock(node)
    this.done = ready.length === 0 && ranges.length === 0
    return {
      nodes,
      quantize: ready.map((layer) => this.#layers[layer]!),
      ranges,
      replay: ready.some((layer) => this.#released.has(layer)),
    }
  }

  #nodesOf(layer: number): readonly number[] {
    return nodesOf(this.#graph, this.#layers[layer]!)
  }

  /** One of the layers of a node is quantized. */
  #unblock(node: number): void {
    const left = (this.#blocked.get(node) ?? 0) - 1
    if (left > 0) this.#blocked.set(node, left)
    else if (this.#blocked.delete(node) && this.#missing[node] === 0) this.#run.push(node)
  }

  /** Runs what can run. */
  #advance(nodes: number[]): void {
    for (let node = this.#run.pop(); node !== undefined; node = this.#run.pop()) {
      nodes.push(node)
      this.#left--
      for (const output of this.#graph.nodes[node]!.output) if (output !== '') this.#available(output)
    }
  }

  #available(tensor: string): void {
    for (const layer of this.#waiters.get(tensor) ?? []) {
      const waiting = (this.#waiting[layer] as number) - 1
      this.#waiting[layer] = waiting
      if (waiting === 0) this.#ready.push(layer)
    }
    if (this.#unfixed.has(tensor)) this.#arrived.push(tensor)
    else this.#readable(tensor)
  }

  #readable(tensor: string): void {
    for (const node of this.#graph.consumers(tensor)) {
      this.#missing[node] = (this.#missing[node] as number) - 1
      if (this.#missing[node] === 0) this.#runnable(node)
    }
  }

  #runnable(node: number): void {
    if (this.#blocked.has(node)) this.#early.push(this.#graph.position(node))
    else this.#run.push(node)
  }
}

/** A heap of numbers, the least first. */
class Heap {
  readonly #values: number[] = []

  push(value: number): void {
    const values = this.#values
    let at = values.length
    values.push(value)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((values[parent] as number) <= value) break
      values[at] = values[parent] as number
      at = parent
    }
    values[at] = value
  }

  pop(): number | undefined {
    const values = this.#values
    const least = values[0]
    const last = values.pop()
    if (last === undefined || values.length === 0) return least
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= values.length) break
      if (child + 1 < values.length && (values[child + 1] as number) < (values[child] as number)) child++
      if ((values[child] as number) >= last) break
      values[at] = values[child] as number
      at = child
    }
    values[at] = last
    return least
  }
}

/** Constant nodes run in the first stage that reads them, or in the last one. */
function placeConstantNodes(graph: GraphIndex, pieces: readonly Piece[]): void {
  const stageOf = new Map<number, number>()
  pieces.forEach(({ nodes }, stage) => {
    for (const node of nodes) stageOf.set(node, stage)
  })
  for (const node of graph.order.toReversed()) {
    if (!graph.isConstantNode(node)) continue
    let stage = pieces.length - 1
    for (const output of graph.nodes[node]!.output)
      for (const reader of graph.consumers(output)) stage = Math.min(stage, stageOf.get(reader) ?? stage)
    stageOf.set(node, stage)
    pieces[stage]!.nodes.push(node)
  }
  for (const { nodes } of pieces) nodes.sort((a, b) => graph.position(a) - graph.position(b))
}
