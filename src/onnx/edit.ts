/**
 * A changed copy of a graph. Edits are collected against the index of the original, which stays as it is. `finish`
 * applies them and drops the constants, and the nodes that compute constants, that had readers before and have none
 * now. Everything else stays, constants that were unused from the start among it.
 */
import { create } from '@bufbuild/protobuf'
import {
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  type ValueInfoProto,
} from 'onnx-buf'
import type { GraphIndex } from './graph.js'
import { graphOf, shallowCopy } from './model.js'
import { captures } from './subgraphs.js'
import { freshNames, tensorNames } from './tensorNames.js'
import { valueInfo } from './valueInfo.js'

/** Up to this IR version every initializer must be declared as a graph input, too. */
export const IR_WITH_DECLARED_INITIALIZERS = 3

/** Collects edits of one graph; `finish` makes the changed model. */
export class GraphEdit {
  readonly graph: GraphIndex
  readonly #current = new Map<number, NodeProto | null>()
  readonly #before = new Map<number, NodeProto[]>()
  readonly #after = new Map<number, NodeProto[]>() // the last one first
  readonly #initializers = new Map<string, TensorProto>()
  readonly #overwritten = new Map<string, TensorProto>()
  readonly #computed = new Set<string>() // initializers that nodes make now
  readonly #retyped = new Map<string, number>()
  readonly #shared = new Map<string, string>()
  readonly #front: NodeProto[] = []
  readonly #names: Set<string>
  readonly #fresh: (stem: string) => string
  #temporaries = 0

  constructor(graph: GraphIndex) {
    this.graph = graph
    this.#names = new Set(tensorNames(graph))
    this.#fresh = freshNames(this.#names)
  }

  /** A tensor name that the model does not have yet: `stem`, or `stem` with a number. */
  fresh(stem: string): string {
    return this.#fresh(stem)
  }

  /** A fresh name for a tensor between two nodes: short, because every written node contains some. */
  temporary(stem = 'gpfq:'): string {
    let name: string
    do name = `${stem}${this.#temporaries++}`
    while (this.#names.has(name))
    this.#names.add(name)
    return name
  }

  /**
   * Adds an initializer, whose name must be fresh.
   * @returns its name
   */
  add(tensor: TensorProto): string {
    this.#initializers.set(tensor.name, tensor)
    return tensor.name
  }

  /** Replaces an initializer for all of its readers. */
  overwrite(tensor: TensorProto): void {
    this.#overwritten.set(tensor.name, tensor)
  }

  /** Lets nodes make a tensor that was an initializer, in front of all other nodes but those that were put there earlier. */
  replaceInitializer(tensor: string, nodes: readonly NodeProto[]): void {
    this.#computed.add(tensor)
    for (const node of nodes) this.#front.push(node)
  }

  /** The name of a constant that several nodes use: made once per key. @param stem of the name; by default the key */
  shared(key: string, make: (name: string) => TensorProto, stem?: string): string {
    let name = this.#shared.get(key)
    if (name === undefined) {
      name = this.add(make(stem === undefined ? this.fresh(key) : this.temporary(stem)))
      this.#shared.set(key, name)
    }
    return name
  }

  /**
   * A tensor that several nodes use, computed in front of all other nodes: made once per key.
   * @param make appends the nodes and returns the tensor's name
   */
  sharedNodes(key: string, make: (append: (node: NodeProto) => void) => string): string {
    let name = this.#shared.get(key)
    if (name === undefined) {
      name = make((node) => this.#front.push(node))
      this.#shared.set(key, name)
    }
    return name
  }

  /** Declares an input of the graph, a tensor, with another element type. */
  retypeInput(tensor: string, elemType: number): void {
    this.#retyped.set(tensor, elemType)
  }

  /** The node as edited so far. */
  node(index: number): NodeProto {
    return this.#current.get(index) ?? this.graph.nodes[index]!
  }

  /** Puts another node in the place of this one. */
  replace(index: number, node: NodeProto): void {
    this.#current.set(index, node)
  }

  /** Leaves the node out. */
  remove(index: number): void {
    this.#current.set(index, null)
  }

  /** Lets the node read `tensor` as its input number `operand`. */
  setInput(index: number, operand: number, tensor: string): void {
    const node = shallowCopy(this.node(index))
    const input = [...node.input]
    while (input.length < operand) input.push('')
    input[operand] = tensor
    node.input = input
    this.replace(index, node)
  }

  /** Lets the node write its first output to `tensor`. It keeps the unique name that the index gave it. */
  setOutput(index: number, tensor: string): void {
    this.renameOutput(index, this.node(index).output[0] ?? '', tensor)
  }

  /** Lets the node write the output called `from` to `to`. It keeps the unique name that the index gave it. */
  renameOutput(index: number, from: string, to: string): void {
    const node = shallowCopy(this.node(index))
    node.name = this.graph.names[index]!
    node.output = node.output.map((output) => (output === from ? to : output))
    this.replace(index, node)
  }

  /** Inserts directly in front of the node, behind what was inserted there earlier. */
  insertBefore(index: number, nodes: readonly NodeProto[]): void {
    const list = this.#before.get(index) ?? []
    for (const node of nodes) list.push(node)
    this.#before.set(index, list)
  }

  /** Inserts directly behind the node, in front of what was inserted there earlier. */
  insertAfter(index: number, nodes: readonly NodeProto[]): void {
    const list = this.#after.get(index) ?? []
    for (const node of nodes.toReversed()) list.push(node)
    this.#after.set(index, list)
  }

  /** The model with all edits made. */
  finish(): ModelProto {
    const old = graphOf(this.graph.model)
    const edited = old.node.flatMap((original, i) => {
      const node = this.#current.get(i)
      return [
        ...(this.#before.get(i) ?? []),
        ...(node === null ? [] : [node ?? original]),
        ...(this.#after.get(i)?.toReversed() ?? []),
      ]
    })
    const { kept, read } = this.#dropUnread([...this.#front, ...edited])
    const dropped = (tensor: string) =>
      this.#computed.has(tensor) || (this.graph.consumers(tensor).length > 0 && !read.has(tensor))
    const added = [...this.#initializers.values()].filter(({ name }) => read.has(name))
    const graph = shallowCopy(old)
    graph.node = kept
    graph.initializer = [
      ...old.initializer
        .filter(({ name }) => !dropped(name))
        .map((tensor) => this.#overwritten.get(tensor.name) ?? tensor),
      ...added,
    ]
    graph.input = old.input.filter(({ name }) => this.graph.initializer(name) === undefined || !dropped(name))
    if (this.#retyped.size > 0) graph.input = graph.input.map((input) => this.#withType(input))
    if (this.graph.model.irVersion <= IR_WITH_DECLARED_INITIALIZERS)
      graph.input = [
        ...graph.input,
        ...added.map(({ name, dataType, dims }) => valueInfo(name, dataType, dims)),
      ]
    const made = new Set(kept.flatMap(({ output }) => output))
    const removed = (tensor: string) =>
      !made.has(tensor) &&
      (this.graph.producer(tensor) !== undefined || (this.graph.initializer(tensor) && dropped(tensor)))
    graph.valueInfo = old.valueInfo.filter(({ name }) => !removed(name))
    const model = shallowCopy(this.graph.model)
    model.graph = graph
    return model
  }

  #withType(input: ValueInfoProto): ValueInfoProto {
    const elemType = this.#retyped.get(input.name)
    if (elemType === undefined || input.type?.value.case !== 'tensorType') return input
    const copy = shallowCopy(input)
    copy.type = shallowCopy(input.type)
    copy.type.value = { case: 'tensorType', value: { ...shallowCopy(input.type.value.value), elemType } }
    return copy
  }

  /**
   * Drops constant nodes that had readers and have none left, and then those that only they read.
   * @returns the other nodes, and the tensors that these and the caller of the model read
   */
  #dropUnread(nodes: readonly NodeProto[]): { kept: NodeProto[]; read: Set<string> } {
    const readers = new Map<string, number>()
    const count = (tensor: string, by: number) => readers.set(tensor, (readers.get(tensor) ?? 0) + by)
    const makers = new Map<string, NodeProto>()
    for (const output of this.graph.outputs) count(output, 1)
    for (const node of nodes) {
      for (const tensor of readsOf(node)) count(tensor, 1)
      for (const output of node.output) makers.set(output, node)
    }
    const isUnread = (node: NodeProto) => {
      const index = this.graph.producer(node.output[0] ?? '')
      return (
        index !== undefined &&
        this.graph.isConstantNode(index) &&
        node.output.some((output) => this.graph.consumers(output).length > 0) &&
        node.output.every((output) => (readers.get(output) ?? 0) === 0)
      )
    }
    const dropped = new Set<NodeProto>()
    const open = nodes.filter(isUnread)
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (dropped.has(node)) continue
      dropped.add(node)
      for (const tensor of readsOf(node)) {
        count(tensor, -1)
        const maker = makers.get(tensor)
        if (maker !== undefined && isUnread(maker)) open.push(maker)
      }
    }
    const read = new Set([...readers].filter(([, n]) => n > 0).map(([tensor]) => tensor))
    return { kept: nodes.filter((node) => !dropped.has(node)), read }
  }
}

function readsOf(node: NodeProto): readonly string[] {
  return [...node.input, ...captures(node)]
}

/** A node without a name: names cost bytes, and `indexGraph` gives unique ones. */
export function makeNode(
  opType: string,
  input: readonly string[],
  output: string,
  attribute: NodeProto['attribute'] = [],
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, { opType, input: [...input], output: [output], attribute, domain })
}
