/**
 * Writes the quantizers of activations. A tensor with a static quantizer keeps its name, and so do its readers; its producer
 * writes to another name, and QuantizeLinear and DequantizeLinear stand between the two. The readers of an input of the graph
 * are rewired instead. ONNX Runtime then replaces DequantizeLinear, an operator and QuantizeLinear by one integer kernel.
 *
 * A Relu or Clip in front of a quantizer is left out where the quantizer clamps to the same values: Q(clip(x)) = Q(x). ONNX
 * Runtime does the same, but for a Clip only if its bound is not below the largest value by as little as rounding.
 */
import type { NodeProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { typeError } from '../../checks.js'
import { floatAttr } from '../attributes.js'
import { type GraphEdit, makeNode } from '../edit.js'
import type { GraphIndex } from '../graph.js'
import { makeFloats, makeTensor } from '../tensor.js'
import { boundsOf, integerInputs, movedInput, movesFloatsFaster } from './chains.js'
import type { Integers } from './integers.js'
import { type ActivationQuantizer, LARGEST_CODE, roundActivations } from './quantizer.js'

/** Stem of names. There are ten tensors more for each quantized one, so every letter is a tenth of a percent of a small file. */
export const SHORT = 'q:'

/** Names of the constants of a quantizer; tensors with equal quantizers share them. */
export interface QuantizerNames {
  readonly scale: string
  readonly zeroPoint: string
}

/** Constants that hold a quantizer. */
export function quantizerNames(edit: GraphEdit, { scale, zeroPoint }: ActivationQuantizer): QuantizerNames {
  return {
    scale: edit.shared(
      `scale:${scale}`,
      (name) => makeFloats(name, DataType.FLOAT, [], Float32Array.of(scale)),
      SHORT,
    ),
    zeroPoint: edit.shared(
      `zero point:${zeroPoint}`,
      (name) => makeTensor(name, DataType.UINT8, [], Uint8Array.of(zeroPoint)),
      SHORT,
    ),
  }
}

/**
 * The quantizer of a tensor in the plan.
 * @throws {TypeError} if none is given
 */
export function quantizerOf({ plan, quantizers }: Integers, tensor: string): ActivationQuantizer {
  const quantizer = quantizers.get(plan.like.get(tensor) ?? tensor)
  if (quantizer === undefined)
    throw typeError({ place: 'quantizers', expected: `one for tensor '${tensor}'`, got: 'none' })
  return quantizer
}

/** What stays the same while quantizers are written. */
interface Context {
  readonly edit: GraphEdit
  /** Tensors with a quantizer, of their own or that of another. */
  readonly quantized: ReadonlySet<string>
  /** Nodes of layers with static ranges. */
  readonly integerNodes: ReadonlySet<number>
}

/**
 * Writes the quantizers of all tensors of the plan. Call it before other edits of the nodes that make them.
 * @param integerNodes the nodes of all layers with static ranges
 */
export function writeQuantizers(
  edit: GraphEdit,
  integers: Integers,
  integerNodes: ReadonlySet<number>,
): void {
  const { graph } = edit
  const { tensors, like } = integers.plan
  const quantized = new Set([...tensors, ...like.keys()])
  for (const tensor of quantized) {
    const quantizer = quantizerOf(integers, tensor)
    const producer = graph.producer(tensor)
    if (producer === undefined) quantizeInput(edit, tensor, quantizer, integers.plan.byteInputs.has(tensor))
    else if (!like.has(tensor) || !passesUnquantized(graph, producer, tensor))
      quantizeOutput({ edit, quantized, integerNodes }, producer, tensor, quantizer)
  }
}

/** ONNX Runtime removes these at load, or moves a DequantizeLinear in front of them behind them. */
const PASSED = new Set(['Dropout', 'Identity', 'MaxPool', 'Reshape', 'Slice', 'Transpose'])

/** Whether a moved tensor needs no quantizer of its own. A Pad becomes part of the convolution behind it. */
function passesUnquantized(graph: GraphIndex, producer: number, tensor: string): boolean {
  const { opType } = graph.nodes[producer]!
  if (PASSED.has(opType)) return true
  const readers = graph.consumers(tensor)
  return opType === 'Pad' && readers.length === 1 && graph.nodes[readers[0]!]!.opType === 'Conv'
}

/** @param asCodes the caller of the model feeds codes */
function quantizeInput(
  edit: GraphEdit,
  tensor: string,
  quantizer: ActivationQuantizer,
  asCodes: boolean,
): void {
  const { graph } = edit
  const values = edit.sharedNodes(`quantized input:${tensor}`, (append) => {
    const output = edit.temporary(SHORT)
    const pair = asCodes
      ? [dequantizeNode(edit, tensor, output, quantizer)]
      : quantizePair(edit, tensor, output, quantizer)
    for (const node of pair) append(node)
    return output
  })
  if (asCodes) edit.retypeInput(tensor, DataType.UINT8)
  for (const reader of graph.consumers(tensor))
    graph.nodes[reader]!.input.forEach((name, operand) => {
      if (name === tensor) edit.setInput(reader, operand, values)
    })
}

function quantizeOutput(
  context: Context,
  producer: number,
  tensor: string,
  quantizer: ActivationQuantizer,
): void {
  const { edit } = context
  const node = edit.node(producer)
  const bounds = boundsOf(edit.graph, node)
  const clamped = bounds !== undefined && clampsTo(bounds, quantizer)
  let unrounded = node.input[0] ?? ''
  if (clamped) edit.remove(producer)
  else {
    unrounded = edit.temporary(SHORT)
    edit.renameOutput(producer, tensor, unrounded)
  }
  const maker =
    bounds === undefined ? producer : edit.graph.producer(edit.graph.nodes[producer]!.input[0] ?? '')
  const guard: NodeProto[] = []
  if ((clamped || bounds === undefined) && maker !== undefined && needsGuard(context, maker)) {
    const guarded = edit.temporary(SHORT)
    guard.push(makeNode('LeakyRelu', [unrounded], guarded, [floatAttr('alpha', 1)]))
    unrounded = guarded
  }
  edit.insertAfter(producer, [...guard, ...quantizePair(edit, unrounded, tensor, quantizer)])
}

/**
 * Whether a LeakyRelu of slope 1 has to stand between a node and the quantizer of its output. It changes no value. Without it
 * ONNX Runtime moves the quantizer in front of a MaxPool on floats, and computes some float layers on integers.
 */
function needsGuard(context: Context, maker: number): boolean {
  const { graph } = context.edit
  return movesFloatsFaster(graph, maker)
    ? !readsQuantized(context, graph.nodes[maker]!.input[0] ?? '')
    : isFloatLayer(context, maker)
}

/** Layers whose float weights ONNX Runtime rounds; a MatMul and the Add of its bias become a Gemm first. */
const ROUNDED_BY_RUNTIME = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'])

/**
 * Whether the node computes a layer on floats from a quantized input. If its output is quantized too, ONNX Runtime 1.30 rounds
 * its float weights to int8 at load, with one scale for the whole weight. The LeakyRelu that prevents it takes no time there:
 * ONNX Runtime makes it a part of a convolution.
 */
function isFloatLayer(context: Context, index: number): boolean {
  const { graph } = context.edit
  const { opType, input } = graph.nodes[index]!
  if (opType === 'Add') {
    if (integerInputs(graph, index) !== undefined) return false
    const product = input.map((name) => graph.producer(name)).find((maker) => maker !== undefined)
    return (
      product !== undefined && graph.nodes[product]!.opType === 'MatMul' && isFloatLayer(context, product)
    )
  }
  return (
    ROUNDED_BY_RUNTIME.has(opType) &&
    !context.integerNodes.has(index) &&
    readsQuantized(context, input[0] ?? '')
  )
}

/** Whether the values of a tensor are those of a quantizer, maybe moved: ONNX Runtime moves a DequantizeLinear, too. */
function readsQuantized({ edit: { graph }, quantized }: Context, tensor: string): boolean {
  let name: string | undefined = tensor
  while (name !== undefined && !quantized.has(name)) {
    const producer = graph.producer(name)
    name = producer === undefined ? undefined : movedInput(graph, producer)
  }
  return name !== undefined
}

function quantizePair(
  edit: GraphEdit,
  from: string,
  to: string,
  quantizer: ActivationQuantizer,
): NodeProto[] {
  const { scale, zeroPoint } = quantizerNames(edit, quantizer)
  const codes = edit.temporary(SHORT)
  return [
    makeNode('QuantizeLinear', [from, scale, zeroPoint], codes),
    dequantizeNode(edit, codes, to, quantizer),
  ]
}

function dequantizeNode(
  edit: GraphEdit,
  codes: string,
  to: string,
  quantizer: ActivationQuantizer,
): NodeProto {
  const { scale, zeroPoint } = quantizerNames(edit, quantizer)
  return makeNode('DequantizeLinear', [codes, scale, zeroPoint], to)
}

/** Whether all values outside the bounds have the code of the bound: the least or the largest code. */
function clampsTo([low, high]: readonly [number, number], quantizer: ActivationQuantizer): boolean {
  const { scale, zeroPoint } = quantizer
  const [least, most] = roundActivations(Float32Array.of(low, high), quantizer, new Float32Array(2))
  return least === Math.fround(scale * -zeroPoint) && most === Math.fround(scale * (LARGEST_CODE - zeroPoint))
}
