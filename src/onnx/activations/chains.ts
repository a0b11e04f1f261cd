/**
 * How quantized values move through a graph: which nodes pass them on unchanged, which nodes ONNX Runtime computes on
 * integers if both ends are quantized, and which node behind a layer belongs to it. Every entry was seen in the kernels that
 * onnxruntime-web 1.30 runs (test/onnx/activations/kernels.test.ts).
 */
import type { NodeProto } from 'onnx-buf'
import { stringAttribute } from '../attributes.js'
import type { GraphIndex } from '../graph.js'
import type { LayerOp } from '../layer.js'
import { isDefaultDomain } from '../model.js'
import { dimsOf, readScalar, sizeOf } from '../tensor.js'

/** Nodes that only move values. ONNX Runtime drops the quantizers around them, except around Pad. */
const MOVES = new Set(
  `DepthToSpace Dropout Expand Flatten Gather Identity MaxPool Pad Reshape Resize Slice Split Squeeze Tile Transpose
  Unsqueeze`.split(/\s+/),
)

/** Nodes with an integer kernel of ONNX Runtime (QLinearAdd, QLinearConcat …), and Relu and Clip, which a quantizer contains. */
const INTEGER_OPS = new Set(
  'Add AveragePool Clip Concat GlobalAveragePool LeakyRelu Mul Relu Sigmoid'.split(' '),
)

/** The tensor whose values a node passes on unchanged to all of its outputs; undefined if it computes new ones. */
export function movedInput(graph: GraphIndex, index: number): string | undefined {
  const node = graph.nodes[index]!
  const data = node.input[0] ?? ''
  if (!isDefaultDomain(node.domain) || !MOVES.has(node.opType) || graph.isConstant(data)) return undefined
  if (node.opType !== 'Split' && node.output.slice(1).some((name) => name !== '')) return undefined
  if (node.opType === 'Dropout' && (node.input[2] ?? '') !== '') return undefined
  if (node.opType === 'Pad' && !padsWithOwnValues(graph, node)) return undefined
  if (
    node.opType === 'Resize' &&
    (stringAttribute(node, 'mode', 'nearest') !== 'nearest' ||
      stringAttribute(node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize')
  )
    return undefined
  return data
}

/** Zero is a value of every quantizer; `edge`, `reflect` and `wrap` repeat values of the tensor. */
function padsWithOwnValues(graph: GraphIndex, node: NodeProto): boolean {
  if (stringAttribute(node, 'mode', 'constant') !== 'constant') return true
  const name = node.input[2] ?? ''
  if (name === '') return true
  const padding = graph.constant(name)
  return padding !== undefined && readScalar(padding) === 0
}

/** The tensors that an operator with an integer kernel computes on; undefined for other nodes. */
export function integerInputs(graph: GraphIndex, index: number): readonly string[] | undefined {
  const { opType, domain, input, output } = graph.nodes[index]!
  if (!isDefaultDomain(domain) || !INTEGER_OPS.has(opType) || output.length !== 1) return undefined
  const data = opType === 'Clip' ? input.slice(0, 1) : input
  return data.some((name) => name === '' || graph.isConstant(name)) ? undefined : data
}

/** The bounds of a Relu or of a Clip with constant bounds; undefined for other nodes. */
export function boundsOf(graph: GraphIndex, node: NodeProto): readonly [number, number] | undefined {
  if (!isDefaultDomain(node.domain)) return undefined
  if (node.opType === 'Relu') return [0, Number.POSITIVE_INFINITY]
  // Before opset 11 the bounds are attributes; such models have no static quantizers.
  if (node.opType !== 'Clip') return undefined
  const bound = (name = '', fallback: number) => {
    if (name === '') return fallback
    const stored = graph.constant(name)
    return stored === undefined ? undefined : readScalar(stored)
  }
  const low = bound(node.input[1], Number.NEGATIVE_INFINITY)
  const high = bound(node.input[2], Number.POSITIVE_INFINITY)
  return low === undefined || high === undefined ? undefined : [low, high]
}

/** The tensor behind a Relu or Clip that alone reads `tensor`, or `tensor` itself: what the kernel writes. */
export function activated(graph: GraphIndex, tensor: string): string {
  const reader = soleReader(graph, tensor)
  if (reader === undefined || boundsOf(graph, graph.nodes[reader]!) === undefined) return tensor
  return graph.nodes[reader]!.output[0]!
}

/**
 * The tensor that a layer hands on: its output, behind the bias of a MatMul (an Add of one constant that alone reads it) and
 * behind a Relu or Clip.
 */
export function layerResult(graph: GraphIndex, op: LayerOp, output: string): string {
  const reader = op === 'MatMul' ? soleReader(graph, output) : undefined
  return activated(
    graph,
    reader !== undefined && addsBias(graph, reader, output) ? graph.nodes[reader]!.output[0]! : output,
  )
}

function addsBias(graph: GraphIndex, index: number, tensor: string): boolean {
  const { opType, domain, input } = graph.nodes[index]!
  if (opType !== 'Add' || !isDefaultDomain(domain)) return false
  const stored = graph.constant(input[input[0] === tensor ? 1 : 0] ?? '')
  if (stored === undefined) return false
  const dims = dimsOf(stored)
  return sizeOf(dims) === (dims.at(-1) ?? 1)
}

/** The node that alone reads a tensor which is no output of the graph. */
function soleReader(graph: GraphIndex, tensor: string): number | undefined {
  const readers = graph.consumers(tensor)
  if (graph.isOutput(tensor) || readers.length !== 1) return undefined
  const reader = readers[0]!
  return graph.nodes[reader]!.input[0] === tensor || graph.nodes[reader]!.input[1] === tensor
    ? reader
    : undefined
}

const sources = new WeakMap<GraphIndex, Map<string, string | undefined>>()

/** Whether a node only moves values, and moves floats faster than codes. */
export function movesFloatsFaster(graph: GraphIndex, index: number): boolean {
  const { opType, domain } = graph.nodes[index]!
  return opType === 'MaxPool' && isDefaultDomain(domain)
}

/**
 * The tensor whose quantizer a layer's input has: behind nodes that only move values it is the tensor that they start from,
 * or the output of the last MaxPool among them. Behind a float layer the quantizer stands behind the MaxPool: 64 × 56² floats
 * take .11 ms, their codes .7 ms, and there are four times as many values to quantize. Where the layer in front of it runs on
 * integers, planIntegers quantizes that one's output anyway, and the MaxPool passes it on.
 *
 * Undefined if that cannot be quantized: an input of the graph that a subgraph captures, whose readers cannot be rewired.
 * What is found is kept for every tensor on the way.
 */
export function quantizedSource(graph: GraphIndex, tensor: string): string | undefined {
  const known = sources.get(graph) ?? new Map<string, string | undefined>()
  sources.set(graph, known)
  const passed: string[] = []
  let source: string | undefined
  for (let name: string | undefined = tensor; name !== undefined; ) {
    if (known.has(name)) {
      source = known.get(name)
      break
    }
    passed.push(name)
    const producer = graph.producer(name)
    const starts = producer === undefined || movesFloatsFaster(graph, producer)
    name = starts ? undefined : movedInput(graph, producer)
  }
  for (const name of passed.toReversed()) {
    if (source === undefined && (graph.producer(name) !== undefined || !graph.isCaptured(name))) source = name
    known.set(name, source)
  }
  return source
}
