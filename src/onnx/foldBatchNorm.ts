/**
 * Folds a BatchNormalization directly behind a Conv or Gemm into the weight and bias of that layer, so that the weights
 * that are quantized are the ones that the network multiplies by. In inference it is y = x·s + t with s = γ/√(σ² + ε)
 * and t = β − μ·s per channel, hence W' = W·s, b' = b·s + t: computed in float64, stored as float32.
 *
 * Not folded: a BatchNormalization in training mode or with computed parameters; one whose input has other readers; a
 * weight with other readers (it would have to be copied); a bias that is not one constant per channel.
 */
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { floatAttribute, intAttribute } from './attributes.js'
import { readBias, setBias } from './bias.js'
import { applyChain } from './chain.js'
import { GraphEdit } from './edit.js'
import { type GraphIndex, indexGraph } from './graph.js'
import type { Skipped } from './layer.js'
import { isDefaultDomain } from './model.js'
import { dimsOf, makeFloats, readFloats } from './tensor.js'
import { isLayerOp, viewWeight, type WeightView } from './weightView.js'

/** What folding did. */
export interface FoldedModel {
  /** It shares all unchanged parts with the model given. */
  readonly model: ModelProto
  /** Names of the BatchNormalization nodes that it lost. */
  readonly folded: readonly string[]
  /** BatchNormalization nodes that stay, and why. */
  readonly kept: readonly Skipped[]
  /** Weights that are stored under another name now → the name that they had. */
  readonly renamed: ReadonlyMap<string, string>
}

/**
 * Folds what can be folded.
 * @throws {GpfqError} INVALID_MODEL for parameters that do not fit each other or the channels
 */
export function foldBatchNorms(model: ModelProto): FoldedModel {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  const folded: string[] = []
  const kept: Skipped[] = []
  const renamed = new Map<string, string>()
  for (const index of graph.order) {
    const { opType, domain } = graph.nodes[index]!
    if (opType !== 'BatchNormalization' || !isDefaultDomain(domain)) continue
    const reason = fold(edit, index, renamed)
    if (reason === null) folded.push(graph.names[index]!)
    else kept.push({ name: graph.names[index]!, reason })
  }
  return { model: folded.length === 0 ? model : edit.finish(), folded, kept, renamed }
}

/** Folds a BatchNormalization. @returns why that is not possible, or null */
function fold(edit: GraphEdit, index: number, renamed: Map<string, string>): string | null {
  const { graph } = edit
  const parameters = parametersOf(graph, index)
  if (typeof parameters === 'string') return parameters
  const view = layerBefore(graph, index)
  if (typeof view === 'string') return view
  const channels = view.groups * view.neurons
  const found = dimsOf(parameters[0])[0] as number
  if (found !== channels)
    throw new GpfqError('INVALID_MODEL', {
      place: `node '${graph.names[index]}'`,
      expected: `parameters for the ${channels} channels of '${graph.names[view.node]}'`,
      got: String(found),
    })
  const affine = affineOf(graph.nodes[index]!, parameters)
  if (affine === null) return 'its scale is not finite'
  const bias = readBias(graph, graph.nodes[view.node]!, channels)
  if (bias === null) return `the bias of '${graph.names[view.node]}' is not one constant per channel`
  const source = setWeight(edit, view, scaled(view, affine.scale))
  if (source !== view.chain.source) renamed.set(source, view.chain.source)
  const shifted = Float32Array.from(
    bias,
    (b, i) => b * (affine.scale[i] as number) + (affine.shift[i] as number),
  )
  setBias(edit, view.node, DataType.FLOAT, shifted)
  edit.setOutput(view.node, graph.nodes[index]!.output[0] as string)
  edit.remove(index)
  return null
}

type Parameters = readonly [gamma: TensorProto, beta: TensorProto, mean: TensorProto, variance: TensorProto]

/** The constant parameters of a BatchNormalization in inference, of equal lengths. A string says why there are none. */
function parametersOf(graph: GraphIndex, index: number): Parameters | string {
  const node = graph.nodes[index]!
  const place = `node '${graph.names[index]}'`
  const names = node.input.slice(1, 5)
  if (names.length < 4 || names.includes('') || (node.input[0] ?? '') === '' || (node.output[0] ?? '') === '')
    throw new GpfqError('INVALID_MODEL', {
      place,
      expected: 'an input, four parameters and an output',
      got: `${node.input.filter((name) => name !== '').length} inputs, ${node.output.length} outputs`,
    })
  const found = names.flatMap((name) => graph.constant(name) ?? [])
  const lengths = new Set(found.map((tensor) => dimsOf(tensor).join('×')))
  if (found.some((tensor) => tensor.dims.length !== 1) || lengths.size > 1)
    throw new GpfqError('INVALID_MODEL', {
      place,
      expected: 'four parameters of one value a channel',
      got: `shapes ${[...lengths].map((length) => `(${length})`).join(' and ')}`,
    })
  // Outputs after the first are running statistics; opset 7 and 8 could normalize each pixel by itself.
  const training =
    intAttribute(node, 'training_mode', 0) !== 0 || node.output.slice(1).some((name) => name !== '')
  if (training || intAttribute(node, 'spatial', 1) !== 1) return 'it does not run in inference mode'
  const [gamma, beta, mean, variance] = found.filter(({ dataType }) => dataType === DataType.FLOAT)
  if (gamma === undefined || beta === undefined || mean === undefined || variance === undefined)
    return 'its parameters are not float32 constants'
  return [gamma, beta, mean, variance]
}

/** Scale and shift per channel; null where a value is not finite. */
function affineOf(
  node: NodeProto,
  parameters: Parameters,
): { scale: Float64Array; shift: Float64Array } | null {
  const [gamma, beta, mean, variance] = parameters.map(readFloats)
  const epsilon = floatAttribute(node, 'epsilon', 1e-5)
  const scale = Float64Array.from(gamma!, (g, i) => g / Math.sqrt((variance![i] as number) + epsilon))
  const shift = Float64Array.from(beta!, (b, i) => b - (mean![i] as number) * (scale[i] as number))
  return scale.every(Number.isFinite) && shift.every(Number.isFinite) ? { scale, shift } : null
}

/** The Conv or Gemm in front of a node, if it has no other reader and a float32 weight of its own; else why there is none. */
function layerBefore(graph: GraphIndex, index: number): WeightView | string {
  const between = graph.nodes[index]!.input[0] ?? ''
  const producer = graph.producer(between)
  const node = producer === undefined ? undefined : graph.nodes[producer]!
  if (producer === undefined || node === undefined || !isLayerOp(node) || node.opType === 'MatMul')
    return 'no Conv or Gemm is directly before it'
  const name = graph.names[producer]
  if (graph.isOutput(between) || graph.consumers(between).length !== 1)
    return `its input has other readers, too`
  const view = viewWeight(graph, producer)
  if (typeof view === 'string') return `'${name}' is not quantized: ${view}`
  if (view.chain.elemType !== DataType.FLOAT) return `the weight of '${name}' is not float32`
  return soleReader(graph, view) ? view : `the weight of '${name}' has other readers, too`
}

/** Whether this node is the only one that reads the stored weight. */
function soleReader(graph: GraphIndex, view: WeightView): boolean {
  let tensor = view.tensor
  for (;;) {
    if (graph.consumers(tensor).length !== 1 || graph.isOutput(tensor)) return false
    if (tensor === view.chain.source) return true
    tensor = graph.nodes[graph.producer(tensor) as number]!.input[0] as string
  }
}

/** Stores the folded weight. An initializer keeps its name, which patterns match; the end of a chain gets a new one. @returns the name */
function setWeight(edit: GraphEdit, view: WeightView, weights: Float32Array): string {
  const { dims, source } = view.chain
  if (view.tensor === source && edit.graph.initializer(source) !== undefined) {
    edit.overwrite(makeFloats(source, DataType.FLOAT, dims, weights))
    return source
  }
  const name = edit.fresh(`${view.tensor}:folded`)
  edit.setInput(view.node, view.operand, edit.add(makeFloats(name, DataType.FLOAT, dims, weights)))
  return name
}

/**
 * The weight at the node, each neuron times its scale.
 * @param scale (groups·neurons)
 */
function scaled(view: WeightView, scale: Float64Array): Float32Array {
  const values = applyChain(view.chain, readFloats(view.chain.stored))
  const neurons = view.groups * view.neurons
  const neuronOf =
    view.layout === 'neurons-first' ? (i: number) => Math.floor(i / view.inputs) : (i: number) => i % neurons
  return Float32Array.from(values, (value, i) => value * (scale[neuronOf(i)] as number))
}
