/**
 * A read-only index over a model's graph: the producer and the readers of each tensor, which tensors are constant, and
 * an order in which the nodes can run. Tensors that the body of an If, Loop or Scan captures count as read by that
 * node. The index holds the model's own messages and never changes them; a changed model gets a new index. All of it
 * takes time linear in the file and no recursion over nodes.
 */
import { create } from '@bufbuild/protobuf'
import {
  TensorProto_DataType as DataType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
  TensorProtoSchema,
} from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { graphOf, isDefaultDomain } from './model.js'
import { captures } from './subgraphs.js'
import { isNumeric, makeInts, makeTensor } from './tensor.js'

/** What is known of a graph. Nodes are numbers: their positions in the file. */
export interface GraphIndex {
  readonly model: ModelProto
  readonly nodes: readonly NodeProto[]
  /** Node names made unique, by node index. */
  readonly names: readonly string[]
  /** Node indices, each after the producers of its inputs; the file's own order if that can run. */
  readonly order: readonly number[]
  /** The place of a node in `order`. */
  position(node: number): number
  /** Names of the graph inputs that a caller feeds: an input with an initializer is a constant. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Outputs to compute and compare: not constant, and tensors of numbers or of no declared type. */
  readonly computedOutputs: readonly string[]
  /** Whether a node makes random values, so that two runs differ. */
  readonly random: boolean
  /** The node with this unique name. */
  nodeNamed(name: string): number | undefined
  /** The node that makes the tensor; none for a graph input or an initializer. */
  producer(tensor: string): number | undefined
  /** Nodes that read the tensor, themselves or in a subgraph, each once, in file order. */
  consumers(tensor: string): readonly number[]
  /** All tensors that a node reads, captures of its subgraphs included, each once. */
  reads(node: number): readonly string[]
  /** Whether the body of an If, Loop or Scan reads the tensor. */
  isCaptured(tensor: string): boolean
  /** The dense initializer of this name. */
  initializer(tensor: string): TensorProto | undefined
  /** The sparse initializer of this name. */
  sparseInitializer(tensor: string): SparseTensorProto | undefined
  /** Whether the tensor depends on initializers only. */
  isConstant(tensor: string): boolean
  /** Whether the node makes constant tensors only. */
  isConstantNode(node: number): boolean
  /** Whether the tensor is an output of the graph. */
  isOutput(tensor: string): boolean
  /** The values of an initializer or a Constant node, also through Identity nodes. */
  constant(tensor: string): TensorProto | undefined
}

/** Operators that make random values: not constant though they read nothing. */
const RANDOM = new Set([
  'RandomNormal',
  'RandomUniform',
  'RandomNormalLike',
  'RandomUniformLike',
  'Multinomial',
  'Bernoulli',
])

const cache = new WeakMap<ModelProto, GraphIndex>()

/**
 * The index of a model, made once per model.
 * @throws {GpfqError} INVALID_MODEL for a graph that cannot run: a cycle, or a tensor without a producer or with two
 */
export function indexGraph(model: ModelProto): GraphIndex {
  let index = cache.get(model)
  if (index === undefined) {
    index = buildIndex(model, graphOf(model))
    cache.set(model, index)
  }
  return index
}

function buildIndex(model: ModelProto, graph: GraphProto): GraphIndex {
  const nodes = graph.node
  const names = uniqueNames(nodes)
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]))
  const sparse = new Map(graph.sparseInitializer.map((tensor) => [tensor.values?.name ?? '', tensor]))
  const isInitial = (tensor: string) => initializers.has(tensor) || sparse.has(tensor)
  const inputs = graph.input.map(({ name }) => name).filter((name) => !isInitial(name))
  const fed = new Set(inputs)
  const outputs = graph.output.map(({ name }) => name)
  checkDistinct(inputs)

  const producers = new Map<string, number>()
  nodes.forEach((node, i) => {
    for (const output of node.output) {
      if (output === '') continue
      if (producers.has(output) || fed.has(output) || isInitial(output))
        throw invalid(`node '${names[i]}'`, `it makes '${output}', which the graph defines already`)
      producers.set(output, i)
    }
  })

  const captured = new Set<string>()
  const reads = nodes.map((node) => {
    const own = new Set(node.input)
    own.delete('')
    for (const tensor of captures(node)) {
      captured.add(tensor)
      own.add(tensor)
    }
    return [...own]
  })
  const consumers = new Map<string, number[]>()
  reads.forEach((tensors, i) => {
    for (const tensor of tensors) {
      if (!producers.has(tensor) && !fed.has(tensor) && !isInitial(tensor))
        throw invalid(`node '${names[i]}'`, `nothing makes its input '${tensor}'`)
      const list = consumers.get(tensor)
      if (list === undefined) consumers.set(tensor, [i])
      else list.push(i)
    }
  })
  for (const output of outputs)
    if (!producers.has(output) && !fed.has(output) && !isInitial(output))
      throw invalid(`graph output '${output}'`, 'nothing makes it')

  const order = topological(
    nodes.length,
    (node) => reads[node]!.flatMap((tensor) => producers.get(tensor) ?? []),
    names,
  )

  const positions = positionsOf(order)

  const constantNode = new Uint8Array(nodes.length)
  const isConstant = (tensor: string): boolean => {
    const producer = producers.get(tensor)
    return producer === undefined ? isInitial(tensor) : constantNode[producer] === 1
  }
  for (const node of order)
    if (!RANDOM.has(nodes[node]!.opType) && reads[node]!.every(isConstant)) constantNode[node] = 1

  return {
    model,
    nodes,
    names,
    order,
    position: (node) => positions[node] as number,
    inputs,
    outputs,
    computedOutputs: [
      ...new Set(
        graph.output.filter(({ name, type }) => !isConstant(name) && isNumeric(type)).map(({ name }) => name),
      ),
    ],
    random: nodes.some(({ opType }) => RANDOM.has(opType)),
    nodeNamed: lookup(names),
    producer: (tensor) => producers.get(tensor),
    consumers: (tensor) => consumers.get(tensor) ?? [],
    reads: (node) => reads[node] ?? [],
    isCaptured: (tensor) => captured.has(tensor),
    initializer: (tensor) => initializers.get(tensor),
    sparseInitializer: (tensor) => sparse.get(tensor),
    isConstant,
    isConstantNode: (node) => constantNode[node] === 1,
    isOutput: membership(outputs),
    constant: constantsOf(nodes, initializers, producers),
  }
}

const lookup = (names: readonly string[]): ((name: string) => number | undefined) => {
  const places = new Map(names.map((name, i) => [name, i]))
  return (name) => places.get(name)
}

const membership = (names: readonly string[]): ((name: string) => boolean) => {
  const set = new Set(names)
  return (name) => set.has(name)
}

/** The place of each node in the order. */
function positionsOf(order: readonly number[]): Int32Array {
  const positions = new Int32Array(order.length)
  order.forEach((node, i) => {
    positions[node] = i
  })
  return positions
}

function checkDistinct(inputs: readonly string[]): void {
  const seen = new Set<string>()
  for (const input of inputs) {
    if (seen.has(input)) throw invalid(`graph input '${input}'`, 'the graph has two inputs of this name')
    seen.add(input)
  }
}

/** Values of constants through Identity nodes. What is found is kept for every tensor on the way. */
function constantsOf(
  nodes: readonly NodeProto[],
  initializers: ReadonlyMap<string, TensorProto>,
  producers: ReadonlyMap<string, number>,
): GraphIndex['constant'] {
  const known = new Map<string, TensorProto | undefined>(initializers)
  return (tensor) => {
    const path: string[] = []
    let name = tensor
    let value: TensorProto | undefined
    for (;;) {
      if (known.has(name)) {
        value = known.get(name)
        break
      }
      path.push(name)
      const producer = producers.get(name)
      const node = producer === undefined ? undefined : nodes[producer]
      if (node === undefined || !isDefaultDomain(node.domain)) break
      if (node.opType === 'Constant') value = constantValue(node)
      if (node.opType !== 'Identity') break
      name = node.input[0] ?? ''
    }
    for (const passed of path) known.set(passed, value)
    return value
  }
}

/** The value of a Constant node, under the name of its output. */
function constantValue(node: NodeProto): TensorProto | undefined {
  const name = node.output[0] ?? ''
  for (const attribute of node.attribute) {
    switch (attribute.name) {
      case 'value':
        return attribute.t
      case 'value_int':
        return makeInts(name, [], [Number(attribute.i)])
      case 'value_ints':
        return makeInts(name, [attribute.ints.length], attribute.ints.map(Number))
      case 'value_float':
        return makeTensor(name, DataType.FLOAT, [], Float32Array.of(attribute.f))
      case 'value_floats':
        return create(TensorProtoSchema, {
          name,
          dataType: DataType.FLOAT,
          dims: [BigInt(attribute.floats.length)],
          floatData: attribute.floats,
        })
    }
  }
  return undefined
}

/**
 * Unique names of the nodes. A node keeps its own name if no earlier node has it. Any other is named by its operator and
 * first output: that name stays the same if other nodes are inserted.
 */
function uniqueNames(nodes: readonly NodeProto[]): string[] {
  const taken = new Set(nodes.map(({ name }) => name))
  const used = new Set<string>()
  const suffixes = new Map<string, number>() // the next to try, by stem: all below are taken
  return nodes.map(({ name, opType, output }) => {
    let unique = name
    if (name === '' || used.has(name)) {
      const stem = `${name || opType}_${output[0] ?? ''}`
      unique = stem
      let n = suffixes.get(stem) ?? 2
      while (taken.has(unique) || used.has(unique)) unique = `${stem}_${n++}`
      suffixes.set(stem, n)
    }
    used.add(unique)
    return unique
  })
}

/** Depth-first post-order: the file's own order, if that order can run. */
function topological(
  count: number,
  sources: (node: number) => readonly number[],
  names: readonly string[],
): number[] {
  const order: number[] = []
  const state = new Uint8Array(count) // 0 new, 1 waiting for its sources, 2 placed
  for (let root = 0; root < count; root++) {
    const stack = [root]
    while (stack.length > 0) {
      const node = stack[stack.length - 1] as number
      if (state[node] === 0) {
        state[node] = 1
        for (const source of sources(node).toReversed()) {
          if (state[source] === 1)
            throw invalid(`node '${names[node]}'`, `it is in a cycle with '${names[source]}'`)
          if (state[source] === 0) stack.push(source)
        }
      } else {
        stack.pop()
        if (state[node] === 1) {
          state[node] = 2
          order.push(node)
        }
      }
    }
  }
  return order
}

function invalid(place: string, problem: string): GpfqError {
  return new GpfqError('INVALID_MODEL', { place, problem })
}
