/** Models and data for the tests, generated. */
import { create, toBinary } from '@bufbuild/protobuf'
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from 'onnx-buf'
import * as b from '../../test/onnx/build.js'

/** Dense layers of `width` inputs and neurons with Relu between them; x (n, width) → y (n, 10). */
export function denseModel(width: number, depth: number, { opset = 13 } = {}) {
  const nodes = []
  const weights = []
  let from = 'x'
  for (let i = 0; i < depth; i++) {
    const last = i === depth - 1
    const neurons = last ? 10 : width
    const scale = 1.7 / Math.sqrt(width)
    weights.push(
      b.floats(
        `w${i}`,
        [width, neurons],
        b.noise(width * neurons, i + 1).map((v) => v * scale),
      ),
    )
    nodes.push(b.node('MatMul', [from, `w${i}`], [last ? 'y' : `m${i}`], {}, `layer${i}`))
    if (last) break
    nodes.push(b.node('Relu', [`m${i}`], [`r${i}`], {}, `relu${i}`))
    from = `r${i}`
  }
  return b.model(
    nodes,
    weights,
    [b.value('x', b.DataType.FLOAT, ['n', width])],
    [b.value('y', b.DataType.FLOAT, ['n', 10])],
    { opset },
  )
}

/** Two inputs, a and b (n, 8), each through its own layer to their sum y (n, 4). */
export function twoInputModel() {
  return b.model(
    [
      b.node('MatMul', ['a', 'wa'], ['ma'], {}, 'layerA'),
      b.node('MatMul', ['b', 'wb'], ['mb'], {}, 'layerB'),
      b.node('Add', ['ma', 'mb'], ['y']),
    ],
    [b.floats('wa', [8, 4], b.noise(32, 1)), b.floats('wb', [8, 4], b.noise(32, 2))],
    [b.value('a', b.DataType.FLOAT, ['n', 8]), b.value('b', b.DataType.FLOAT, ['n', 8])],
    [b.value('y', b.DataType.FLOAT, ['n', 4])],
  )
}

/** One dense layer of float16, zeros: x (n, width) → y (n, width). */
export function halfModel(width: number) {
  const weight = create(TensorProtoSchema, {
    name: 'w',
    dims: [BigInt(width), BigInt(width)],
    dataType: b.DataType.FLOAT16,
    rawData: new Uint8Array(2 * width * width),
  })
  return b.model(
    [b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer')],
    [weight],
    [b.value('x', b.DataType.FLOAT16, ['n', width])],
    [b.value('y', b.DataType.FLOAT16, ['n', width])],
  )
}

export type Model = ReturnType<typeof denseModel>

export function bytesOf(model: Model): Uint8Array {
  return toBinary(ModelProtoSchema, model)
}

/** The same model with its weights in a file of their own, `name`. */
export function withExternalData(model: Model, name: string): { model: Uint8Array; data: Uint8Array } {
  const parts: Uint8Array[] = []
  let offset = 0
  for (const tensor of model.graph?.initializer ?? []) {
    const entry = (key: string, value: string) => create(StringStringEntryProtoSchema, { key, value })
    const { rawData } = tensor
    parts.push(rawData)
    tensor.externalData = [
      entry('location', name),
      entry('offset', String(offset)),
      entry('length', String(rawData.length)),
    ]
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
    offset += rawData.length
    tensor.rawData = new Uint8Array(0)
  }
  return { model: bytesOf(model), data: Buffer.concat(parts) }
}

/** A .npy file of float32 or, from bytes, uint8. */
export function npy(dims: readonly number[], values: Float32Array | Uint8Array): Uint8Array {
  const type = values instanceof Uint8Array ? '|u1' : '<f4'
  const shape = dims.length === 1 ? `(${dims[0]},)` : `(${dims.join(', ')})`
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': ${shape}, }`
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`
  const head = Buffer.alloc(10)
  head.write('\x93NUMPY\x01\x00', 'latin1')
  head.writeUInt16LE(header.length, 8)
  return Buffer.concat([
    head,
    Buffer.from(header, 'latin1'),
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  ])
}

export const noise = b.noise
