import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { formatNpz } from '#src/data/npz.js'
import { openArrays, pickEntry, readArrays } from '#src/data/source.js'
import { hex } from './arrays.js'

const image = { type: 'uint8', dims: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) } as const
const label = { type: 'uint8', dims: [2], data: Uint8Array.of(7, 8) } as const
const source = (bytes: Uint8Array, name = 'data') => ({ name, bytes: async () => bytes })
const read = async (bytes: Uint8Array, name?: string) =>
  pickEntry(await openArrays(source(bytes), 2 ** 20), name, 'data').read(Number.POSITIVE_INFINITY, 2 ** 20)

describe('readArrays', () => {
  it('recognizes formats by their first bytes, gzipped or not', async () => {
    const idx = hex('00000802 00000002 00000003 010203 040506')
    for (const bytes of [formatNpy(image), formatNpz({ image }), idx])
      for (const file of [bytes, gzipSync(bytes)]) expect(await read(file)).toEqual(image)
  })

  it('unpacks gzip of several members', async () => {
    const bytes = formatNpy(image)
    const file = Buffer.concat([gzipSync(bytes.subarray(0, 50)), gzipSync(bytes.subarray(50))])
    expect(await read(file)).toEqual(image)
  })

  it('refuses unknown formats and damaged gzip', async () => {
    await expect(read(hex('cafebabe00'))).rejects.toThrow(
      /^data: expected \.npy, \.npz or IDX .* starts with ca fe ba be/,
    )
    await expect(readArrays(source(hex('cafebabe00')))).rejects.toThrow(/starts with ca fe ba be/)
    await expect(read(new Uint8Array())).rejects.toThrow(/nothing \(it is empty\)/)
    const cut = gzipSync(formatNpy(image)).subarray(0, 40)
    await expect(read(cut)).rejects.toThrow('data: the gzip data is damaged or cut short')
  })
})

describe('pickEntry', () => {
  it('takes the named array, or the only one', async () => {
    const both = formatNpz({ image, label })
    expect(await read(both, 'label')).toEqual(label)
    expect(await read(formatNpz({ label }), 'anything')).toEqual(label)
    await expect(read(both, 'x')).rejects.toThrow(
      'data: expected an array named "x", got image, label; choose one by its name',
    )
  })
})
