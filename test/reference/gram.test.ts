/** The Gram form is the direct recursion: same codes, and its error is ‖u_N‖² of the direct form minus ‖Xw‖². */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { gpfq } from '#src/reference/gpfq.js'
import { gramMatrix, gramPath } from '#src/reference/gram.js'
import { activations, disturbed, reals } from '../random.js'

describe('gramMatrix', () => {
  it('is AᵀB', () => {
    // A = [1 2; 3 4], B = [5 6; 7 8]
    expect([...gramMatrix([1, 2, 3, 4], [5, 6, 7, 8], 2, 2)]).toEqual([26, 30, 38, 44])
  })
})

describe('gramPath', () => {
  it('chooses the codes of the direct recursion and computes its error', () => {
    const dims = fc.record({
      rows: fc.integer({ min: 1, max: 60 }),
      inputs: fc.integer({ min: 1, max: 40 }),
      levels: fc.integer({ min: 2, max: 256 }),
      same: fc.boolean(),
      seed: fc.integer(),
    })
    fc.assert(
      fc.property(dims, ({ rows, inputs, levels, same, seed }) => {
        const neurons = 3
        const dead = inputs > 4 ? 2 : -1
        const samples = activations(rows * inputs, seed).map((v, i) => (i % inputs === dead ? 0 : v))
        const quantizedSamples = same ? samples : disturbed(samples, 0.05, seed + 1)
        const weights = reals(inputs * neurons, seed + 2)
        const zero = (levels - 1) / 2
        const scale = 4 / (levels - 1)
        const scales = new Float64Array(neurons).fill(scale)
        const direct = gpfq({
          ...{ weights, samples, quantizedSamples, rows, inputs, neurons, levels, scales, zero },
          blockSize: inputs,
        })
        const h = gramMatrix(quantizedSamples, quantizedSamples, rows, inputs)
        const g = gramMatrix(quantizedSamples, samples, rows, inputs)
        let error2 = 0
        let signal2 = 0
        for (let k = 0; k < neurons; k++) {
          const w = Float64Array.from({ length: inputs }, (_, t) => weights[t * neurons + k]!)
          const codes: number[] = []
          const path = gramPath(h, g, w, inputs, (t, value) => {
            codes[t] = Math.min(levels - 1, Math.max(0, nearestEven(value / scale + zero)))
            return scale * (codes[t]! - zero)
          })
          const expected = codes.map((_, t) => direct.codes[t * neurons + k])
          // A value within rounding of a boundary could be rounded either way; none of these is that close.
          expect(codes).toEqual(expected)
          for (let r = 0; r < rows; r++) {
            const y = w.reduce((sum, value, t) => sum + value * samples[r * inputs + t]!, 0)
            signal2 += y * y
          }
          error2 += path.error2
        }
        if (signal2 > 0) {
          const total = signal2 + error2
          const expected = direct.relativeError ** 2 * signal2
          expect(Math.abs(total - expected)).toBeLessThanOrEqual(1e-10 * (signal2 + Math.abs(error2)))
        }
      }),
      { seed: 15, numRuns: 100 },
    )
  })
})
