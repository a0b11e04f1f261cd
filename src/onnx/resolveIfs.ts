/**
 * Resolves the Ifs whose condition follows from constants and from inputs that always have one value: the branch that runs
 * becomes part of the graph around the node, and the other one is dropped. So its layers can be calibrated, and the file holds
 * what is used. Ifs in bodies and in chosen branches are resolved, too. Every input stays in the signature, read or not.
 *
 * Names that are defined in several graphs get a number where a branch moves outwards. Nodes and constants that nothing
 * reads afterwards are dropped. The time is linear in the model.
 */
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from 'onnx-buf'
import type { Tensor } from '../tensor/tensor.js'
import { attributeOf } from './attributes.js'
import { IR_WITH_DECLARED_INITIALIZERS, makeNode } from './edit.js'
import { exact, foldNode, MOST_VALUES, type SmallTensor, smallOf } from './foldSmall.js'
import { indexGraph } from './graph.js'
import { graphOf, isDefaultDomain, shallowCopy } from './model.js'
import { captures, definedIn, subgraphs, withBodies } from './subgraphs.js'
import { dimsOf } from './tensor.js'
import { freshNames, tensorNames } from './tensorNames.js'
import { valueInfo } from './valueInfo.js'

/** An If that was resolved, and the branch that runs. */
export interface ResolvedIf {
  readonly name: string
  readonly branch: 'then' | 'else'
}

/**
 * The model without the Ifs that can be resolved; the model itself if there are none.
 * @param values of inputs, which they always have
 */
export function resolveIfs(
  model: ModelProto,
  values: ReadonlyMap<string, Tensor>,
): { readonly model: ModelProto; readonly resolved: readonly ResolvedIf[] } {
  if (!graphOf(model).node.some((node) => subgraphs(node).length > 0)) return { model, resolved: [] }
  const resolver = new Resolver(model, values)
  const graph = resolver.graph()
  if (resolver.resolved.length === 0) return { model, resolved: [] }
  const copy = shallowCopy(model)
  copy.graph = withoutUnread(declared(model, graph))
  return { model: copy, resolved: resolver.resolved }
}

/** The graph with initializers of branches declared as inputs, where the IR version requires it. */
function declared({ irVersion }: ModelProto, graph: GraphProto): GraphProto {
  if (irVersion > IR_WITH_DECLARED_INITIALIZERS) return graph
  const inputs = new Set(graph.input.map(({ name }) => name))
  const added = graph.initializer.filter(({ name }) => !inputs.has(name))
  graph.input = [...graph.input, ...added.map(({ name, dataType, dims }) => valueInfo(name, dataType, dims))]
  return graph
}

/** What a graph gets from the branches that move into it. */
type Parts = Pick<GraphProto, 'node' | 'initializer' | 'sparseInitializer' | 'valueInfo'>

class Resolver {
  readonly resolved: ResolvedIf[] = []
  readonly #model: ModelProto
  readonly #order: readonly number[]
  readonly #definitions = new Map<string, number>()
  readonly #freshTensor: (stem: string) => string
  readonly #freshNode: (stem: string) => string
  readonly #meanings = new Map<string, string[]>() // of a name in the graphs at hand, the innermost last
  readonly #known = new Map<string, SmallTensor>() // by name after renaming
  readonly #dims = new Map<string, readonly number[]>()

  constructor(model: ModelProto, values: ReadonlyMap<string, Tensor>) {
    const index = indexGraph(model)
    this.#model = model
    this.#order = index.order
    this.#freshTensor = freshNames(new Set(tensorNames(index)))
    this.#freshNode = freshNames(new Set(index.names))
    const count = (graph: GraphProto): void => {
      for (const name of new Set(definedIn(graph)))
        this.#definitions.set(name, (this.#definitions.get(name) ?? 0) + 1)
      for (const node of graph.node) for (const body of subgraphs(node)) count(body)
    }
    count(graphOf(model))
    for (const { name, type } of graphOf(model).input) {
      const dims = type?.value.case === 'tensorType' ? fixedDims(type.value.value.shape?.dim) : undefined
      if (dims !== undefined) this.#dims.set(name, dims)
    }
    for (const [name, tensor] of values) {
      this.#dims.set(name, tensor.dims)
      const small = smallTensor(tensor)
      if (small !== undefined) this.#known.set(name, small)
    }
  }

  graph(): GraphProto {
    const old = graphOf(this.#model)
    const copy = shallowCopy(old)
    const parts: Parts = {
      node: [],
      initializer: [...old.initializer],
      sparseInitializer: [...old.sparseInitializer],
      valueInfo: [...old.valueInfo],
    }
    this.#learn(old.initializer)
    for (const node of this.#order) this.#add(old.node[node]!, parts, false)
    return Object.assign(copy, parts)
  }

  #learn(initializers: readonly TensorProto[]): void {
    for (const tensor of initializers) {
      const name = this.#meaning(tensor.name)
      this.#dims.set(name, dimsOf(tensor))
      const value = smallOf(tensor)
      if (value !== undefined) this.#known.set(name, value)
    }
  }

  #meaning(name: string): string {
    return this.#meanings.get(name)?.at(-1) ?? name
  }

  /** Adds a node to a graph, or in its place the branch that runs. @param moved whether it comes out of a branch */
  #add(node: NodeProto, parts: Parts, moved: boolean): void {
    const branch = this.#branchOf(node)
    if (branch !== null) {
      this.#inline(node, branch, parts)
      return
    }
    const copy = shallowCopy(node)
    copy.input = node.input.map((name) => this.#meaning(name))
    copy.output = node.output.map((name) => this.#meaning(name))
    if (moved && node.name !== '') copy.name = this.#freshNode(node.name)
    const value = constantOf(node) ?? foldNode(copy, this.#knowledge)
    if (value !== undefined) this.#known.set(copy.output[0] ?? '', value)
    if (subgraphs(node).length > 0) copy.attribute = withBodies(node, (body) => this.#body(body))
    parts.node.push(copy)
  }

  readonly #knowledge = {
    value: (tensor: string) => this.#known.get(tensor),
    dims: (tensor: string) => this.#dims.get(tensor),
  }

  /** The branch of an If that always runs. */
  #branchOf(node: NodeProto): { readonly body: GraphProto; readonly branch: ResolvedIf['branch'] } | null {
    if (node.opType !== 'If' || !isDefaultDomain(node.domain)) return null
    const condition = this.#known.get(this.#meaning(node.input[0] ?? ''))
    if (condition?.values.length !== 1) return null
    const branch = condition.values[0] === 0 ? 'else' : 'then'
    const body = attributeOf(node, `${branch}_branch`)?.g
    const fits = body !== undefined && body.input.length === 0 && body.output.length >= node.output.length
    return fits ? { body, branch } : null
  }

  /** Moves a branch into the graph around it. What it gives has the names of the node's outputs. */
  #inline(
    node: NodeProto,
    { body, branch }: { readonly body: GraphProto; readonly branch: ResolvedIf['branch'] },
    parts: Parts,
  ): void {
    this.resolved.push({ name: node.name || node.output[0] || node.opType, branch })
    const outputs = node.output.map((name) => this.#meaning(name))
    const own = new Set(definedIn(body))
    own.delete('')
    const made = new Set(body.node.flatMap(({ output }) => output))
    const given = new Map<string, string>() // what the branch makes → the node's output that it is
    body.output.forEach(({ name }, i) => {
      const output = outputs[i] ?? ''
      if (output !== '' && made.has(name) && !given.has(name)) given.set(name, output)
    })
    this.#enter(own, (name) => {
      const output = given.get(name)
      if (output !== undefined) return output
      return (this.#definitions.get(name) ?? 0) > 1 ? this.#freshTensor(name) : name
    })
    this.#learn(body.initializer)
    parts.initializer.push(...body.initializer.map((tensor) => this.#renamed(tensor)))
    parts.sparseInitializer.push(
      ...body.sparseInitializer.map((sparse) => {
        const copy = shallowCopy(sparse)
        if (sparse.values !== undefined) copy.values = this.#renamed(sparse.values)
        return copy
      }),
    )
    const outside = new Set(outputs)
    const declared = body.valueInfo.map((value) => this.#renamed(value))
    parts.valueInfo.push(...declared.filter(({ name }) => !outside.has(name)))
    for (const inner of body.node) this.#add(inner, parts, true)
    body.output.forEach(({ name }, i) => {
      const output = outputs[i] ?? ''
      const source = this.#meaning(name)
      if (output === '' || source === output) return
      parts.node.push(makeNode('Identity', [source], output))
      const value = this.#known.get(source)
      if (value !== undefined) this.#known.set(output, value)
    })
    this.#leave(own)
  }

  /** A body that stays, with what can be resolved inside. */
  #body(body: GraphProto): GraphProto {
    const own = new Set(definedIn(body))
    own.delete('')
    this.#enter(own, (name) => name)
    const parts: Parts = {
      node: [],
      initializer: [...body.initializer],
      sparseInitializer: [...body.sparseInitializer],
      valueInfo: [...body.valueInfo],
    }
    const given = new Set(body.input.map(({ name }) => name))
    this.#learn(body.initializer.filter(({ name }) => !given.has(name)))
    for (const node of body.node) this.#add(node, parts, false)
    const copy = Object.assign(shallowCopy(body), parts)
    copy.output = body.output.map((value) => this.#renamed(value))
    this.#leave(own)
    for (const name of own) {
      this.#known.delete(name)
      this.#dims.delete(name)
    }
    return copy
  }

  #enter(names: ReadonlySet<string>, meaning: (name: string) => string): void {
    for (const name of names) {
      const list = this.#meanings.get(name)
      if (list === undefined) this.#meanings.set(name, [meaning(name)])
      else list.push(meaning(name))
    }
  }

  #leave(names: ReadonlySet<string>): void {
    for (const name of names) this.#meanings.get(name)!.pop()
  }

  #renamed<T extends TensorProto | ValueInfoProto>(message: T): T {
    const name = this.#meaning(message.name)
    if (name === message.name) return message
    const copy = shallowCopy(message)
    copy.name = name
    return copy
  }
}

type Dim = NonNullable<
  Extract<NonNullable<ValueInfoProto['type']>['value'], { case: 'tensorType' }>['value']['shape']
>['dim']

/** The dims of an input, if all are fixed. */
function fixedDims(dims: Dim | undefined): number[] | undefined {
  const fixed = dims?.flatMap(({ value }) =>
    value.case === 'dimValue' && value.value > 0n ? Number(value.value) : [],
  )
  return fixed?.length === dims?.length ? fixed : undefined
}

/** The value of a Constant node. */
function constantOf(node: NodeProto): SmallTensor | undefined {
  if (node.opType !== 'Constant' || !isDefaultDomain(node.domain)) return undefined
  const [attribute] = node.attribute
  switch (attribute?.name) {
    case 'value':
      return attribute.t && smallOf(attribute.t)
    case 'value_int':
      return exact([], [Number(attribute.i)])
    case 'value_float':
      return { dims: [], values: [attribute.f] }
    default:
      return undefined
  }
}

/** The values of a tensor, if they are few and float64 holds them. */
function smallTensor({ type, dims, data }: Tensor): SmallTensor | undefined {
  if (data.length > MOST_VALUES || type === 'float16') return undefined
  const values = Array.from<number | bigint, number>(data, Number)
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? exact(dims, values)
    : { dims, values }
}

/** A graph without the nodes and constants that nothing reads. */
function withoutUnread(graph: GraphProto): GraphProto {
  const readers = new Map<string, number>()
  const count = (tensor: string, by: number) => readers.set(tensor, (readers.get(tensor) ?? 0) + by)
  const makers = new Map<string, NodeProto>()
  for (const { name } of graph.output) count(name, 1)
  for (const node of graph.node) {
    for (const tensor of [...node.input, ...captures(node)]) count(tensor, 1)
    for (const output of node.output) if (output !== '') makers.set(output, node)
  }
  const isRead = (tensor: string) => tensor !== '' && (readers.get(tensor) ?? 0) > 0
  const dropped = new Set<NodeProto>()
  const open = graph.node.filter(({ output }) => !output.some(isRead))
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (dropped.has(node)) continue
    dropped.add(node)
    for (const tensor of [...node.input, ...captures(node)]) {
      count(tensor, -1)
      const maker = makers.get(tensor)
      if (maker !== undefined && !maker.output.some(isRead)) open.push(maker)
    }
  }
  const unread = new Set(
    [
      ...graph.initializer.map(({ name }) => name),
      ...graph.sparseInitializer.map(({ values }) => values?.name ?? ''),
    ].filter((name) => !isRead(name)),
  )
  const copy = shallowCopy(graph)
  copy.node = graph.node.filter((node) => !dropped.has(node))
  copy.initializer = graph.initializer.filter(({ name }) => !unread.has(name))
  copy.sparseInitializer = graph.sparseInitializer.filter(({ values }) => !unread.has(values?.name ?? ''))
  copy.input = graph.input.filter(({ name }) => !unread.has(name))
  const made = new Set([...makers].flatMap(([name, maker]) => (dropped.has(maker) ? [] : [name])))
  copy.valueInfo = graph.valueInfo.filter(({ name }) => made.has(name))
  return copy
}
