import { existsSync, readFileSync } from 'node:fs'
import { encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { decodeImage, isImageName, provideJpegWasm } from '#src/data/images.js'
import { jpegWasm } from '#src/data/jpegFile.js'

const source = (bytes: Uint8Array, name = 'a.png') => ({ name, bytes: async () => bytes })

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
      const junk = Uint8Array.from({ length: 500 }, (_, i) => (i === 1 ? 0xd8 : 0xff))
      provideJpegWasm(read)
      const refused = decodeImage(source(junk, 'c.jpg'))
      await expect(refused).rejects.toThrow(words)
      await expect(refused).rejects.toMatchObject({ code: 'RUNTIME_MISSING' })
      provideJpegWasm(jpegWasm)
      await expect(decodeImage(source(junk, 'c.jpg'))).rejects.toMatchObject({ code: 'INVALID_DATA' })
    },
  )

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
