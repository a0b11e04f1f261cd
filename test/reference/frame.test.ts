/** The twin of frame itself: an example computed by hand, tightness, and the bound of Benedetto, Powell & Yilmaz. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { frameQuantize, harmonicVector } from '#src/reference/frame.js'

/** All e_k. */
const frameOf = (count: number, dimension: number): number[][] =>
  Array.from({ length: count }, (_, k) => harmonicVector(k, count, dimension))

const shapes = fc
  .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 60 }))
  .map(([half, more]) => ({ dimension: 2 * half, count: 2 * half + more }))

describe('harmonicVector', () => {
  it('gives a tight frame of unit vectors: Σ e_k e_kᵀ = (F/d) I', () => {
    fc.assert(
      fc.property(shapes, ({ dimension, count }) => {
        const frame = frameOf(count, dimension)
        for (const e of frame) expect(Math.hypot(...e)).toBeCloseTo(1, 12)
        for (let i = 0; i < dimension; i++) {
          for (let j = 0; j < dimension; j++) {
            const sum = frame.reduce((total, e) => total + e[i]! * e[j]!, 0)
            expect(sum).toBeCloseTo(i === j ? count / dimension : 0, 9)
          }
        }
      }),
    )
  })
})

describe('frameQuantize', () => {
  it('walks (1, ε) on four vectors of the plane with two levels at ±1', () => {
    // ε keeps the second step off a tie: coefficients 1, ε, −1, −ε → v = 1, ε, ε − 2, −1 → q = 1, 1, −1, −1;
    // (d/F) Σ q_k e_k = ½ · 2 · (1, 1)
    const { codes, values } = frameQuantize({ weights: [1, 0.001], count: 4, levels: 2, scale: 2 })
    expect(codes).toEqual([1, 1, 0, 0])
    expect(values[0]).toBeCloseTo(1, 12)
    expect(values[1]).toBeCloseTo(1, 12)
  })

  it('stays within (δd/2F)(σ + 2) of the weights, and its residual within δ/2', () => {
    const cases = shapes.chain(({ dimension, count }) =>
      fc.record({
        weights: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
          minLength: dimension,
          maxLength: dimension,
        }),
        count: fc.constant(count),
        levels: fc.integer({ min: 2, max: 16 }),
      }),
    )
    fc.assert(
      fc.property(cases, ({ weights, count, levels }) => {
        const scale = (2 * Math.max(1e-3, Math.hypot(...weights))) / (levels - 1) // no coefficient is larger
        let carried = 0
        const { values } = frameQuantize({ weights, count, levels, scale }, (_, position) => {
          const code = Math.min(levels - 1, Math.max(0, Math.round(position)))
          carried = Math.max(carried, Math.abs(position - code))
          return code
        })
        const frame = frameOf(count, weights.length)
        const variation = frame
          .slice(1)
          .reduce((sum, e, k) => sum + Math.hypot(...e.map((v, i) => v - frame[k]![i]!)), 0)
        const error = Math.hypot(...weights.map((weight, i) => weight - values[i]!))
        const bound = ((scale * weights.length) / (2 * count)) * (variation + 2)
        expect(carried).toBeLessThanOrEqual(0.5 * (1 + 1e-9))
        expect(error).toBeLessThanOrEqual(bound * (1 + 1e-9))
      }),
    )
  })
})
