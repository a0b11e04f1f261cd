import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '#src/tensor/float16.js'

describe('float16', () => {
  it('goes to float32 and back without change, for all 65,536 patterns that are numbers', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = float16ToFloat32(bits)
      if (Number.isNaN(value)) expect(float32ToFloat16(value)).toBe(0x7e00)
      else if (float32ToFloat16(value) !== bits) expect(float32ToFloat16(value)).toBe(bits)
    }
  })

  it('rounds to the nearest, ties to even', () => {
    fc.assert(
      fc.property(fc.float({ min: -65519, max: 65519, noNaN: true }), (value) => {
        const bits = float32ToFloat16(value)
        const error = Math.abs(float16ToFloat32(bits) - value)
        for (const neighbour of [bits - 1, bits + 1]) {
          if ((neighbour & 0x8000) !== (bits & 0x8000) || (neighbour & 0x7c00) === 0x7c00 || neighbour < 0)
            continue
          const other = Math.abs(float16ToFloat32(neighbour) - value)
          expect(error).toBeLessThanOrEqual(other)
          if (error === other) expect(bits & 1).toBe(0)
        }
      }),
    )
  })

  it('overflows to infinity', () => {
    expect(float32ToFloat16(65520)).toBe(0x7c00)
    expect(float32ToFloat16(-1e9)).toBe(0xfc00)
  })
})

describe('bfloat16', () => {
  it('goes to float32 and back without change', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = bfloat16ToFloat32(bits)
      if (!Number.isNaN(value) && float32ToBfloat16(value) !== bits)
        expect(float32ToBfloat16(value)).toBe(bits)
    }
  })

  it('rounds half to even', () => {
    expect(float32ToBfloat16(1 + 2 ** -8)).toBe(0x3f80)
    expect(float32ToBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82)
  })
})
