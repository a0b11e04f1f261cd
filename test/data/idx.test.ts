import { describe, expect, it } from 'vitest'
import { isIdx, parseIdx } from '#src/data/idx.js'
import { hex } from './arrays.js'

describe('parseIdx', () => {
  it('reads idx3-ubyte as a view', () => {
    const file = hex('00000803 00000002 00000001 00000003 010203 040506')
    const tensor = parseIdx(file)
    expect(tensor).toEqual({ type: 'uint8', dims: [2, 1, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) })
    expect(tensor.data.buffer).toBe(file.buffer)
  })

  it('reads idx1 of big-endian shorts and floats', () => {
    expect(parseIdx(hex('00000b01 00000002 0102 ffff')).data).toEqual(Int16Array.of(258, -1))
    expect(parseIdx(hex('00000d01 00000001 3f800000')).data).toEqual(Float32Array.of(1))
  })

  it('refuses files that are cut short or of another kind', () => {
    expect(() => parseIdx(hex('00000801 00000003 0102'), 'labels')).toThrow(
      'labels: expected 3 bytes for uint8 of shape (3), got 2; the file is cut short',
    )
    expect(() => parseIdx(hex('00000803 00000003'), 'x')).toThrow(/cut short/)
    expect(isIdx(hex('00000a01'))).toBe(false)
    expect(() => parseIdx(hex('1f8b0801'))).toThrow(/magic/)
  })
})
