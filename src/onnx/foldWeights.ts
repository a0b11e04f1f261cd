/**
 * Folds weights that nodes pick out of stored tensors or join from several: q, k and v as slices of one matrix, the gates of an
 * LSTM in another order. Each becomes a constant of its own, so that it is a layer like others. What it was made of is dropped,
 * so only weights are folded whose sources nothing else reads, and the file does not grow. In bodies of If, Loop and Scan, too.
 * Equal weights that are made of the same tensors become one, where these tensors are.
 */
import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf'
import { tensorAttr } from './attributes.js'
import { isLink } from './chain.js'
import { ConstantValues, type FloatValues, isPicked } from './constantValues.js'
import { makeNode } from './edit.js'
import { type FlatGraph, flatGraph, type Home } from './flatGraph.js'
import { type GraphIndex, indexGraph } from './graph.js'
import { graphOf, shallowCopy } from './model.js'
import { isOther } from './otherView.js'
import { isRecurrent } from './recurrentView.js'
import { subgraphs, withBodies } from './subgraphs.js'
import { countOf, isFloatType, makeFloats } from './tensor.js'
import { freshNames, tensorNames } from './tensorNames.js'
import { isLayerOp } from './weightView.js'

export interface FoldedWeights {
  readonly model: ModelProto
  /** Stored tensors of the file that are gone, by `homeKey` → where the weights are that were made of them. */
  readonly sources: ReadonlyMap<string, readonly Home[]>
}

/** A key for where a tensor is. */
export const homeKey = ({ graph, name }: Home): string => `${graph} ${name}`

/** The weights that were folded, by `homeKey` → names of the tensors that each was made of. */
export function madeOf({ sources }: Pick<FoldedWeights, 'sources'>): ReadonlyMap<string, readonly string[]> {
  const made = new Map<string, string[]>()
  for (const [key, homes] of sources) {
    const name = key.slice(key.indexOf(' ') + 1)
    for (const home of homes) {
      const list = made.get(homeKey(home))
      if (list === undefined) made.set(homeKey(home), [name])
      else list.push(name)
    }
  }
  return made
}

/** The model with such weights as constants; the model itself if there are none. */
export function foldWeights(model: ModelProto): FoldedWeights {
  const none = { model, sources: new Map<string, readonly Home[]>() }
  const flat = flatGraph(indexGraph(model))
  const { index } = flat
  const ends = new Map<string, string>()
  const wanted = [...new Set(index.order.flatMap((node) => pickedWeights(index, node, ends)))]
  if (wanted.length === 0) return none
  const values = new ConstantValues(index, storedFloats(index))
  const found = wanted.flatMap((tensor) => {
    const value = values.of(tensor)
    const sources = value === null ? null : values.sources(tensor)
    return value === null || sources === null ? [] : [{ tensors: [tensor], value, sources }]
  })
  const folding = settle(index, joined(found))
  if (folding === null) return none
  const fresh = freshNames(new Set(tensorNames(index)))
  const weights = folding.weights.map((folded): Placed => {
    const own = flat.home(folded.tensors[0]!)
    if (folded.tensors.length === 1) return { ...folded, home: own }
    const { graph } = flat.home(folded.sources[0]!)
    return { ...folded, home: { graph, name: fresh(own.name) } }
  })
  const sources = new Map<string, Home[]>()
  for (const { home, sources: own } of weights)
    for (const source of own) {
      const key = homeKey(flat.home(source))
      const list = sources.get(key)
      if (list === undefined) sources.set(key, [home])
      else list.push(home)
    }
  return { model: new Rewriting(flat, { ...folding, weights }).model(model), sources }
}

/** The tensors behind the links in front of a node's weights that are picked or joined. @param ends what a walk has found */
function pickedWeights(graph: GraphIndex, index: number, ends: Map<string, string>): readonly string[] {
  const node = graph.nodes[index]!
  if (graph.isConstantNode(index)) return []
  const operands = isRecurrent(node) ? [1, 2] : isLayerOp(node) ? [0, 1] : isOther(node) ? [1] : []
  return operands.flatMap((operand) => {
    const tensor = node.input[operand] ?? ''
    if (tensor === '' || !graph.isConstant(tensor)) return []
    const end = endOfLinks(graph, tensor, ends)
    return isPicked(graph, end) ? [end] : []
  })
}

/** The tensor in front of all links before this one. */
function endOfLinks(graph: GraphIndex, tensor: string, ends: Map<string, string>): string {
  const passed: string[] = []
  let name = tensor
  while (!ends.has(name)) {
    const producer = graph.producer(name)
    const node = producer === undefined ? undefined : graph.nodes[producer]!
    if (node === undefined || !isLink(node)) ends.set(name, name)
    else {
      passed.push(name)
      name = node.input[0] ?? ''
    }
  }
  const end = ends.get(name)!
  for (const link of passed) ends.set(link, end)
  return end
}

/** Values of all stored float tensors. */
function storedFloats(graph: GraphIndex): number {
  const { initializer } = graphOf(graph.model)
  const constants = graph.nodes.flatMap(({ opType, output }) =>
    opType === 'Constant' ? [graph.constant(output[0] ?? '')] : [],
  )
  return [...initializer, ...constants].reduce(
    (sum, tensor) => sum + (tensor !== undefined && isFloatType(tensor.dataType) ? countOf(tensor) : 0),
    0,
  )
}

interface Folded {
  /** The tensors that are replaced, one or several equal ones. */
  readonly tensors: readonly string[]
  readonly value: FloatValues
  readonly sources: readonly string[]
}

/** A folded weight, and where it is put. */
interface Placed extends Folded {
  readonly home: Home
}

/** Equal weights that are made of the same tensors, as one. */
function joined(all: readonly Folded[]): readonly Folded[] {
  const known = new Map<string, Folded[]>()
  for (const folded of all) {
    const { dims, elemType } = folded.value
    const words = wordsOf(folded.value)
    const key = JSON.stringify([folded.sources, dims, elemType, hashOf(words)])
    const list = known.get(key) ?? []
    known.set(key, list)
    const equal = list.findIndex(({ value }) => wordsOf(value).every((word, i) => word === words[i]))
    const other = list[equal]
    if (other === undefined) list.push(folded)
    else list[equal] = { ...other, tensors: [...other.tensors, ...folded.tensors] }
  }
  return [...known.values()].flat()
}

/** The bits of values: NaN equals itself, and 0 is not −0. */
const wordsOf = ({ values }: FloatValues): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length)

/** A number that few other values have. */
const hashOf = (words: Uint32Array): number =>
  words.reduce((hash, word) => Math.imul(hash ^ word, 0x01000193), 0x811c9dc5)

interface Folding<Weight extends Folded = Folded> {
  readonly weights: readonly Weight[]
  /** Nodes that only weights which are folded need. */
  readonly absorbed: ReadonlySet<number>
  /** Constants that nothing reads any more. */
  readonly freed: ReadonlySet<string>
}

/**
 * The weights that can be folded; null if there are none. Weights that share sources are folded together or not at all: where
 * nothing else reads these sources, and the weights have no more values than they have.
 */
function settle(graph: GraphIndex, all: readonly Folded[]): Folding | null {
  const read = absorbedNodes(graph, all)
  const isFreed = (source: string): boolean =>
    !graph.isOutput(source) && graph.consumers(source).every((node) => read.has(node))
  const count = (tensor: string): number => countOf(graph.constant(tensor)!)
  const weights = grouped(all).flatMap((group) => {
    const sources = [...new Set(group.flatMap((folded) => folded.sources))]
    const before = sources.reduce((sum, source) => sum + count(source), 0)
    const after = group.reduce((sum, { value }) => sum + value.values.length, 0)
    return sources.every(isFreed) && after <= before ? group : []
  })
  if (weights.length === 0) return null
  const absorbed = weights.length === all.length ? read : absorbedNodes(graph, weights)
  const sources = new Set(weights.flatMap((folded) => folded.sources))
  return { weights, absorbed, freed: freedConstants(graph, absorbed, sources) }
}

/** Weights by the sources that they share. */
function grouped(all: readonly Folded[]): readonly (readonly Folded[])[] {
  const bySource = new Map<string, Folded[]>()
  for (const folded of all)
    for (const source of folded.sources) {
      const list = bySource.get(source)
      if (list === undefined) bySource.set(source, [folded])
      else list.push(folded)
    }
  const seen = new Set<Folded>()
  return all.flatMap((first) => {
    if (seen.has(first)) return []
    const group: Folded[] = []
    const open = [first]
    for (let folded = open.pop(); folded !== undefined; folded = open.pop()) {
      if (seen.has(folded)) continue
      seen.add(folded)
      group.push(folded)
      for (const source of folded.sources) {
        for (const other of bySource.get(source) ?? []) open.push(other)
        bySource.delete(source)
      }
    }
    return [group]
  })
}

/** Constants that only absorbed nodes read: sources, and sizes and places that are no inputs of the model. */
function freedConstants(
  graph: GraphIndex,
  absorbed: ReadonlySet<number>,
  sources: ReadonlySet<string>,
): ReadonlySet<string> {
  const declared = new Set(graphOf(graph.model).input.map(({ name }) => name))
  const read = new Set([...absorbed].flatMap((node) => graph.nodes[node]!.input))
  return new Set(
    [...read].filter(
      (tensor) =>
        (sources.has(tensor) || (graph.isConstant(tensor) && !declared.has(tensor))) &&
        !graph.isOutput(tensor) &&
        graph.consumers(tensor).every((node) => absorbed.has(node)),
    ),
  )
}

/** The constant nodes before weights whose outputs are all weights, or read by such nodes alone. */
function absorbedNodes(graph: GraphIndex, weights: readonly Folded[]): ReadonlySet<number> {
  const made = new Set(weights.flatMap(({ tensors }) => tensors))
  const before = new Set<number>()
  const open = [...made]
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    const producer = graph.producer(tensor)
    if (producer === undefined || before.has(producer)) continue
    before.add(producer)
    for (const input of graph.nodes[producer]!.input) open.push(input)
  }
  const absorbed = new Set<number>()
  for (const node of graph.order.toReversed()) {
    if (!before.has(node)) continue
    const isNeeded = (output: string): boolean =>
      graph.isOutput(output) || graph.consumers(output).some((consumer) => !absorbed.has(consumer))
    if (!graph.nodes[node]!.output.some((output) => output !== '' && !made.has(output) && isNeeded(output)))
      absorbed.add(node)
  }
  return absorbed
}

/** Writes constants in place of nodes. Graphs are walked through in the order in which flatGraph numbers them and their nodes. */
class Rewriting {
  readonly #flat: FlatGraph
  readonly #absorbed: ReadonlySet<number>
  readonly #weights: ReadonlyMap<string, Placed>
  /** Of weights that several tensors become, by graph. */
  readonly #shared = new Map<number, NodeProto[]>()
  readonly #freed: ReadonlySet<string>
  #graphs = 0
  #nodes = 0

  constructor(flat: FlatGraph, { weights, absorbed, freed }: Folding<Placed>) {
    this.#flat = flat
    this.#absorbed = absorbed
    this.#weights = new Map(
      weights.flatMap((folded) => folded.tensors.map((tensor) => [tensor, folded] as const)),
    )
    for (const folded of weights) {
      if (folded.tensors.length === 1) continue
      const { graph } = folded.home
      const list = this.#shared.get(graph)
      if (list === undefined) this.#shared.set(graph, [constantOf(folded)])
      else list.push(constantOf(folded))
    }
    this.#freed = new Set([...freed].map((source) => homeKey(flat.home(source))))
  }

  model(model: ModelProto): ModelProto {
    const old = graphOf(model)
    this.#nodes = old.node.length
    const bodies = old.node.map((node) => this.#bodiesOf(node))
    const copy = shallowCopy(model)
    copy.graph = this.#rewritten(
      old,
      0,
      bodies.flatMap((node, i) => this.#inPlace(node, i)),
    )
    return copy
  }

  #body(body: GraphProto): GraphProto {
    const graph = ++this.#graphs
    const nodes = body.node.flatMap((node) => {
      const index = this.#nodes++
      return this.#inPlace(this.#bodiesOf(node), index)
    })
    return this.#rewritten(body, graph, nodes)
  }

  #rewritten(old: GraphProto, graph: number, nodes: NodeProto[]): GraphProto {
    const isKept = ({ name }: { readonly name: string }): boolean =>
      !this.#freed.has(homeKey({ graph, name }))
    const copy = shallowCopy(old)
    copy.node = [...(this.#shared.get(graph) ?? []), ...nodes]
    copy.initializer = old.initializer.filter(isKept)
    copy.input = old.input.filter(isKept)
    copy.valueInfo = old.valueInfo.filter(isKept)
    return copy
  }

  #bodiesOf(node: NodeProto): NodeProto {
    if (subgraphs(node).length === 0) return node
    const copy = shallowCopy(node)
    copy.attribute = withBodies(node, (body) => this.#body(body))
    return copy
  }

  /** The node, or the weights that it makes. @param index in the flat graph */
  #inPlace(node: NodeProto, index: number): NodeProto[] {
    if (!this.#absorbed.has(index)) return [node]
    return this.#flat.index.nodes[index]!.output.flatMap((tensor) => {
      const folded = this.#weights.get(tensor)
      if (folded === undefined) return []
      if (folded.tensors.length === 1) return [constantOf(folded)]
      return [makeNode('Identity', [folded.home.name], this.#flat.home(tensor).name)]
    })
  }
}

const constantOf = ({ home: { name }, value: { values, dims, elemType } }: Placed): NodeProto =>
  makeNode('Constant', [], name, [tensorAttr('value', makeFloats(name, elemType, dims, values))])
