/** Small models in every form that gpfq writes, and a foreign one. Each has one input. */
import { readFile } from 'node:fs/promises'
import type { ModelProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import type { Format } from '#src/onnx/layer.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import type { ActivationOptions, ScalePer } from '#src/options.js'
import { float16Bits } from '#src/tensor/float16.js'
import type { Tensor } from '#src/tensor/tensor.js'
import { uniform } from '../../bench/measure.js'
import { denseChain } from '../../bench/model.js'

export interface Form {
  readonly name: string
  readonly model: Uint8Array
  readonly input: string
  readonly tensor: Tensor
}

interface Written {
  readonly levels: number
  readonly format: Format
  readonly scalePer?: ScalePer
  readonly activations?: ActivationOptions
}

const WIDTH = 128
const ROUNDED = { method: 'msq', radius: { rule: 'max' }, threads: 1 } as const
const LEVELS = [
  { bits: 2, levels: 3 },
  { bits: 4, levels: 15 },
  { bits: 8, levels: 255 },
] as const

function uniformTensor(dims: readonly number[]): Tensor {
  const next = uniform(7)
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * next() - 1)
  return { type: 'float32', dims, data }
}

/** Every form once. Inputs of 2 bits and more, blocks of nbits, integers of both kinds of ranges, float16. */
export async function everyForm(): Promise<readonly Form[]> {
  const runner = await createOrtWebRunner()
  const dense: Form = {
    ...{ name: 'MatMul', input: 'x', model: encodeModel(denseChain(2, WIDTH)) },
    tensor: uniformTensor([4, WIDTH]),
  }
  const digits = new Uint8Array(await readFile(new URL('../../demo-data/digits.onnx', import.meta.url)))
  const conv: Form = {
    ...{ name: 'Conv, Gemm', input: 'image', model: digits },
    tensor: uniformTensor([2, 1, 28, 28]),
  }
  const half: Form = { name: 'float16 MatMul', input: 'x', ...halved(denseChain(2, WIDTH), dense.tensor) }
  const written = async (of: Form, name: string, options: Written): Promise<Form> => {
    const all = { ...ROUNDED, ...options, calibration: [{ [of.input]: of.tensor }], runner }
    const { model } = await quantizeModel(of.model, all)
    return { ...of, name: `${of.name}, ${name}`, model }
  }
  const forms: Form[] = [
    ...[dense, conv, half].map(({ name, ...rest }) => ({ name: `${name}, float as it came`, ...rest })),
  ]
  for (const { bits, levels } of LEVELS) {
    for (const of of [dense, conv])
      for (const format of ['packed', 'qdq'] as const)
        forms.push(await written(of, `${format} ${bits} bit`, { levels, format }))
    for (const group of [16, 32, 128])
      forms.push(
        await written(dense, `nbits ${bits} bit, blocks of ${group}`, {
          ...{ levels, format: 'nbits', scalePer: { group } },
        }),
      )
  }
  for (const format of ['packed', 'qdq'] as const)
    forms.push(await written(half, `${format} 4 bit`, { levels: 15, format }))
  const activations = { bits: 8, for: [{ pattern: '*', kernel: 'int8' }] } as const
  for (const of of [dense, conv])
    for (const format of ['packed', 'qdq'] as const) {
      const ranges = of === dense && format === 'packed' ? 'dynamic' : 'static'
      forms.push(
        await written(of, `${format} on int8, ${ranges} ranges`, { levels: 15, format, activations }),
      )
    }
  const nbits = forms.find(({ name }) => name === 'MatMul, nbits 4 bit, blocks of 32')!
  forms.push({ ...nbits, name: 'MatMul, accuracy_level 4 (not written by gpfq)', model: level4(nbits.model) })
  return forms
}

/** The same model with weights, inputs and outputs of float16. */
export function halved(model: ModelProto, { dims, data }: Tensor): Pick<Form, 'model' | 'tensor'> {
  for (const tensor of model.graph?.initializer ?? []) {
    const { buffer, byteOffset, byteLength } = tensor.rawData
    const bits = float16Bits(new Float32Array(buffer, byteOffset, byteLength / 4))
    Object.assign(tensor, { dataType: DataType.FLOAT16, rawData: new Uint8Array(bits.buffer) })
  }
  for (const { type } of [...(model.graph?.input ?? []), ...(model.graph?.output ?? [])])
    if (type?.value.case === 'tensorType') type.value.value.elemType = DataType.FLOAT16
  const bits = float16Bits(Float32Array.from(data, Number))
  return { model: encodeModel(model), tensor: { type: 'float16', dims, data: bits } }
}

/** MatMulNBits with the accuracy level that lets a kernel round its input to 8 bits. */
function level4(bytes: Uint8Array): Uint8Array {
  const model = decodeModel(bytes)
  for (const { attribute } of model.graph?.node ?? [])
    for (const entry of attribute) if (entry.name === 'accuracy_level') entry.i = 4n
  return encodeModel(model)
}
