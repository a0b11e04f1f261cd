/**
 * Format `qdq`: DequantizeLinear on the weight, the standard format of ONNX tools: signed integers of the narrowest type
 * in the operator set, one scale per neuron or block, no zero point. Even levels have no zero among their values: they
 * become odd integers with half the scale, which costs one bit.
 *
 *   int8 from opset 13, int4, int16 and blocks from 21, int2 from 25
 *
 * ONNX Runtime does not fold a DequantizeLinear: it is computed in every run. ONNX Runtime 1.30 replaces it and a MatMul, or a
 * Gemm without transB, by a MatMulNBits with accuracy level 4. On native CPUs that rounds the activations to 8 bits, and int2
 * is computed wrongly unless the neurons are a multiple of 4. A Flatten between the two keeps them apart: it leaves a matrix as
 * it is and copies nothing (docs/FORMATS.md has what it costs).
 */
import type { ModelProto, TensorProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { intAttr } from '../attributes.js'
import type { QuantizedWeight } from '../layer.js'
import { opsetOf } from '../model.js'
import { whyNotRaise } from '../opset.js'
import { makeFloats, makeTensor } from '../tensor.js'
import type { WeightView } from '../weightView.js'
import { type Emitted, packBits, signedCodes, type WeightWriter } from './weightWriter.js'

const TYPES = [
  { name: 'int2', dataType: DataType.INT2, bits: 2, bound: 1, opset: 25 },
  { name: 'int4', dataType: DataType.INT4, bits: 4, bound: 7, opset: 21 },
  { name: 'int8', dataType: DataType.INT8, bits: 8, bound: 127, opset: 13 },
  { name: 'int16', dataType: DataType.INT16, bits: 16, bound: 32767, opset: 21 },
] as const
type QdqType = (typeof TYPES)[number]

const BLOCKED_OPSET = 21

/** The element type of a layer's codes, and the opset that it needs. */
export interface QdqPlan {
  readonly type: QdqType
  /** The opset to write the model in, at least its own. */
  readonly opset: number
  /** Why no narrower type is possible, and whether the opset is raised; text for people, empty if neither applies. */
  readonly note: string
}

/**
 * The narrowest type for `levels`, in a newer opset if that changes no operator. A string gives the reason why there is
 * none.
 */
export function planQdq(
  model: ModelProto,
  views: readonly WeightView[],
  levels: number,
  blockSize: number,
): QdqPlan | string {
  const own = opsetOf(model)
  const blocked = blockSize < views[0]!.inputs
  const { bound } = signedCodes(levels)
  const obstacles: string[] = []
  for (const type of TYPES) {
    if (type.bound < bound) continue
    const needed = Math.max(type.opset, blocked ? BLOCKED_OPSET : 0)
    const obstacle = needed <= own ? null : whyNotRaise(model, needed)
    if (obstacle !== null) {
      obstacles.push(`${type.name}${blocked ? ' in blocks' : ''} needs opset ${needed}, and ${obstacle}`)
      continue
    }
    const raised = needed > own ? `raises opset ${own} to ${needed}` : ''
    return {
      type,
      opset: Math.max(own, needed),
      note: [raised, ...obstacles].filter((s) => s !== '').join('; '),
    }
  }
  return obstacles.join('; ')
}

/** Bytes of `count` codes. */
export function qdqBytes({ type }: QdqPlan, count: number): number {
  return Math.ceil((count * type.bits) / 8)
}

/**
 * Integers and scales of a weight, and the DequantizeLinear that multiplies them.
 * @param views how the nodes read it; the writer is that of the first
 */
export function emitQdq(
  writer: WeightWriter,
  views: readonly WeightView[],
  quantized: QuantizedWeight,
  { type }: QdqPlan,
): Emitted {
  const { factor, of } = signedCodes(quantized.levels)
  const scales = writer.scales(quantized)
  const values = scales.values.map((scale) => scale * factor)
  const matrix = writer.neuronsFirst ? [writer.neurons, writer.inputs] : [writer.inputs, writer.neurons]
  // One scale a neuron belongs to one axis, which the neurons of several groups need not be.
  const axis = writer.neuronsFirst ? writer.scaleDims.indexOf(writer.neurons) : writer.dims.length - 1
  const dims = scales.per === 'block' || (scales.per === 'neuron' && axis < 0) ? matrix : writer.dims
  const inDims = (output: string) =>
    writer.done(
      dims === writer.dims || writer.dims.length === 2 ? output : writer.reshape(output, writer.dims),
    )
  const signed = Int16Array.from(writer.codes(quantized), of)
  const input = writer.constant(integers(writer.name(type.name), type, dims, signed))
  const scale = (shape: readonly number[]) =>
    writer.constant(makeFloats(writer.name('scale'), DataType.FLOAT, shape, values))
  const fusible = dims.length === 2 && views.some(({ layout }) => layout === 'inputs-first')
  const dequantize = (shape: readonly number[], attributes: ReturnType<typeof intAttr>[]) => {
    const values = writer.emit('DequantizeLinear', [input, scale(shape)], attributes)
    return fusible ? writer.emit('Flatten', [values]) : values
  }
  switch (scales.per) {
    case 'layer':
      return writer.done(dequantize([], []))
    case 'neuron':
      return inDims(dequantize([writer.neurons], [intAttr('axis', Math.max(0, axis))]))
    case 'block': {
      const shape = writer.neuronsFirst ? [writer.neurons, scales.blocks] : [scales.blocks, writer.neurons]
      const along = intAttr('axis', writer.neuronsFirst ? 1 : 0)
      return inDims(dequantize(shape, [along, intAttr('block_size', scales.size)]))
    }
  }
}

function integers(name: string, type: QdqType, dims: readonly number[], values: Int16Array): TensorProto {
  return makeTensor(name, type.dataType, dims, type.bits === 16 ? values : packBits(values, type.bits))
}
