import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { convertElements, numberAt } from '#src/tensor/elements.js'

describe('convertElements', () => {
  it('returns the same array for the same type', () => {
    const data = Float32Array.of(1)
    expect(convertElements('x', data, 'float32', 'float32')).toBe(data)
  })

  it('widens tokens and images', () => {
    expect(convertElements('x', Uint16Array.of(0, 511), 'uint16', 'int64')).toEqual(
      BigInt64Array.of(0n, 511n),
    )
    expect(convertElements('x', Uint8Array.of(0, 255), 'uint8', 'float32')).toEqual(Float32Array.of(0, 255))
    expect(convertElements('x', BigInt64Array.of(-5n), 'int64', 'int32')).toEqual(Int32Array.of(-5))
    expect(convertElements('x', Float64Array.of(0.1), 'float64', 'float32')).toEqual(Float32Array.of(0.1))
    expect(convertElements('x', Uint8Array.of(1, 0), 'bool', 'float32')).toEqual(Float32Array.of(1, 0))
  })

  it('goes through float16 and back without loss for what float16 can hold', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -2048, max: 2048 }),
        fc.integer({ min: -10, max: 4 }),
        (mantissa, exponent) => {
          const value = mantissa * 2 ** exponent
          const half = convertElements('x', Float32Array.of(value), 'float32', 'float16')
          expect(numberAt('float16', half, 0)).toBeCloseTo(value, 10)
        },
      ),
    )
  })

  it('refuses what float16 makes infinite, and keeps infinity', () => {
    expect(() => convertElements('x.npy', Float32Array.of(1, -70000), 'float32', 'float16')).toThrow(
      'x.npy: expected values that fit float16, from −65504 to 65504, got -70000 (float32)',
    )
    const masked = Float64Array.of(Number.NEGATIVE_INFINITY, 65519)
    expect(convertElements('x', masked, 'float64', 'float16')).toEqual(Uint16Array.of(0xfc00, 0x7bff))
  })

  it('keeps every bit between int64 and uint64', () => {
    const values = [0n, 2n ** 53n + 1n, 2n ** 63n - 1n]
    const signed = BigInt64Array.from(values)
    const unsigned = BigUint64Array.from(values)
    expect(convertElements('x', unsigned, 'uint64', 'int64')).toEqual(signed)
    expect(convertElements('x', signed, 'int64', 'uint64')).toEqual(unsigned)
  })

  it('refuses what the target cannot hold', () => {
    expect(() => convertElements('tokens.npy', Float32Array.of(1.5), 'float32', 'int64')).toThrow(
      'tokens.npy: expected integers that fit int64, got 1.5 (float32)',
    )
    expect(() => convertElements('x', Int32Array.of(-1), 'int32', 'uint8')).toThrow(/fit uint8, got -1/)
    expect(() => convertElements('x', BigInt64Array.of(1n << 40n), 'int64', 'int32')).toThrow(/fit int32/)
    expect(() => convertElements('x', BigUint64Array.of(2n ** 64n - 1n), 'uint64', 'int64')).toThrow(
      'x: expected integers that fit int64, got 18446744073709551615 (uint64)',
    )
    expect(() => convertElements('x', BigUint64Array.of(2n ** 63n), 'uint64', 'int64')).toThrow(/fit int64/)
    expect(() => convertElements('x', BigInt64Array.of(-1n), 'int64', 'uint64')).toThrow(/fit uint64, got -1/)
    expect(() => convertElements('x', Float32Array.of(Number.NaN), 'float32', 'int32')).toThrow(/got NaN/)
  })
})
