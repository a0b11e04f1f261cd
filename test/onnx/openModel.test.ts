import { create } from '@bufbuild/protobuf'
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { externalDataPaths } from '#src/onnx/externalData.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import { readFloats } from '#src/onnx/tensor.js'
import * as b from './build.js'

const small = () =>
  encodeModel(b.model([b.node('MatMul', ['x', 'w'], ['y'])], [b.floats('w', [1, 2], [1, 2])], ['x'], ['y']))

const weights = new Uint8Array(Float32Array.of(3, 4, 5, 6).buffer)

function external() {
  const tensor = b.floats('w', [2, 2], [0, 0, 0, 0])
  tensor.rawData = new Uint8Array()
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  tensor.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: 'w.bin' })]
  return encodeModel(b.model([b.node('MatMul', ['x', 'w'], ['y'])], [tensor], ['x'], ['y']))
}

describe('openModel', () => {
  it('takes sizes below one as unknown, and no shape as none', async () => {
    const shapes = [['N', 3, 4], [-1, 3], [0, 3], [], undefined]
    const inputs = shapes.map((dims, i) => b.value(`x${i}`, b.DataType.FLOAT, dims))
    const proto = b.model([b.node('Identity', ['x0'], ['y'])], [], inputs, ['y'])
    const model = await openModel(encodeModel(proto))
    expect(model.inputs.map(({ dims }) => dims)).toEqual([['N', 3, 4], [null, 3], [null, 3], [], null])
  })

  it('decodes a file without a copy of its weights', async () => {
    const bytes = small()
    const model = await openModel(bytes)
    expect(model).toMatchObject({ byteLength: bytes.length, outputs: ['y'], opset: 13, externalData: [] })
    expect(model.proto.graph!.initializer[0]!.rawData.buffer).toBe(bytes.buffer)
    expect(await model.runnable()).toBe(bytes)
    expect(await model.whole()).toEqual({ proto: model.proto, bytes: bytes.length, files: [] })
  })

  it('reads a source once, and refuses one that gives too little', async () => {
    const bytes = small()
    const ranges: number[][] = []
    const slice = async (from: number, to: number) => {
      ranges.push([from, to])
      return bytes.slice(from, to)
    }
    expect((await openModel({ byteLength: bytes.length, slice })).outputs).toEqual(['y'])
    expect(ranges).toEqual([[0, bytes.length]])
    await expect(openModel({ byteLength: bytes.length + 5, slice })).rejects.toMatchObject({
      code: 'INVALID_MODEL',
      expected: `${bytes.length + 5} bytes from its source`,
      got: String(bytes.length),
    })
  })

  it('refuses an ArrayBuffer, which looks like a source', async () => {
    const { buffer } = small()
    // @ts-expect-error: its slice is no Uint8Array
    await expect(openModel(buffer)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', place: 'model' })
  })

  it('reads external data on the first call that needs it, and keeps it', async () => {
    const bytes = external()
    let reads = 0
    const model = await openModel(bytes, async () => {
      reads++
      return weights
    })
    expect(model.externalData).toEqual(['w.bin'])
    expect(reads).toBe(0)
    const [whole, again] = await Promise.all([model.whole(), model.whole()])
    expect(again).toBe(whole)
    expect(whole.bytes).toBe(bytes.length + weights.length)
    expect([...readFloats(whole.proto.graph!.initializer[0]!)]).toEqual([3, 4, 5, 6])
    const runnable = decodeModel(await model.runnable())
    expect(externalDataPaths(runnable)).toEqual([])
    expect([...readFloats(runnable.graph!.initializer[0]!)]).toEqual([3, 4, 5, 6])
    expect(reads).toBe(1)
  })

  it('does not keep a failed read', async () => {
    let reads = 0
    const model = await openModel(external(), async () => {
      if (reads++ === 0) throw new Error('unplugged')
      return weights
    })
    await expect(model.whole()).rejects.toThrow('unplugged')
    expect((await model.whole()).bytes).toBe(external().length + weights.length)
  })

  it('needs a reader for external data', async () => {
    const model = await openModel(external())
    const error = { code: 'INVALID_DATA', place: 'model', problem: expect.stringContaining('w.bin') }
    await expect(model.whole()).rejects.toMatchObject(error)
    await expect(model.runnable()).rejects.toMatchObject(error)
  })
})
