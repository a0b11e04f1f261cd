import { existsSync, readFileSync } from 'node:fs'
import { encode } from 'fast-png'
import { zlibSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { decodeImage, isImageName, provideJpegWasm } from '#src/data/images.js'
import { jpegWasm } from '#src/data/jpegFile.js'
import { pngOf } from './hostile.js'

const source = (bytes: Uint8Array, name = 'a.png') => ({ name, bytes: async () => bytes })

/** A JPEG of a frame header and nothing behind it. */
function jpegHeader(width: number, height: number, components: number, bits = 8, marker = 0xc0): Uint8Array {
  const size = [height >> 8, height & 255, width >> 8, width & 255]
  const parts = Array.from({ length: components }, (_, i) => [i + 1, 0x11, 0]).flat()
  return Uint8Array.of(
    0xff,
    0xd8,
    0xff,
    marker,
    0,
    8 + parts.length,
    bits,
    ...size,
    components,
    ...parts,
    0xff,
    0xd9,
  )
}

/** Three pixels of 1 bit with a palette of two colours, beside chunks that do not matter. */
const PALETTE = pngOf(
  3,
  1,
  zlibSync(Uint8Array.of(0, 0b01000000)),
  [
    ['PLTE', Uint8Array.of(1, 2, 3, 4, 5, 6)],
    ['tEXt', new Uint8Array(5)],
  ],
  { depth: 1, colour: 3 },
)

/** The pixels 10, 20 / 30, 40 in the passes 1, 6 and 7 of Adam7. */
const ADAM7 = pngOf(2, 2, zlibSync(Uint8Array.of(0, 10, 0, 20, 0, 30, 40)), [], { interlace: 1 })

const ASSETS = new URL('../../../shared/assets/imagenet/calib/', import.meta.url)

describe('decodeImage', () => {
  it.each([
    ['grey', 1],
    ['grey and alpha', 2],
    ['RGB', 3],
    ['RGBA', 4],
  ])('decodes PNG %s', async (_, channels) => {
    const data = Uint8Array.from({ length: 6 * channels }, (_, i) => 9 * i)
    const png = encode({ width: 3, height: 2, data, channels })
    expect(await decodeImage(source(png))).toEqual({ width: 3, height: 2, channels, data })
  })

  it('keeps the upper byte of 16 bits', async () => {
    const png = encode({ width: 2, height: 1, data: Uint16Array.of(0x1234, 0xfedc), channels: 1, depth: 16 })
    expect((await decodeImage(source(png))).data).toEqual(Uint8Array.of(0x12, 0xfe))
  })

  it('refuses damaged files and other kinds, by name', async () => {
    const png = encode({ width: 2, height: 2, data: new Uint8Array(12), channels: 3 })
    await expect(decodeImage(source(png.subarray(0, 40)))).rejects.toThrow(/^a\.png: the PNG is damaged/)
    await expect(decodeImage(source(new Uint8Array(100)))).rejects.toThrow(/expected a JPEG or PNG/)
    const junk = new Uint8Array(500).fill(0xff)
    junk[1] = 0xd8
    await expect(decodeImage(source(junk, 'b.jpg'))).rejects.toMatchObject({ code: 'INVALID_DATA' })
  })

  it.each([
    ['cannot be read', () => Promise.reject(new Error('fetch failed')), /did not load: fetch failed; serve/],
    ['is none', async () => Uint8Array.of(1, 2, 3), /did not load: .*WebAssembly.*; serve/],
  ])(
    'calls no image damaged where the JPEG decoder’s wasm %s, and goes on once it is there',
    async (_, read, words) => {
      const junk = jpegHeader(1, 1, 1)
      provideJpegWasm(read)
      const refused = decodeImage(source(junk, 'c.jpg'))
      await expect(refused).rejects.toThrow(words)
      await expect(refused).rejects.toMatchObject({ code: 'RUNTIME_MISSING' })
      provideJpegWasm(jpegWasm)
      await expect(decodeImage(source(junk, 'c.jpg'))).rejects.toMatchObject({ code: 'INVALID_DATA' })
    },
  )

  it.each([
    ['JPEG in CMYK', jpegHeader(8, 8, 4)],
    ['JPEG of 12 bits', jpegHeader(8, 8, 3, 12)],
    ['JPEG of 2 components', jpegHeader(8, 8, 2)],
    ['lossless JPEG', jpegHeader(8, 8, 3, 8, 0xc3)],
    ['JPEG with arithmetic coding', jpegHeader(8, 8, 3, 8, 0xc9)],
  ])('names what it cannot decode: %s', async (got, bytes) => {
    await expect(decodeImage(source(bytes, 'c.jpg'))).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: `c.jpg: expected a PNG, or a JPEG in grey, YCbCr or RGB of 8 bits, got ${got}; convert it to RGB`,
    })
  })

  it('decodes palettes, few bits and interlaced PNG', async () => {
    const palette = await decodeImage(source(PALETTE))
    expect(palette).toMatchObject({ width: 3, height: 1, channels: 3 })
    expect([...palette.data]).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3])
    const adam7 = await decodeImage(source(ADAM7))
    expect(adam7).toMatchObject({ width: 2, height: 2, channels: 1 })
    expect([...adam7.data]).toEqual([10, 20, 30, 40])
  })

  it.skipIf(!existsSync(ASSETS))('decodes JPEG, refuses a cut-off one, and goes on after that', async () => {
    const jpeg = readFileSync(new URL('0000.jpg', ASSETS))
    const { width, height, channels, data } = await decodeImage(source(jpeg, '0000.jpg'))
    expect([width, height, channels, data.length]).toEqual([224, 224, 4, 224 * 224 * 4])
    await expect(decodeImage(source(jpeg.subarray(0, 3000), 'cut.jpg'))).rejects.toThrow(
      /^cut\.jpg: the JPEG is damaged \(Premature end/,
    )
    expect((await decodeImage(source(jpeg, '0000.jpg'))).data).toEqual(data)
  })
})

it('isImageName goes by the ending', () => {
  expect(['a.jpg', 'A.JPEG', 'b.png'].every(isImageName)).toBe(true)
  expect(['a.npy', 'jpg', 'a.png.gz'].some(isImageName)).toBe(false)
})
