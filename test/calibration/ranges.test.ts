/** Ranges of activations against the float64 twins, and that they are the same however samples are cut. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ChannelWeights,
  countRange,
  mergeRanges,
  needsCounts,
  quantizerFor,
  type RangeSums,
} from '#src/calibration/ranges.js'
import type { ActivationRanges } from '#src/options.js'
import * as twin from '#src/reference/activations.js'
import { noise } from '../onnx/build.js'

const RULES: readonly ActivationRanges[] = [
  { rule: 'minmax' },
  { rule: 'percentile', percentile: 99 },
  { rule: 'percentile', percentile: 99.9 },
  { rule: 'mse' },
  { rule: 'search' },
]

function counted(
  values: Float32Array,
  rule: ActivationRanges,
  channels: ChannelWeights | null = null,
  dims: readonly number[] = [values.length],
): RangeSums {
  const counter = countRange("tensor 't'", needsCounts(rule), channels)
  counter.add(values, dims)
  return counter.result()
}

const floats = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), {
    minLength: 1,
    maxLength: 60,
  })
  .map((values) => Float32Array.from(values))

describe('ranges', () => {
  it('are the same however the samples are cut and whatever the order in which parts are merged', () => {
    fc.assert(
      fc.property(
        fc.array(floats, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(...RULES),
        (parts, rule) => {
          const whole = Float32Array.from(parts.flatMap((part) => [...part]))
          const sums = parts.map((part) => counted(part, rule))
          const expected = quantizerFor(counted(whole, rule), rule)
          expect(quantizerFor(sums.reduce(mergeRanges), rule)).toEqual(expected)
          expect(quantizerFor(sums.toReversed().reduce(mergeRanges), rule)).toEqual(expected)
        },
      ),
      { seed: 5 },
    )
  })

  it('by minmax span all values', () => {
    fc.assert(
      fc.property(floats, (values) => {
        const { scale, zeroPoint } = quantizerFor(counted(values, { rule: 'minmax' }), { rule: 'minmax' })
        const reference = twin.quantizerOver(twin.minmax(values))
        expect(scale).toBeCloseTo(reference.scale, 5 - Math.ceil(Math.log10(1 + reference.scale)))
        // −low / scale can lie at a tie that float32 breaks the other way.
        expect(Math.abs(zeroPoint - reference.zeroPoint)).toBeLessThanOrEqual(1)
        const step = scale * 0.5001
        for (const value of values) {
          const rounded = twin.roundActivation(value, { scale, zeroPoint })
          expect(Math.abs(rounded - value)).toBeLessThanOrEqual(2 * step + 1e-6 * Math.abs(value))
        }
      }),
      { seed: 6 },
    )
  })

  it.each([99, 99.9])(
    'by percentile %d leave as many values out as the twin, to the width of a bin',
    (percentile) => {
      const values = noise(200_000, 3).map((value) => value ** 3)
      const rule = { rule: 'percentile', percentile } as const
      const { scale } = quantizerFor(counted(values, rule), rule)
      const reference = twin.quantizerOver(twin.percentile(percentile)(values))
      expect(scale / reference.scale).toBeGreaterThan(1 - 1 / 64)
      expect(scale / reference.scale).toBeLessThan(1 + 1 / 64)
    },
  )

  it('by mse lose hardly more than the best fraction on the values themselves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.constantFrom(1, 3, 5, 9), (seed, power) => {
        const values = noise(4000, seed).map((value) => value ** power)
        const rule = { rule: 'mse' } as const
        const chosen = twin.squaredError(values, quantizerFor(counted(values, rule), rule))
        const grid = Array.from({ length: 50 }, (_, i) => 1 - i / 50)
        const best = twin.squaredError(values, twin.quantizerOver(twin.mse(grid)(values)))
        expect(chosen).toBeLessThanOrEqual(1.1 * best)
      }),
      { seed: 7, numRuns: 40 },
    )
  })

  it('by search follow the channels that matter', () => {
    // A channel of small values, and one of values with outliers a hundred times as large.
    const [rows, rule] = [512, { rule: 'search' } as const]
    const values = noise(2 * rows, 2).map((value, i) =>
      i % 2 === 0 ? value : i % 64 === 1 ? 100 * value : value,
    )
    const scaleWith = (weights: readonly number[]): number => {
      const channels: ChannelWeights = { weights: Float64Array.from(weights), axis: -1 }
      return quantizerFor(counted(values, rule, channels, [rows, 2]), rule).scale
    }
    expect(scaleWith([1, 4096])).toBeGreaterThan(scaleWith([4096, 1]))
    expect(scaleWith([4096, 1])).toBeLessThan(scaleWith([1, 1]))
  })

  it('count channels on the axis that they are on', () => {
    // (2, 3, 2, 2): channel 1 alone holds twos.
    const values = Float32Array.from({ length: 24 }, (_, i) => (Math.floor(i / 4) % 3 === 1 ? 2 : 1))
    const onAxis1 = countRange("tensor 't'", true, { weights: Float64Array.of(1, 10, 100), axis: 1 })
    onAxis1.add(values, [2, 3, 2, 2])
    expect([...onAxis1.result().counts.values()].sort((x, y) => x - y)).toEqual([80, 808])
    const last = countRange("tensor 't'", true, { weights: Float64Array.of(1, 10, 100, 1000), axis: -1 })
    last.add(values, [6, 4])
    expect([...last.result().counts.values()].sort((x, y) => x - y)).toEqual([2222, 4444])
  })

  it('of zeros, of one sign and of a constant hold zero exactly', () => {
    for (const values of [
      [0, 0],
      [-0, 0],
      [3, 3, 3],
      [-2, -1],
      [1e-38, 0],
      [5e-324, 0],
    ]) {
      for (const rule of RULES) {
        const { scale, zeroPoint } = quantizerFor(counted(Float32Array.from(values), rule), rule)
        expect(scale).toBeGreaterThan(0)
        expect(Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255).toBe(true)
      }
    }
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('refuse %d', (bad) => {
    const counter = countRange("tensor 't'", true, null)
    expect(() => counter.add(Float32Array.of(1, bad, 2), [3])).toThrow(
      expect.objectContaining({ code: 'INVALID_DATA', place: "tensor 't'" }),
    )
  })
})
