/**
 * Format `nbits`: com.microsoft.MatMulNBits in place of a MatMul or Gemm with a constant right operand: 2, 4 or 8 bits,
 * at any opset. It is faster than float on a native CPU and slower in WebAssembly. Only ONNX Runtime has this operator.
 *
 *   B       (neurons, ⌈inputs/block⌉, block·bits/8)   codes shifted so that 2^(bits−1) is zero, the default
 *   scales  (neurons, ⌈inputs/block⌉)                 one per block
 *
 * With accuracy_level 1 (float32) the native kernels do not round the activations to 8 bits.
 */
import type { NodeProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { floatAttribute, intAttr, intAttribute } from '../attributes.js'
import { makeNode } from '../edit.js'
import type { QuantizedWeight } from '../layer.js'
import { dimsOf, isFloatType, makeFloats, makeTensor, readFloats } from '../tensor.js'
import type { WeightView } from '../weightView.js'
import { type Emitted, packBits, signedCodes, type WeightWriter } from './weightWriter.js'

/** Block sizes of ONNX Runtime's CPU kernels. */
const BLOCK_SIZES = [256, 128, 64, 32, 16] as const

/** Why a weight that is replaced where it is stored cannot have the format. */
export const NO_NBITS = 'MatMulNBits replaces nodes, and only those that calibration reaches'

/** How the codes of a layer are stored. */
export interface NBitsPlan {
  readonly bits: 2 | 4 | 8
  /** Inputs in one block. */
  readonly block: number
  /** Blocks of one neuron; the last may be padded. */
  readonly blocks: number
}

/** The bits and the block size that take the fewest bytes. A string gives the reason why the format is not possible. */
export function planNBits(
  views: readonly WeightView[],
  node: (index: number) => NodeProto,
  levels: number,
  blockSize: number,
): NBitsPlan | string {
  for (const view of views) {
    if (view.op === 'Conv') return 'MatMulNBits replaces MatMul and Gemm only'
    if (view.operand === 0) return 'MatMulNBits takes the weight as the right operand only'
    if (view.chain.dims.length !== 2) return 'MatMulNBits takes a matrix only'
    if (view.chain.elemType !== DataType.FLOAT) return 'the weight is not float32'
    if (intAttribute(node(view.node), 'transA', 0) !== 0)
      return 'MatMulNBits cannot transpose its input (transA = 1)'
  }
  const { inputs, neurons } = views[0]!
  const { bound } = signedCodes(levels)
  const bits = ([2, 4, 8] as const).find((b) => bound < 2 ** (b - 1))
  if (bits === undefined) return `${levels} levels do not fit into 8 bits around a zero`
  const candidates = BLOCK_SIZES.filter((size) => blockSize >= inputs || blockSize % size === 0)
  if (candidates.length === 0)
    return `blocks of ${blockSize} inputs are not a multiple of 16, the smallest block of MatMulNBits`
  const plans = candidates.map((block): NBitsPlan => ({ bits, block, blocks: Math.ceil(inputs / block) }))
  return plans.reduce((best, plan) => (nbitsBytes(plan, neurons) < nbitsBytes(best, neurons) ? plan : best))
}

/** Bytes of codes and scales for so many neurons. */
export function nbitsBytes({ bits, block, blocks }: NBitsPlan, neurons: number): number {
  return neurons * blocks * ((block * bits) / 8 + 4)
}

/**
 * Replaces all nodes of the layer; codes and scales are stored once.
 * @param writer that of the layer's first view
 */
export function emitNBits(
  writer: WeightWriter,
  views: readonly WeightView[],
  quantized: QuantizedWeight,
  plan: NBitsPlan,
): Emitted {
  const { bits, block, blocks } = plan
  const { neurons, inputs } = writer
  const signed = signedCodes(quantized.levels)
  const zero = 2 ** (bits - 1)
  const shifted = new Uint8Array(neurons * blocks * block).fill(zero) // padding is the value 0
  const scales = new Float32Array(neurons * blocks)
  for (let n = 0; n < neurons; n++) {
    for (let t = 0; t < inputs; t++)
      shifted[n * blocks * block + t] = signed.of(quantized.codes[t * neurons + n] as number) + zero
    for (let b = 0; b < blocks; b++) {
      const row = Math.floor((b * block) / quantized.blockSize)
      scales[n * blocks + b] = (quantized.scales[row * neurons + n] as number) * signed.factor
    }
  }
  const stored = writer.constant(
    makeTensor(
      writer.name(`nbits${bits}`),
      DataType.UINT8,
      [neurons, blocks, (block * bits) / 8],
      packBits(shifted, bits),
    ),
  )
  const scaleNames = new Map<number, string>() // by alpha
  for (const view of views) {
    const alpha = view.op === 'Gemm' ? floatAttribute(writer.edit.node(view.node), 'alpha', 1) : 1
    let scale = scaleNames.get(alpha)
    if (scale === undefined) {
      const values = scales.map((value) => value * alpha)
      scale = writer.constant(makeFloats(writer.name('scale'), DataType.FLOAT, [neurons * blocks], values))
      scaleNames.set(alpha, scale)
    }
    replaceNode(writer, view, [view.input, stored, scale], plan)
  }
  return { output: stored, nodes: writer.nodes, constants: writer.constants }
}

function replaceNode(
  writer: WeightWriter,
  view: WeightView,
  input: readonly string[],
  { bits, block }: NBitsPlan,
): void {
  const { edit } = writer
  const old = edit.node(view.node)
  const output = old.output[0] as string
  const attributes = [
    intAttr('K', writer.inputs),
    intAttr('N', writer.neurons),
    intAttr('bits', bits),
    intAttr('block_size', block),
    intAttr('accuracy_level', 1),
  ]
  const bias = old.opType === 'Gemm' ? scaledBias(writer, view.node) : null
  const product = bias === null ? output : edit.fresh(`${output}:bare`)
  const node = makeNode('MatMulNBits', input, product, attributes, 'com.microsoft')
  node.name = old.name
  edit.replace(view.node, node)
  writer.nodes.push(node)
  if (bias !== null) {
    const add = makeNode('Add', [product, bias], output)
    edit.insertAfter(view.node, [add])
    writer.nodes.push(add)
  }
}

/** beta·C of a Gemm as a tensor to add; null without C. */
function scaledBias(writer: WeightWriter, index: number): string | null {
  const gemm = writer.edit.node(index)
  const name = gemm.input[2] ?? ''
  const beta = floatAttribute(gemm, 'beta', 1)
  if (name === '' || beta === 0) return null
  if (beta === 1) return name
  const stored = writer.edit.graph.constant(name)
  if (stored !== undefined && isFloatType(stored.dataType)) {
    const values = readFloats(stored).map((value) => value * beta)
    return writer.constant(makeFloats(writer.name('bias'), stored.dataType, dimsOf(stored), values))
  }
  const factor = writer.constant(makeFloats(writer.name('beta'), DataType.FLOAT, [], Float32Array.of(beta)))
  const output = writer.name('bias')
  const multiply = makeNode('Mul', [name, factor], output)
  writer.edit.insertBefore(index, [multiply])
  writer.nodes.push(multiply)
  return output
}
