import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packDigits, packedBytes, planPacking } from '#src/onnx/formats/packed.js'

describe('packing codes as digits', () => {
  it('keeps every code, in words that do not overflow', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 256 }), fc.nat(300), fc.nat(), (levels, count, seed) => {
        const codes = Uint8Array.from({ length: count }, (_, i) =>
          i % 3 === 0 ? levels - 1 : (seed * 31 + i * 7919) % levels,
        )
        const packing = planPacking(levels, count)
        const words = packDigits(codes, levels, packing)
        expect(words.byteLength).toBe(packedBytes(packing, count))
        const unpacked = [...words].flatMap((word) => {
          expect(word).toBeGreaterThanOrEqual(0)
          return Array.from({ length: packing.digits }, (_, j) =>
            Number((BigInt(word) / BigInt(levels) ** BigInt(j)) % BigInt(levels)),
          )
        })
        expect(unpacked.slice(0, count)).toEqual([...codes])
        expect(unpacked.slice(count).every((digit) => digit === 0)).toBe(true)
      }),
    )
  })

  it.each([
    [2, 1, 8],
    [3, 1, 5],
    [4, 1, 4],
    [7, 4, 11],
    [15, 1, 2],
    [16, 1, 2],
    [31, 4, 6],
    [63, 4, 5],
    [127, 1, 1],
    [255, 1, 1],
    [256, 1, 1],
  ])('puts %d levels into words of %d bytes, %d digits each', (levels, wordBytes, digits) => {
    expect(planPacking(levels, 100_000)).toEqual({ wordBytes, digits })
  })
})
