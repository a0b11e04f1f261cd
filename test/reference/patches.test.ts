/** Patches against convolution sums written out by hand. */
import { describe, expect, it } from 'vitest'
import { patches } from '#src/reference/patches.js'

const common = {
  batch: 1,
  channels: 1,
  height: 3,
  width: 3,
  kernel: [2, 2],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [0, 0, 0, 0],
  groups: 1,
} as const
const image = [1, 2, 3, 4, 5, 6, 7, 8, 9]

describe('patches', () => {
  it('takes one row an output position, columns in the order (kh, kw)', () => {
    const { rows, inputs, groups } = patches(image, common)
    expect([rows, inputs]).toEqual([4, 4])
    expect([...groups[0]!]).toEqual([1, 2, 4, 5, 2, 3, 5, 6, 4, 5, 7, 8, 5, 6, 8, 9])
  })

  it('reads zeros outside of the image, for each pad by itself', () => {
    const { rows, groups } = patches(image, { ...common, pads: [1, 0, 0, 1] })
    expect(rows).toBe(9)
    expect([...groups[0]!.slice(0, 12)]).toEqual([0, 0, 1, 2, 0, 0, 2, 3, 0, 0, 3, 0])
  })

  it('handles strides and dilations', () => {
    expect([...patches(image, { ...common, strides: [2, 1], kernel: [1, 1] }).groups[0]!]).toEqual([
      1, 2, 3, 7, 8, 9,
    ])
    expect([...patches(image, { ...common, dilations: [2, 2] }).groups[0]!]).toEqual([1, 3, 7, 9])
  })

  it('gives each group the patches of its own channels, image after image', () => {
    const x = [1, 2, 3, 4, 5, 6, 7, 8] // (2, 4, 1, 1)
    const { rows, inputs, groups } = patches(x, {
      ...common,
      batch: 2,
      channels: 4,
      height: 1,
      width: 1,
      kernel: [1, 1],
      groups: 2,
    })
    expect([rows, inputs]).toEqual([2, 2])
    expect(groups.map((g) => [...g])).toEqual([
      [1, 2, 5, 6],
      [3, 4, 7, 8],
    ])
  })
})
