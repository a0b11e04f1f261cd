import { create } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { TensorProto_DataType as DataType, TensorProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { makeFloats, readFloats, readInts } from '#src/onnx/tensor.js'

const raw = (dataType: number, dims: number[], data: ArrayBufferView) =>
  create(TensorProtoSchema, {
    name: 't',
    dataType,
    dims: dims.map(BigInt),
    rawData: new Uint8Array(
      data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer,
    ),
  })

describe('readFloats', () => {
  it('reads float, double, float16 and bfloat16 from raw bytes and from typed fields', () => {
    const values = [1, -2.5, 0.15625]
    const halves = Uint16Array.of(0x3c00, 0xc100, 0x3100)
    const brain = Uint16Array.of(0x3f80, 0xc020, 0x3e20)
    const dims = [3]
    const typed = (init: object) => create(TensorProtoSchema, { name: 't', dims: [3n], ...init })
    for (const tensor of [
      raw(DataType.FLOAT, dims, Float32Array.from(values)),
      raw(DataType.DOUBLE, dims, Float64Array.from(values)),
      raw(DataType.FLOAT16, dims, halves),
      raw(DataType.BFLOAT16, dims, brain),
      typed({ dataType: DataType.FLOAT, floatData: values }),
      typed({ dataType: DataType.DOUBLE, doubleData: values }),
      typed({ dataType: DataType.FLOAT16, int32Data: [...halves] }),
      typed({ dataType: DataType.BFLOAT16, int32Data: [...brain] }),
    ])
      expect([...readFloats(tensor)]).toEqual(values)
  })

  it.each([
    ['an array', new Uint8Array(13)],
    ['a Node Buffer', Buffer.alloc(13)],
  ])('reads raw bytes that are not aligned, in %s', (_, file) => {
    file.set(new Uint8Array(Float32Array.of(1, 2, 3).buffer), 1)
    const tensor = create(TensorProtoSchema, {
      name: 't',
      dataType: DataType.FLOAT,
      dims: [3n],
      rawData: file.subarray(1),
    })
    expect([...readFloats(tensor)]).toEqual([1, 2, 3])
  })

  it('refuses values that do not fill the dims', () => {
    expect(() => readFloats(raw(DataType.FLOAT, [2, 2], Float32Array.of(1, 2, 3)))).toThrow(
      /tensor 't': expected 16 bytes for dims \[2,2\], got 12/,
    )
    const typed = create(TensorProtoSchema, {
      name: 't',
      dataType: DataType.FLOAT,
      dims: [2n],
      floatData: [1],
    })
    expect(() => readFloats(typed)).toThrow(/expected 2 values for dims \[2\], got 1/)
    expect(() => readFloats(raw(DataType.FLOAT, [-1], new Float32Array(0)))).toThrow(
      /dims of at least 0, got -1/,
    )
    expect(() => readFloats(raw(DataType.INT8, [1], Int8Array.of(1)))).toThrow(
      /expected float values, got int8/,
    )
  })

  it('reads an empty tensor and a scalar', () => {
    expect(readFloats(raw(DataType.FLOAT, [0, 3], new Float32Array(0)))).toHaveLength(0)
    expect([...readFloats(raw(DataType.FLOAT, [], Float32Array.of(4)))]).toEqual([4])
  })
})

describe('readInts', () => {
  it('reads int64 and int32 from raw bytes and from typed fields', () => {
    expect(readInts(raw(DataType.INT64, [2], BigInt64Array.of(-1n, 7n)))).toEqual([-1, 7])
    expect(readInts(raw(DataType.INT32, [2], Int32Array.of(-1, 7)))).toEqual([-1, 7])
    const typed = create(TensorProtoSchema, {
      name: 't',
      dataType: DataType.INT64,
      dims: [2n],
      int64Data: [3n, 4n],
    })
    expect(readInts(typed)).toEqual([3, 4])
  })
})

describe('makeFloats', () => {
  it('is undone by readFloats, in every float type that holds the values', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -128, max: 128 })), (values) => {
        for (const type of [DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16])
          expect([...readFloats(makeFloats('t', type, [values.length], Float32Array.from(values)))]).toEqual(
            values,
          )
      }),
    )
  })

  it('copies values out of shared memory', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8))
    shared.set([1, 2])
    const tensor = makeFloats('t', DataType.FLOAT, [2], shared)
    shared[0] = 5
    expect([...readFloats(tensor)]).toEqual([1, 2])
    expect(tensor.rawData.buffer).toBeInstanceOf(ArrayBuffer)
  })
})
