/**
 * A changed copy of a graph. Edits are collected against the index of the original, which is never touched;
 * `finish` puts them together and lets go of exactly those constants (and the nodes that shaped them) that were
 * read before and are read by nobody now. Whatever was unused from the start stays, like everything else.
 */
import { create } from '@bufbuild/protobuf'
import {
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { captures, type GraphIndex, subgraphs } from './graph.js'
import { graphOf, shallowCopy } from './model.js'

/** Up to here every initializer must be declared as a graph input, too. */
const IR_WITH_DECLARED_INITIALIZERS = 3

export class GraphEdit {
  readonly graph: GraphIndex
  readonly #current = new Map<number, NodeProto | null>()
  readonly #before = new Map<number, NodeProto[]>()
  readonly #after = new Map<number, NodeProto[]>()
  readonly #initializers = new Map<string, TensorProto>()
  readonly #overwritten = new Map<string, TensorProto>()
  readonly #shared = new Map<string, string>()
  readonly #front: NodeProto[] = []
  readonly #names: Set<string>
  #temporaries = 0

  constructor(graph: GraphIndex) {
    this.graph = graph
    this.#names = tensorNames(graph)
  }

  /** A tensor name that nothing in the model bears yet. */
  fresh(stem: string): string {
    let name = stem
    for (let n = 2; this.#names.has(name); n++) name = `${stem}_${n}`
    this.#names.add(name)
    return name
  }

  /** A fresh name for a tensor between two nodes: short, since every node that is written carries a few. */
  temporary(): string {
    let name: string
    do name = `gpfq:${this.#temporaries++}`
    while (this.#names.has(name))
    this.#names.add(name)
    return name
  }

  /** Adds an initializer under the fresh name it bears. */
  add(tensor: TensorProto): string {
    this.#initializers.set(tensor.name, tensor)
    return tensor.name
  }

  /** Puts other values under the name of an initializer, for all who read it. */
  overwrite(tensor: TensorProto): void {
    this.#overwritten.set(tensor.name, tensor)
  }

  /** A constant that several places use: made once per key. */
  shared(key: string, make: (name: string) => TensorProto): string {
    let name = this.#shared.get(key)
    if (name === undefined) {
      name = this.add(make(this.fresh(key)))
      this.#shared.set(key, name)
    }
    return name
  }

  /** A tensor made by nodes in front of all others, for several places: `make` appends them and gives its name. */
  sharedNodes(key: string, make: (append: (node: NodeProto) => void) => string): string {
    let name = this.#shared.get(key)
    if (name === undefined) {
      name = make((node) => this.#front.push(node))
      this.#shared.set(key, name)
    }
    return name
  }

  /** The node as edited so far. */
  node(index: number): NodeProto {
    return this.#current.get(index) ?? this.graph.nodes[index]!
  }

  replace(index: number, node: NodeProto): void {
    this.#current.set(index, node)
  }

  remove(index: number): void {
    this.#current.set(index, null)
  }

  setInput(index: number, operand: number, tensor: string): void {
    const node = shallowCopy(this.node(index))
    const input = [...node.input]
    while (input.length < operand) input.push('')
    input[operand] = tensor
    node.input = input
    this.replace(index, node)
  }

  /** The node keeps the name that the index knows it by. */
  setOutput(index: number, tensor: string): void {
    const node = shallowCopy(this.node(index))
    node.name = this.graph.names[index]!
    node.output = [tensor, ...node.output.slice(1)]
    this.replace(index, node)
  }

  insertBefore(index: number, nodes: readonly NodeProto[]): void {
    this.#before.set(index, [...(this.#before.get(index) ?? []), ...nodes])
  }

  /** Directly behind the node, before what was put there earlier. */
  insertAfter(index: number, nodes: readonly NodeProto[]): void {
    this.#after.set(index, [...nodes, ...(this.#after.get(index) ?? [])])
  }

  /** The model with all edits made. */
  finish(): ModelProto {
    const old = graphOf(this.graph.model)
    const edited = old.node.flatMap((original, i) => {
      const node = this.#current.get(i)
      return [
        ...(this.#before.get(i) ?? []),
        ...(node === null ? [] : [node ?? original]),
        ...(this.#after.get(i) ?? []),
      ]
    })
    const { kept, read } = this.#letGo([...this.#front, ...edited])
    const dropped = (tensor: string) => this.graph.consumers(tensor).length > 0 && !read.has(tensor)
    const graph = shallowCopy(old)
    graph.node = kept
    graph.initializer = [
      ...old.initializer
        .filter(({ name }) => !dropped(name))
        .map((tensor) => this.#overwritten.get(tensor.name) ?? tensor),
      ...[...this.#initializers.values()].filter(({ name }) => read.has(name)),
    ]
    graph.input = old.input.filter(({ name }) => this.graph.initializer(name) === undefined || !dropped(name))
    if (this.graph.model.irVersion <= IR_WITH_DECLARED_INITIALIZERS)
      graph.input.push(...[...this.#initializers.values()].filter(({ name }) => read.has(name)).map(declare))
    const made = new Set(kept.flatMap(({ output }) => output))
    const removed = (tensor: string) =>
      this.graph.producer(tensor) !== undefined
        ? !made.has(tensor)
        : this.graph.initializer(tensor) && dropped(tensor)
    graph.valueInfo = old.valueInfo.filter(({ name }) => !removed(name))
    const model = shallowCopy(this.graph.model)
    model.graph = graph
    return model
  }

  /** Drops constant nodes that have lost all their readers, last ones first. */
  #letGo(nodes: readonly NodeProto[]): { kept: NodeProto[]; read: Set<string> } {
    let kept = [...nodes]
    for (;;) {
      const read = new Set(this.graph.outputs)
      for (const node of kept) for (const tensor of [...node.input, ...captures(node)]) read.add(tensor)
      const idle = new Set(
        kept.filter((node) => {
          const index = this.graph.producer(node.output[0] ?? '')
          return (
            index !== undefined &&
            this.graph.isConstantNode(index) &&
            node.output.some((output) => this.graph.consumers(output).length > 0) &&
            node.output.every((output) => !read.has(output))
          )
        }),
      )
      if (idle.size === 0) return { kept, read }
      kept = kept.filter((node) => !idle.has(node))
    }
  }
}

/** A node without a name: names cost bytes, and inspection makes up unique ones. */
export function makeNode(
  opType: string,
  input: readonly string[],
  output: string,
  attribute: NodeProto['attribute'] = [],
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, { opType, input: [...input], output: [output], attribute, domain })
}

/** Every tensor name of a graph and its subgraphs. */
function tensorNames(graph: GraphIndex): Set<string> {
  const names = new Set<string>([''])
  const visit = (nodes: readonly NodeProto[]) => {
    for (const node of nodes) {
      for (const tensor of [...node.input, ...node.output]) names.add(tensor)
      for (const body of subgraphs(node)) {
        for (const { name } of [...body.initializer, ...body.input, ...body.output]) names.add(name)
        visit(body.node)
      }
    }
  }
  visit(graph.nodes)
  const root = graphOf(graph.model)
  for (const { name } of [...root.initializer, ...root.input, ...root.output]) names.add(name)
  return names
}

function declare(tensor: TensorProto): ValueInfoProto {
  const dim = tensor.dims.map((value) => ({ value: { case: 'dimValue' as const, value } }))
  return create(ValueInfoProtoSchema, {
    name: tensor.name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, { elemType: tensor.dataType, shape: { dim } }),
      },
    }),
  })
}
