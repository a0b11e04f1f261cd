/**
 * A part of a model as a model of its own, for the calibration streams: some nodes, the constants that they need, and
 * tensors of the graph as inputs and outputs. Layers can be given other weights. Only the layer's nodes read them; other
 * readers of the same initializer (the Gather of an embedding, for example) keep the original.
 *
 * Opsets, functions and the IR version stay. Inputs and outputs are declared without shapes: batch sizes vary, and ONNX
 * Runtime infers the rest.
 */
import { create } from '@bufbuild/protobuf'
import { GraphProtoSchema, type ModelProto, type NodeProto, type TensorProto } from 'onnx-buf'
import { rangeError, typeError } from '../checks.js'
import { makeNode } from './edit.js'
import { type GraphIndex, indexGraph } from './graph.js'
import { layerAt } from './layers.js'
import { encodeModel, graphOf, shallowCopy } from './model.js'
import { captures } from './subgraphs.js'
import { makeFloats } from './tensor.js'
import { freeSuffix, freshIn, tensorNames } from './tensorNames.js'
import { valueInfo } from './valueInfo.js'
import { toNodeLayout, type WeightView } from './weightView.js'

/** A tensor that is fed to the segment. */
export interface SegmentInput {
  readonly name: string
  /** ONNX element type, see ELEM_TYPES. */
  readonly elemType: number
}

/** Names of a segment's inputs and outputs that are not those of the tensors. */
export interface PortNames {
  /** The name under which a layer reads its input rounded to 8 bits, where the other readers of that tensor do not. */
  rounded(tensor: string): string
  /**
   * The name under which a tensor is fed or fetched: its own, unless no JavaScript object has a value of that name. ONNX
   * Runtime takes and gives tensors as properties, and `__proto__` is none.
   */
  port(tensor: string): string
}

/** The names for a model, none of which its tensors have. */
export function portNames(graph: GraphIndex): PortNames {
  const rounded = freeSuffix(graph, ':rounded')
  const port = freeSuffix(graph, ':port')
  return {
    rounded: (tensor) => `${tensor}${rounded}`,
    port: (tensor) => (tensor === '__proto__' ? `${tensor}${port}` : tensor),
  }
}

/** What layers of a segment have instead of their own. */
export interface LayerChanges {
  /** Layer name → values (groups, inputs, neurons). */
  readonly weights?: ReadonlyMap<string, Float32Array>
  /** Whether the nodes of a layer of `weights` read their input under the name PortNames.rounded. */
  readonly rounded?: (layer: string) => boolean
  /** Default: those of the model. */
  readonly names?: PortNames
}

/**
 * Bytes of a model that computes `outputs` from `inputs`. It takes the nodes that it needs; constant tensors are computed
 * inside. The time goes with what is taken, not with the model.
 * @param inputs and outputs: tensors, or names of PortNames.rounded; they are fed and fetched as PortNames.port says
 * @throws {TypeError} for a tensor that neither the inputs nor the nodes give
 * @throws {RangeError} for weights of another size
 */
export function extractSegment(
  model: ModelProto,
  inputs: readonly SegmentInput[],
  outputs: readonly string[],
  { weights = new Map(), rounded = () => false, names }: LayerChanges = {},
): Uint8Array {
  const graph = indexGraph(model)
  const { port, rounded: roundedName } = names ?? portNames(graph)
  const changes = new Weights(graph, weights, rounded, roundedName)
  const types = new Map(inputs.map(({ name, elemType }) => [name, elemType]))
  const { taken, read } = closure(graph, new Set(types.keys()), outputs, changes)

  const aliased = (name: string) => port(name) !== name
  const wired = inputs.filter(({ name }) => read.has(name))
  const copy = shallowCopy(model)
  copy.graph = create(GraphProtoSchema, {
    name: graphOf(model).name || 'segment',
    node: [
      ...wired
        .filter(({ name }) => aliased(name))
        .map(({ name }) => makeNode('Identity', [port(name)], name)),
      ...taken.map((node) => changes.nodeOf(node)),
      ...outputs
        .filter((name) => aliased(name) && !types.has(name))
        .map((name) => makeNode('Identity', [name], port(name))),
    ],
    initializer: [
      ...[...read].flatMap((name) => graph.initializer(name) ?? []),
      ...changes.constants.values(),
    ],
    sparseInitializer: [...read].flatMap((name) => graph.sparseInitializer(name) ?? []),
    input: wired.map(({ name, elemType }) => valueInfo(port(name), elemType)),
    output: outputs.map((name) => valueInfo(port(name), types.get(name))),
  })
  copy.metadataProps = []
  return encodeModel(copy)
}

/** The nodes of layers with other weights, made when they are taken into a segment. */
class Weights {
  /** The weights of the nodes that were taken. */
  readonly constants = new Map<string, TensorProto>()
  readonly #graph: GraphIndex
  readonly #weights: ReadonlyMap<string, Float32Array>
  readonly #rounded: (layer: string) => boolean
  readonly #roundedName: (tensor: string) => string
  readonly #nodes = new Map<number, NodeProto>()
  readonly #names = new Map<string, string>()

  constructor(
    graph: GraphIndex,
    weights: ReadonlyMap<string, Float32Array>,
    rounded: (layer: string) => boolean,
    roundedName: (tensor: string) => string,
  ) {
    this.#graph = graph
    this.#weights = weights
    this.#rounded = rounded
    this.#roundedName = roundedName
  }

  /** The node, with the layer's weights if it has others. */
  nodeOf(index: number): NodeProto {
    const original = this.#graph.nodes[index]!
    const known = this.#nodes.get(index)
    const own = layerAt(this.#graph, index)
    const values = own === undefined ? undefined : this.#weights.get(own.layer)
    if (known !== undefined || own === undefined || values === undefined) return known ?? original
    const { layer, view } = own
    const node = shallowCopy(original)
    node.input = node.input.with(view.operand, this.#constant(layer, view, values))
    if (this.#rounded(layer)) node.input = node.input.with(1 - view.operand, this.#roundedName(view.input))
    this.#nodes.set(index, node)
    return node
  }

  /** The weight as a node reads it. */
  #constant(layer: string, view: WeightView, values: Float32Array): string {
    const key = JSON.stringify([layer, view.tensor])
    const known = this.#names.get(key)
    if (known !== undefined) return known
    const stem = `${view.tensor}:${layer}:quantized`
    const name = freshIn((taken) => tensorNames(this.#graph).has(taken) || this.constants.has(taken), stem)
    const expected = view.groups * view.inputs * view.neurons
    if (values.length !== expected)
      throw rangeError(`weights of '${layer}'`, `${expected} values`, values.length)
    const atNode = toNodeLayout(view, values, new Float32Array(values.length))
    this.constants.set(name, makeFloats(name, view.chain.elemType, view.chain.dims, atNode))
    this.#names.set(key, name)
    return name
  }
}

/** Nodes that `outputs` need, up to the given tensors, in the order of the graph, and all tensors that these nodes read. */
function closure(
  graph: GraphIndex,
  given: ReadonlySet<string>,
  outputs: readonly string[],
  changes: Weights,
): { taken: readonly number[]; read: ReadonlySet<string> } {
  const taken = new Set<number>()
  const read = new Set<string>()
  const open = [...outputs]
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    if (read.has(tensor)) continue
    read.add(tensor)
    if (given.has(tensor) || changes.constants.has(tensor)) continue
    const node = graph.producer(tensor)
    if (node === undefined) {
      if (graph.isConstant(tensor)) continue
      throw typeError({
        place: 'segment',
        problem: `'${tensor}' is neither among the inputs nor made by the nodes`,
      })
    }
    if (taken.has(node)) continue
    taken.add(node)
    for (const name of changes.nodeOf(node).input) if (name !== '') open.push(name)
    for (const name of captures(graph.nodes[node]!)) open.push(name)
  }
  return { taken: [...taken].sort((a, b) => graph.position(a) - graph.position(b)), read }
}
