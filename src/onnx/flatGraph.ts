/**
 * A graph together with the bodies of its If, Loop and Scan nodes, as one list of nodes: layers inside bodies are found by the
 * same code as those of the graph. It is only read and never run. Nodes of the graph keep their numbers and names; those of
 * bodies follow, in the order in which a walk meets them. A body's own tensors keep their names unless another graph has
 * them, too. What goes into a body and what comes out of it counts as computed.
 *
 * Graphs are numbered in that order: 0 is the graph of the model, and a body comes before those inside it.
 */
import { create } from '@bufbuild/protobuf'
import {
  type GraphProto,
  GraphProtoSchema,
  type NodeProto,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
} from 'onnx-buf'
import { type GraphIndex, indexGraph } from './graph.js'
import { graphOf, shallowCopy } from './model.js'
import { definedIn, subgraphs } from './subgraphs.js'
import { freshNames } from './tensorNames.js'
import { valueInfo } from './valueInfo.js'

/** Where a tensor is defined: the number of a graph, and the name that the tensor has there. */
export interface Home {
  readonly graph: number
  readonly name: string
}

export interface FlatGraph {
  /** The nodes of all graphs. It is the index of the graph itself if no node has a body. */
  readonly index: GraphIndex
  /** The node of the model's graph that holds a node: the node itself, or the one whose body it is in. */
  holder(node: number): number
  /** Where a tensor of `index` is defined. */
  home(tensor: string): Home
  /** The name in `index` of a tensor that a graph defines. */
  nameOf(home: Home): string | undefined
}

const known = new WeakMap<GraphIndex, FlatGraph>()

/**
 * The flat form of a graph, made once.
 * @throws {GpfqError} INVALID_MODEL for a body that cannot run, as indexGraph
 */
export function flatGraph(graph: GraphIndex): FlatGraph {
  let flat = known.get(graph)
  if (flat === undefined) {
    flat = graph.nodes.some((node) => subgraphs(node).length > 0)
      ? new Flattening(graph).flat()
      : plain(graph)
    known.set(graph, flat)
  }
  return flat
}

const plain = (index: GraphIndex): FlatGraph => ({
  index,
  holder: (node) => node,
  home: (name) => ({ graph: 0, name }),
  nameOf: ({ name }) => name,
})

class Flattening {
  readonly #graph: GraphIndex
  readonly #parts: Required<
    Pick<GraphProto, 'node' | 'initializer' | 'sparseInitializer' | 'input' | 'output'>
  >
  readonly #holders: number[] = []
  readonly #homes = new Map<string, Home>()
  readonly #names: Map<string, string>[] = [] // of the tensors that each body defines
  readonly #meanings = new Map<string, string[]>() // of a name in the bodies at hand, the innermost last
  readonly #freshTensor: (stem: string) => string
  readonly #freshNode: (stem: string) => string
  /** Feeds all nodes with bodies, so that what they give is not constant. */
  readonly #computed: string

  constructor(graph: GraphIndex) {
    this.#graph = graph
    const { node, initializer, sparseInitializer, input, output } = graphOf(graph.model)
    this.#parts = {
      node: [],
      initializer: [...initializer],
      sparseInitializer: [...sparseInitializer],
      input: [...input],
      output: [...output],
    }
    this.#freshTensor = freshNames(
      new Set(['', ...definedIn({ node, initializer, sparseInitializer, input })]),
    )
    this.#freshNode = freshNames(new Set(graph.names))
    this.#computed = this.#freshTensor('computed')
    this.#parts.input.push(valueInfo(this.#computed))
  }

  flat(): FlatGraph {
    const { nodes, names } = this.#graph
    const holding = nodes.flatMap((node, i) => (subgraphs(node).length > 0 ? [i] : []))
    this.#parts.node = nodes.map((node, i) => this.#ofGraph(node, i, names[i]!))
    for (const holder of holding) this.#bodiesOf(nodes[holder]!, holder)
    const model = shallowCopy(this.#graph.model)
    model.graph = create(GraphProtoSchema, this.#parts)
    const index = indexGraph(model)
    return {
      index,
      holder: (node) => (node < nodes.length ? node : this.#holders[node - nodes.length]!),
      home: (name) => this.#homes.get(name) ?? { graph: 0, name },
      nameOf: ({ graph, name }) => (graph === 0 ? name : this.#names[graph - 1]?.get(name)),
    }
  }

  #ofGraph(node: NodeProto, index: number, name: string): NodeProto {
    const bodies = subgraphs(node).length > 0
    if (!bodies && node.name === name) return node
    const copy = shallowCopy(node)
    copy.name = name
    if (bodies) this.#strip(copy, this.#graph.isConstantNode(index))
    return copy
  }

  /** Leaves the bodies out of a node. */
  #strip(node: NodeProto, constant: boolean): void {
    node.attribute = node.attribute.filter(({ g, graphs }) => g === undefined && graphs.length === 0)
    if (!constant) node.input = [...node.input, this.#computed]
  }

  #bodiesOf(node: NodeProto, holder: number): void {
    for (const body of subgraphs(node)) this.#body(body, holder)
  }

  #body(body: GraphProto, holder: number): void {
    const own = new Map<string, string>()
    this.#names.push(own)
    const graph = this.#names.length
    for (const name of definedIn(body)) {
      if (name === '' || own.has(name)) continue
      const flat = this.#freshTensor(name)
      own.set(name, flat)
      this.#homes.set(flat, { graph, name })
      const meanings = this.#meanings.get(name)
      if (meanings === undefined) this.#meanings.set(name, [flat])
      else meanings.push(flat)
    }
    this.#values(body)
    for (const node of body.node) {
      const copy = shallowCopy(node)
      copy.name = this.#freshNode(node.name || `${node.opType}_${node.output[0] ?? ''}`)
      copy.input = node.input.map((name) => this.#meaning(name))
      copy.output = node.output.map((name) => this.#meaning(name))
      if (subgraphs(node).length > 0) this.#strip(copy, false)
      this.#parts.node.push(copy)
      this.#holders.push(holder)
      this.#bodiesOf(node, holder)
    }
    for (const name of own.keys()) this.#meanings.get(name)!.pop()
  }

  /** What a body defines beside its nodes, and what it gives. A value that is given from outside is no constant. */
  #values({ initializer, sparseInitializer, input, output }: GraphProto): void {
    const given = new Set(input.map(({ name }) => name))
    const renamed = (tensor: TensorProto): TensorProto => withName(tensor, this.#meaning(tensor.name))
    this.#parts.initializer.push(...initializer.filter(({ name }) => !given.has(name)).map(renamed))
    for (const sparse of sparseInitializer) {
      const values = sparse.values ?? create(TensorProtoSchema)
      if (given.has(values.name)) continue
      const copy = shallowCopy(sparse)
      copy.values = renamed(values)
      this.#parts.sparseInitializer.push(copy)
    }
    const declared = (value: ValueInfoProto): ValueInfoProto => withName(value, this.#meaning(value.name))
    this.#parts.input.push(...input.filter(({ name }) => name !== '').map(declared))
    this.#parts.output.push(...output.map(declared))
  }

  #meaning(name: string): string {
    return this.#meanings.get(name)?.at(-1) ?? name
  }
}

function withName<T extends TensorProto | ValueInfoProto>(message: T, name: string): T {
  if (message.name === name) return message
  const copy = shallowCopy(message)
  copy.name = name
  return copy
}
