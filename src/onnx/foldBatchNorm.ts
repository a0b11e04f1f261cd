/**
 * Folds a BatchNormalization directly behind a Conv or Gemm into the weight and bias of that layer, so that the weights
 * that are quantized are the ones that the network multiplies by. In inference it is y = x·s + t with s = γ/√(σ² + ε)
 * and t = β − μ·s per channel, hence W' = W·s, b' = b·s + t: computed in float64, stored as float32.
 *
 * Not folded: a BatchNormalization in training mode or with computed parameters; one whose input has other readers; a
 * weight with other readers (it would have to be copied); a bias that is not one constant per channel.
 */
import type { ModelProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { floatAttribute, intAttribute } from './attributes.js'
import { readBias, setBias } from './bias.js'
import { applyChain } from './chain.js'
import { GraphEdit } from './edit.js'
import { type GraphIndex, indexGraph } from './graph.js'
import { isDefaultDomain } from './model.js'
import { makeFloats, readFloats } from './tensor.js'
import { isLayerOp, viewWeight, type WeightView } from './weightView.js'

/** The folded model, which shares all unchanged parts, and the names of the BatchNormalization nodes that it lost. */
export function foldBatchNorms(model: ModelProto): { model: ModelProto; folded: string[] } {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  const folded: string[] = []
  for (const index of graph.order) {
    const affine = affineOf(graph, index)
    if (affine === null) continue
    const view = layerBefore(graph, index)
    if (view === null || affine.scale.length !== view.groups * view.neurons) continue
    const bias = readBias(graph, graph.nodes[view.node]!, affine.scale.length)
    if (bias === null) continue
    setWeight(edit, view, scaled(view, affine.scale))
    const shifted = Float32Array.from(
      bias,
      (b, i) => b * (affine.scale[i] as number) + (affine.shift[i] as number),
    )
    setBias(edit, view.node, DataType.FLOAT, shifted)
    edit.setOutput(view.node, graph.nodes[index]!.output[0] as string)
    edit.remove(index)
    folded.push(graph.names[index]!)
  }
  return folded.length === 0 ? { model, folded } : { model: edit.finish(), folded }
}

/** Scale and shift per channel, if the node is a BatchNormalization with constant parameters in inference. */
function affineOf(graph: GraphIndex, index: number): { scale: Float64Array; shift: Float64Array } | null {
  const node = graph.nodes[index]!
  if (node.opType !== 'BatchNormalization' || !isDefaultDomain(node.domain)) return null
  // Outputs after the first are running statistics; opset 7 and 8 could normalize each pixel by itself.
  const training =
    intAttribute(node, 'training_mode', 0) !== 0 || node.output.slice(1).some((name) => name !== '')
  if (training || intAttribute(node, 'spatial', 1) !== 1) return null
  const parameters = node.input.slice(1, 5).map((name) => graph.constant(name))
  const values = parameters.flatMap((tensor) =>
    tensor?.dataType === DataType.FLOAT && tensor.dims.length === 1 ? [readFloats(tensor)] : [],
  )
  const [gamma, beta, mean, variance] = values
  if (gamma === undefined || beta === undefined || mean === undefined || variance === undefined) return null
  const epsilon = floatAttribute(node, 'epsilon', 1e-5)
  const scale = Float64Array.from(gamma, (g, i) => g / Math.sqrt((variance[i] as number) + epsilon))
  const shift = Float64Array.from(beta, (b, i) => b - (mean[i] as number) * (scale[i] as number))
  return [...scale, ...shift].every(Number.isFinite) ? { scale, shift } : null
}

/** The Conv or Gemm in front of a node, if it has no other reader and a float32 weight of its own. */
function layerBefore(graph: GraphIndex, index: number): WeightView | null {
  const between = graph.nodes[index]!.input[0] ?? ''
  const producer = graph.producer(between)
  if (producer === undefined || graph.isOutput(between) || graph.consumers(between).length !== 1) return null
  const node = graph.nodes[producer]!
  if (!isLayerOp(node) || node.opType === 'MatMul') return null
  const view = viewWeight(graph, producer)
  if (typeof view === 'string' || view.chain.elemType !== DataType.FLOAT) return null
  return soleReader(graph, view) ? view : null
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

/** Stores the folded weight. An initializer keeps its name, which patterns match; the end of a chain gets a new one. */
function setWeight(edit: GraphEdit, view: WeightView, weights: Float32Array): void {
  const { dims, source } = view.chain
  if (view.tensor === source && edit.graph.initializer(source) !== undefined) {
    edit.overwrite(makeFloats(source, DataType.FLOAT, dims, weights))
    return
  }
  const name = edit.fresh(`${view.tensor}:folded`)
  edit.setInput(view.node, view.operand, edit.add(makeFloats(name, DataType.FLOAT, dims, weights)))
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
