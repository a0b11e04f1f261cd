/**
 * `qdq`: DequantizeLinear on the weight, the ecosystem's standard form: signed integers of the narrowest type that
 * the operator set knows, one scale per neuron or block, no zero point. Even levels have no zero among their
 * values; they become odd integers with half the scale, which costs a bit.
 *
 *   int8 from opset 13, int4, int16 and blocks from 21, int2 from 25
 *
 * ONNX Runtime does not fold a DequantizeLinear: it is computed at every run. In front of a MatMul it turns it into a
 * MatMulNBits, and gets int2 wrong there when the neurons are not a multiple of 4 (1.30: rows that do not fill their
 * last byte); those weights stay int4.
 */
import type { ModelProto, TensorProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { intAttr } from '../attributes.js'
import type { QuantizedWeight } from '../layer.js'
import { opsetOf } from '../model.js'
import { whyNotRaise } from '../opset.js'
import { makeFloats, makeTensor } from '../tensor.js'
import type { WeightView } from '../weightView.js'
import { type Emitted, packBits, type Site, signedForm } from './site.js'

const TYPES = [
  { name: 'int2', dataType: DataType.INT2, bits: 2, bound: 1, opset: 25 },
  { name: 'int4', dataType: DataType.INT4, bits: 4, bound: 7, opset: 21 },
  { name: 'int8', dataType: DataType.INT8, bits: 8, bound: 127, opset: 13 },
  { name: 'int16', dataType: DataType.INT16, bits: 16, bound: 32767, opset: 21 },
] as const
type QdqType = (typeof TYPES)[number]

const BLOCKED_OPSET = 21

export interface QdqPlan {
  readonly type: QdqType
  /** The opset to write the model in, at least its own. */
  readonly opset: number
  /** Why not a narrower type, or that the opset is raised; empty when there is nothing to say. */
  readonly note: string
}

/** The narrowest type for `levels`, raising the opset where that changes no operator; a string says why there is none. */
export function planQdq(
  model: ModelProto,
  views: readonly WeightView[],
  levels: number,
  blockSize: number,
): QdqPlan | string {
  const own = opsetOf(model)
  const blocked = blockSize < views[0]!.inputs
  const evenRows = views.every(({ layout, neurons }) => layout === 'neurons-first' || neurons % 4 === 0)
  const turned = views.some(({ layout }) => layout !== views[0]!.layout)
  const { bound } = signedForm(levels)
  const obstacles: string[] = []
  for (const type of TYPES) {
    if (type.bound < bound) continue
    if (type.name === 'int2' && (turned || !evenRows)) {
      obstacles.push('ONNX Runtime computes int2 wrongly for this shape')
      continue
    }
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

/** Bytes of the integers. */
export function qdqBytes({ type }: QdqPlan, count: number): number {
  return Math.ceil((count * type.bits) / 8)
}

export function emitQdq(site: Site, quantized: QuantizedWeight, { type }: QdqPlan): Emitted {
  const form = signedForm(quantized.levels)
  const scales = site.scales(quantized)
  const half = scales.values.map((scale) => scale * form.factor)
  const matrix = site.neuronsFirst ? [site.neurons, site.inputs] : [site.inputs, site.neurons]
  const dims = scales.per === 'block' ? matrix : site.dims
  const signed = Int16Array.from(site.codes(quantized), form.of)
  const input = site.constant(integers(site.name(type.name), type, dims, signed))
  const scale = (shape: readonly number[]) =>
    site.constant(makeFloats(site.name('scale'), DataType.FLOAT, shape, half))
  const dequantize = (shape: readonly number[], attributes: ReturnType<typeof intAttr>[]) =>
    site.emit('DequantizeLinear', [input, scale(shape)], attributes)
  switch (scales.per) {
    case 'layer':
      return site.done(dequantize([], []))
    case 'neuron':
      return site.done(dequantize([site.neurons], [intAttr('axis', site.neuronsFirst ? 0 : dims.length - 1)]))
    case 'block': {
      const shape = site.neuronsFirst ? [site.neurons, scales.blocks] : [scales.blocks, site.neurons]
      const axis = intAttr('axis', site.neuronsFirst ? 1 : 0)
      const output = dequantize(shape, [axis, intAttr('block_size', scales.size)])
      return site.done(site.dims.length === 2 ? output : site.reshape(output, site.dims))
    }
  }
}

function integers(name: string, type: QdqType, dims: readonly number[], values: Int16Array): TensorProto {
  return makeTensor(name, type.dataType, dims, type.bits === 16 ? values : packBits(values, type.bits))
}
