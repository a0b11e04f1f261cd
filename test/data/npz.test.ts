import fc from 'fast-check'
import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { formatNpz, openNpz } from '#src/data/npz.js'
import { ascii, bytesOf, tensors } from './arrays.js'

const image = { type: 'uint8', dims: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) } as const
const label = { type: 'int64', dims: [2], data: BigInt64Array.of(7n, 8n) } as const

describe('openNpz', () => {
  it('reads back what formatNpz writes', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), tensors, { minKeys: 1, maxKeys: 4 }),
        (arrays) => {
          const archive = openNpz(formatNpz(arrays))
          expect([...archive.names].sort()).toEqual(Object.keys(arrays).sort())
          for (const [name, tensor] of Object.entries(arrays)) {
            const read = archive.get(name)
            expect(read.dims).toEqual(tensor.dims)
            expect(bytesOf(read)).toEqual(bytesOf(tensor))
          }
        },
      ),
      { numRuns: 30 },
    )
  })

  it('reads stored members (numpy.savez) and ignores what is not .npy', () => {
    const files = {
      'image.npy': formatNpy(image),
      'readme.txt': ascii('hello'),
      'label.npy': formatNpy(label),
    }
    const archive = openNpz(zipSync(files, { level: 0 }))
    expect(archive.names).toEqual(['image', 'label'])
    expect(archive.get('label')).toEqual(label)
  })

  it('writes the same bytes every time', () => {
    expect(formatNpz({ image, label })).toEqual(formatNpz({ image, label }))
  })

  it('says which arrays there are', () => {
    expect(() => openNpz(formatNpz({ image, label }), 'a.npz').get('x')).toThrow(
      'a.npz: expected an array named "x", got only image, label',
    )
  })

  it('notices one wrong byte, and in which array', () => {
    const file = zipSync({ 'image.npy': formatNpy(image), 'label.npy': formatNpy(label) }, { level: 0 })
    const at = file.findIndex((_, i) => [1, 2, 3, 4, 5, 6].every((byte, k) => file[i + k] === byte))
    file[at + 2] = 7
    const archive = openNpz(file, 'a.npz')
    expect(() => archive.get('image')).toThrow(
      expect.objectContaining({
        code: 'INVALID_DATA',
        message: expect.stringMatching(/^a\.npz: image\.npy: expected bytes with CRC-32 [\da-f]{8}, got /),
      }),
    )
    expect(archive.get('label')).toEqual(label)
  })

  it('refuses damaged archives and ones without arrays', () => {
    const file = formatNpz({ image })
    expect(() => openNpz(file.subarray(0, file.length - 30), 'a.npz')).toThrow(
      /a\.npz: the zip archive is damaged/,
    )
    expect(() => openNpz(zipSync({ 'a.txt': ascii('a') }), 'a.npz')).toThrow(/got a zip without any/)
    const bad = file.slice()
    bad.fill(0xff, 45, 60)
    expect(() => openNpz(bad, 'a.npz').get('image')).toThrow(
      expect.objectContaining({ code: 'INVALID_DATA' }),
    )
  })
})
