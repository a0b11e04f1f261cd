/** Files of kilobytes that unpack to gigabytes, or say so: how many bytes are allocated is counted, not timed. */
import { existsSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { zipSync, zlibSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { boundOf, sizeText } from '#src/data/bound.js'
import { loadFeeds, loadLabels } from '#src/data/feeds.js'
import { decodeImage } from '#src/data/images.js'
import { gunzip, inflate } from '#src/data/inflate.js'
import { parseNpy } from '#src/data/npy.js'
import { fitImage } from '#src/data/resize.js'
import { readArrays } from '#src/data/source.js'
import type { RunnerInput } from '#src/tensor/tensor.js'
import { allocated } from './allocated.js'
import { ascii, concat, hex } from './arrays.js'
import { npyHeader, pngOf } from './hostile.js'

const MIB = 2 ** 20
const image: RunnerInput = { name: 'image', type: 'float32', dims: ['N', 1, 28, 28] }
const open: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 'M'] }
const file = (bytes: Uint8Array, name = 'a.npy') => ({ name, bytes: async () => bytes })
const source = (bytes: Uint8Array, name = 'a.npy') => ({ name, files: [file(bytes, name)] })

/** 64 MiB of zeros behind a header, gzipped to 64 kB. */
const zeros = (shape: string, fortran = false) =>
  gzipSync(concat(npyHeader(shape, { fortran }), new Uint8Array(64 * MIB)))

describe('arrays', () => {
  it('unpack as many samples as are wanted', async () => {
    const bytes = zeros('(80000, 1, 28, 28)')
    const { value: set, most } = await allocated(() =>
      loadFeeds([source(bytes)], [image], { samples: 100, scale: 1 }),
    )
    expect([set?.samples, set?.available]).toEqual([100, 80000])
    expect(most).toBeLessThan(MIB)
  })

  it.each([
    ['an array that is larger than the bound', '(20, 1048576)', open],
    ['an array in Fortran order, which is read whole', '(20, 1048576)', open],
    ['an array of another shape than the input takes', '(20, 1048576)', image],
  ])('are refused by their headers: %s', async (what, shape, input) => {
    const bytes = zeros(shape, what.includes('Fortran'))
    const load = () => loadFeeds([source(bytes)], [input], { samples: 20, maxBytes: 2 * MIB })
    const { error, most } = await allocated(load)
    expect(error).toMatchObject({ code: 'INVALID_DATA', place: 'a.npy' })
    if (input === open)
      expect(String(error)).toMatch(
        /expected at most 2 MiB for the unpacked array, got 20 MiB; allow more with maxBytes/,
      )
    expect(most).toBeLessThan(MIB)
    if (input === open)
      expect((await loadFeeds([source(bytes)], [input], { maxBytes: 32 * MIB })).samples).toBe(20)
  })

  it('are bounded by what the samples of the input take, or by a gibibyte', () => {
    expect(boundOf(image, 10)).toBe(2 ** 30)
    expect(boundOf({ ...image, dims: [1, 3, 4096, 4096] }, 1000)).toBe(2 ** 16 + 1000 * 3 * 4096 ** 2 * 8)
    expect(boundOf(open, 10 ** 9)).toBe(2 ** 30)
    expect(boundOf({ ...image, dims: null }, 10)).toBe(2 ** 30)
    expect(boundOf(image, 10, 5)).toBe(5)
    expect([sizeText(5), sizeText(1.5 * 2 ** 30), sizeText(Number.POSITIVE_INFINITY)]).toEqual([
      '5 bytes',
      '1.5 GiB',
      'far more',
    ])
  })

  it('of archives too, gzipped ones, and labels', async () => {
    const member = concat(npyHeader('(64, 1048576)'), new Uint8Array(64 * MIB))
    const archive = zipSync({ 'x.npy': member })
    for (const bytes of [archive, gzipSync(archive)]) {
      const { value: arrays } = await allocated(() => readArrays(file(bytes), { maxBytes: 8 * MIB }))
      if (arrays?.kind !== 'named') throw new Error('expected an archive')
      expect(() => arrays.archive.get('x')).toThrow(
        /x\.npy: expected at most 8 MiB for the unpacked array, got 64 MiB/,
      )
    }
    const { error, most } = await allocated(() => loadLabels(source(archive), { maxBytes: 8 * MIB }))
    expect(String(error)).toMatch(/at most 8 MiB/)
    expect(most).toBeLessThan(MIB)
    const nested = gzipSync(zipSync({ 'x.npy': member }, { level: 0 }))
    await expect(readArrays(file(nested), { maxBytes: 8 * MIB })).rejects.toThrow(
      /expected at most 8 MiB for the unpacked archive, got more/,
    )
  })

  it('take no memory for sizes that a zip directory invents', async () => {
    const archive = zipSync({ 'x.npy': concat(npyHeader('(4,)'), new Uint8Array(4)) })
    const view = new DataView(archive.buffer, archive.byteOffset)
    const at = archive.findLastIndex(
      (_, i) => i + 4 <= archive.length && view.getUint32(i, true) === 0x02014b50,
    )
    view.setUint32(at + 24, 0xfffffffa, true)
    view.setUint32(22, 0xfffffffa, true)
    const { value, most } = await allocated(() => readArrays(file(archive)))
    if (value?.kind !== 'named') throw new Error('expected an archive')
    expect(value.archive.get('x').data).toEqual(new Uint8Array(4))
    expect(most).toBeLessThan(MIB)
  })

  it('with absurd shapes are refused, in short words', async () => {
    const huge = '9'.repeat(60000)
    for (const [bytes, words] of [
      [npyHeader(`(${huge},)`), /a shape of whole numbers, got \(9{80}… \(600\d\d characters\)\)/],
      [npyHeader(`(${'1, '.repeat(100)})`), /at most 64 axes, got 100/],
      [npyHeader('(9007199254740991, 9007199254740991)'), /expected \S+ bytes for uint8/],
      [npyHeader('y'.repeat(3000)), /descr, fortran_order and shape, got "[^\n]{0,120}/],
      [npyHeader('(2,)', { length: 5 * MIB }), /a header of at most 65536 bytes, got 5242892/],
      [hex(`00000804${'ffffffff'.repeat(4)}`), /bytes for uint8 of shape \(4294967295, .*cut short/],
      [hex('00000808ffffffff'), /36 bytes for the header, got 8/],
    ] as const) {
      const { error } = await allocated(() => readArrays(file(bytes)))
      expect(error).toMatchObject({ code: 'INVALID_DATA' })
      expect(String(error)).toMatch(words)
      expect(String(error).length).toBeLessThan(300)
    }
    expect(parseNpy(npyHeader('(0,)')).data).toHaveLength(0)
  })

  it('whose samples have no elements cannot have any number of them', async () => {
    await expect(loadFeeds([source(npyHeader('(9007199254740991, 0)'))], [open])).rejects.toThrow(
      'a.npy: expected samples with elements, got shape (9007199254740991, 0)',
    )
    // A cache of length zero beside another input is right.
    const inputs: RunnerInput[] = [open, { name: 'past', type: 'float32', dims: ['N', 0] }]
    const past = { ...source(npyHeader('(2, 0)'), 'p.npy'), input: 'past' }
    const x = { ...source(concat(npyHeader('(2, 3)'), new Uint8Array(6)), 'x.npy'), input: 'x' }
    const set = await loadFeeds([x, past], inputs, { scale: 1 })
    for await (const batch of set) expect(batch.past?.dims).toEqual([2, 0])
  })

  it('with names and texts as long as the file are quoted in part', async () => {
    const long = 'n'.repeat(60000)
    const names = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`${long}${i}.npy`, npyHeader('(0,)')]),
    )
    const { error } = await allocated(() =>
      loadFeeds([{ ...source(zipSync(names, { level: 0 })), input: 'x' }], [open]),
    )
    expect(String(error)).toMatch(/and 488 more/)
    expect(String(error).length).toBeLessThan(3000)
  })
})

describe('streams', () => {
  it('stop where enough is unpacked', async () => {
    const deflated = zlibSync(new Uint8Array(32 * MIB))
    let seen = 0
    const { bytes, ended } = inflate(deflated, 'zlib', {
      need: 10,
      onPiece: (piece) => {
        seen += piece.length
      },
    })
    expect([bytes.length, ended]).toEqual([10, false])
    expect(seen).toBeLessThan(20 * MIB)
    expect(inflate(deflated, 'zlib', { need: 10, through: 32 * MIB })).toMatchObject({ ended: true })
    const packed = gzipSync(new Uint8Array(32 * MIB))
    expect(await gunzip(packed, { need: 7 })).toMatchObject({ bytes: new Uint8Array(7), ended: false })
    const { value, most } = await allocated(() =>
      gunzip(packed.subarray(0, 3000), { need: 2 ** 40 }).catch(() => 'cut'),
    )
    expect(value).toBe('cut')
    expect(most).toBeLessThan(8 * MIB)
  })
})

describe('images', () => {
  it('are refused by their size before they are unpacked', async () => {
    for (const [bytes, words] of [
      [
        pngOf(30000, 30000, zlibSync(new Uint8Array(MIB))),
        /30000 × 30000 here, got 3\.353 GiB; allow more with maxBytes/,
      ],
      [pngOf(1717785676, 9, new Uint8Array(20)), /at most 256 MiB for the pixels/],
      [pngOf(0, 9, new Uint8Array(20)), /expected pixels, got 0 × 9 of them/],
      [hex('ffd8 ffc0000b08 ffff ffff 01011100 ffd9'), /65535 × 65535 here/],
      [hex('ffd8 ffc0000b08 0000 0010 01011100 ffd9'), /expected pixels, got 16 × 0/],
    ] as const) {
      const { error, most } = await allocated(() => decodeImage(file(bytes, 'a.png')))
      expect(error).toMatchObject({ code: 'INVALID_DATA', place: 'a.png' })
      expect(String(error)).toMatch(words)
      expect(most).toBeLessThan(MIB)
    }
  })

  it('unpack no further than their pixels, and nothing beside them', async () => {
    const bomb = zlibSync(new Uint8Array(64 * MIB))
    const profile = concat(ascii('icc\0\0'), bomb)
    const { value, most } = await allocated(() =>
      decodeImage(file(pngOf(2, 2, bomb, [['iCCP', profile]]), 'a.png')),
    )
    expect(value).toMatchObject({ width: 2, height: 2 })
    expect(most).toBeLessThan(8 * MIB)
  })

  it('that are tall and narrow take no memory for rows that are cut off', async () => {
    const data = new Uint8Array(3 * 2 ** 20)
    const { most } = await allocated(async () =>
      fitImage({ width: 1, height: 2 ** 20, channels: 3, data }, { channels: 3, height: 64, width: 64 }),
    )
    expect(most).toBeLessThan(4 * MIB)
  })
})

const CASES = new URL('../../../shared/cases/data/', import.meta.url)

it.skipIf(!existsSync(CASES)).each(['lie4g.npz', 'png-bomb-109k.png', 'png-width-1.7e9.png', 'zerosize.npy'])(
  'the case %s is refused at once',
  async (name) => {
    const bytes = new Uint8Array(readFileSync(new URL(name, CASES)))
    const input: RunnerInput = name.endsWith('png') ? image : open
    const { error, most } = await allocated(async () => {
      for await (const batch of await loadFeeds([source(bytes, name)], [input])) expect(batch).toBeNull()
    })
    expect(error).toMatchObject({ code: 'INVALID_DATA' })
    expect(most).toBeLessThan(MIB)
  },
)
