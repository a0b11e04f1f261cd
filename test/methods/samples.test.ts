/** Where rows are in a tensor: the dense gather, and the size of a padded copy. */
import { describe, expect, it } from 'vitest'
import { denseGather, type Gather, paddedBytes } from '#src/methods/samples.js'

describe('denseGather', () => {
  it('names the byte of every element of a row-major matrix', () => {
    const gather = denseGather(3, 5)
    const bytes = Array.from(gather.rowAt, (row) => Array.from(gather.columnAt, (column) => row + column))
    expect(bytes.flat()).toEqual(Array.from({ length: 15 }, (_, i) => 4 * i))
    expect(gather).toMatchObject({ rows: 3, inputs: 5, groups: 1, contiguous: true, padding: null })
  })
})

describe('paddedBytes', () => {
  it('is the size of all padded planes, 0 without padding', () => {
    const dense: Gather = denseGather(1, 1)
    expect(paddedBytes(dense)).toBe(0)
    const padding = { planes: 6, height: 5, width: 7, paddedHeight: 8, paddedWidth: 9, top: 1, left: 1 }
    expect(paddedBytes({ ...dense, padding })).toBe(6 * 8 * 9 * 4)
  })
})
