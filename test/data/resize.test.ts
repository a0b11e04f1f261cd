import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fitImage } from '#src/data/resize.js'

const image = (
  width: number,
  height: number,
  channels: number,
  at: (x: number, y: number, c: number) => number,
) => ({
  width,
  height,
  channels,
  data: Uint8Array.from({ length: width * height * channels }, (_, i) =>
    at(Math.floor(i / channels) % width, Math.floor(i / channels / width), i % channels),
  ),
})

describe('fitImage', () => {
  it('takes an image of the right size as it is, in planes, alpha dropped', () => {
    const rgba = image(3, 2, 4, (x, y, c) => 50 * c + 10 * y + x)
    expect(Array.from(fitImage(rgba, { channels: 3, height: 2, width: 3 }))).toEqual([
      0, 1, 2, 10, 11, 12, 50, 51, 52, 60, 61, 62, 100, 101, 102, 110, 111, 112,
    ])
  })

  it('cuts the centre out of a longer image without resampling', () => {
    const wide = image(6, 2, 1, (x, y) => 10 * y + x)
    expect(Array.from(fitImage(wide, { channels: 1, height: 2, width: 2 }))).toEqual([2, 3, 12, 13])
  })

  it('keeps a constant image constant, whatever the sizes', () => {
    const side = fc.integer({ min: 1, max: 40 })
    fc.assert(
      fc.property(side, side, side, side, fc.integer({ min: 0, max: 255 }), (w, h, width, height, grey) => {
        const out = fitImage(
          image(w, h, 1, () => grey),
          { channels: 3, height, width },
        )
        expect(out).toHaveLength(3 * height * width)
        expect(out.every((value) => value === grey)).toBe(true)
      }),
    )
  })

  it('averages when it shrinks by two: the triangle filter 1 3 3 1', () => {
    const columns = image(8, 8, 1, (x) => [0, 0, 80, 80, 0, 0, 0, 0][x]!)
    const out = fitImage(columns, { channels: 1, height: 4, width: 4 })
    expect(Array.from(out.subarray(0, 4))).toEqual([11, 60, 10, 0]) // first: 80·1/7, the tap outside left out
  })

  it('interpolates when it grows', () => {
    const step = image(2, 2, 1, (x) => 100 * x)
    const out = fitImage(step, { channels: 1, height: 4, width: 4 })
    expect(Array.from(out.subarray(0, 4))).toEqual([0, 25, 75, 100])
  })

  it('takes luma of colours as PIL does', () => {
    const red = image(1, 1, 3, (_x, _y, c) => (c === 0 ? 255 : 0))
    expect(Array.from(fitImage(red, { channels: 1, height: 1, width: 1 }))).toEqual([76])
  })
})
