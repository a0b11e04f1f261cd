import { create } from '@bufbuild/protobuf'
import { StringStringEntryProtoSchema, type TensorProto, TensorProto_DataLocation } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { externalDataPaths, resolveExternalData } from '#src/onnx/externalData.js'
import { encodeModel } from '#src/onnx/model.js'
import { readFloats } from '#src/onnx/tensor.js'
import * as b from './build.js'

function external(name: string, dims: number[], entries: Record<string, string>): TensorProto {
  const tensor = b.floats(name, dims, new Float32Array(dims.reduce((x, y) => x * y, 1)))
  tensor.rawData = new Uint8Array()
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
  return tensor
}

const modelWith = (...tensors: TensorProto[]) =>
  b.model([b.node('MatMul', ['x', 'w'], ['y'])], tensors, ['x'], ['y'])

const file = new Uint8Array(Float32Array.of(9, 1, 2, 3, 4, 5).buffer)

describe('resolveExternalData', () => {
  it('takes the named bytes of each file, reading a file once', async () => {
    const model = modelWith(
      external('w', [2, 2], { location: 'weights/a.bin', offset: '4', length: '16' }),
      external('v', [1], { location: './weights/a.bin', offset: '20' }),
    )
    const before = encodeModel(model)
    const read: string[] = []
    const resolved = await resolveExternalData(model, async (path) => {
      read.push(path)
      return file
    })
    expect(read).toEqual(['weights/a.bin'])
    const values = resolved.graph!.initializer.map((tensor) => [...readFloats(tensor)])
    expect(values).toEqual([[1, 2, 3, 4], [5]])
    expect(externalDataPaths(resolved)).toEqual([])
    expect(encodeModel(model)).toEqual(before)
  })

  it('reads nothing for a model without external data', async () => {
    const model = modelWith(b.floats('w', [1, 1], [1]))
    expect(await resolveExternalData(model, () => Promise.reject(new Error('read')))).toBe(model)
  })

  it('finds external tensors in Constant nodes and in subgraphs', () => {
    const inner = b.node('Constant', [], ['k'], { value: external('', [1], { location: 'k.bin' }) })
    const body = b.graph([inner], [external('i', [1], { location: 'i.bin' })], [], ['k'])
    const model = b.model(
      [b.node('If', ['c'], ['y'], { then_branch: body, else_branch: body })],
      [],
      ['c'],
      ['y'],
    )
    expect(externalDataPaths(model).sort()).toEqual(['i.bin', 'k.bin'])
  })

  it.each([
    '../secret.bin',
    'a/../../secret.bin',
    '/etc/passwd',
    '//host/share',
    'C:/weights.bin',
    'C:weights.bin',
    '..\\secret.bin',
    'a\\b.bin',
    'file:///etc/passwd',
    'https://example.org/w.bin',
    '%2e%2e/secret.bin',
    'a/%2E%2E/%2e%2e/secret.bin',
    'a\0.bin',
    '',
    '.',
    '..',
  ])('refuses a path that could leave the folder, before reading: %j', async (location) => {
    const model = modelWith(external('w', [2, 2], { location }))
    let reads = 0
    const read = async () => {
      reads++
      return file
    }
    await expect(resolveExternalData(model, read)).rejects.toMatchObject({ code: 'INVALID_MODEL' })
    expect(reads).toBe(0)
  })

  it.each([
    ['too short a file', { location: 'a', offset: '16' }],
    ['a length that contradicts the dims', { location: 'a', length: '8' }],
    ['an offset that is no number', { location: 'a', offset: '-4' }],
    ['no location', { offset: '0' }],
  ])('refuses %s', async (_, entries) => {
    const model = modelWith(external('w', [2, 2], entries))
    await expect(resolveExternalData(model, async () => file)).rejects.toMatchObject({
      code: 'INVALID_MODEL',
    })
  })
})
