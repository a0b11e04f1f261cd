/** Quantizers and ranges worked out by hand, and what path following on rounded activations is for. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  gpfqWithActivations,
  minmax,
  mse,
  percentile,
  quantizerOver,
  type RangeRule,
  roundActivation,
  squaredError,
} from '#src/reference/activations.js'
import { gpfq, type ReferenceLayer } from '#src/reference/gpfq.js'
import { activations, reals } from '../random.js'

const GRID = [1, 0.8, 0.6, 0.4, 0.2]

describe('the quantizer', () => {
  it('rounds to steps from the zero point, half to even, and clips at the ends', () => {
    const quantizer = quantizerOver({ low: -10, high: 245 })
    expect(quantizer).toEqual({ scale: 1, zeroPoint: 10 })
    const rounded = [-99, -10, -0.5, 0, 0.4, 0.5, 1.5, 245, 300].map((x) => roundActivation(x, quantizer))
    expect(rounded).toEqual([-10, -10, 0, 0, 0, 0, 2, 245, 245])
  })

  it('holds zero, whatever the range', () => {
    expect(quantizerOver({ low: 5, high: 51 })).toEqual({ scale: 0.2, zeroPoint: 0 })
    expect(quantizerOver({ low: -51, high: -5 })).toEqual({ scale: 0.2, zeroPoint: 255 })
    expect(quantizerOver({ low: 0, high: 0 })).toEqual({ scale: 1, zeroPoint: 0 })
    fc.assert(
      fc.property(
        fc.double({ noNaN: true, min: -9, max: 9 }),
        fc.double({ noNaN: true, min: -9, max: 9 }),
        (a, b) => {
          const quantizer = quantizerOver({ low: Math.min(a, b), high: Math.max(a, b) })
          expect(roundActivation(0, quantizer)).toBe(0)
        },
      ),
    )
  })
})

describe('ranges', () => {
  it('minmax is that of the samples and zero', () => {
    expect(minmax([3, -2, 7])).toEqual({ low: -2, high: 7 })
    expect(minmax([3, 7])).toEqual({ low: 0, high: 7 })
    expect(minmax([])).toEqual({ low: 0, high: 0 })
  })

  it('percentile cuts both ends', () => {
    const samples = Array.from({ length: 101 }, (_, i) => i - 50)
    expect(percentile(100)(samples)).toEqual({ low: -50, high: 50 })
    expect(percentile(90)(samples)).toEqual({ low: -40, high: 40 })
    expect(percentile(75)([0, 4]).high).toBe(3)
    expect(percentile(99)(samples.map((x) => x + 90)).low).toBe(0) // widened to hold zero
  })

  it('mse has the least error of its grid', () => {
    const samples = [...reals(500, 3), 40]
    const { low, high } = minmax(samples)
    const errorOf = (fraction: number) =>
      squaredError(samples, quantizerOver({ low: fraction * low, high: fraction * high }))
    const errors = GRID.map(errorOf)
    const found = mse(GRID)(samples)
    expect(found.low / low).toBeCloseTo(found.high / high, 12)
    expect(squaredError(samples, quantizerOver(found))).toBe(Math.min(...errors))
  })

  it('mse keeps the whole range where clipping costs more than it gains', () => {
    expect(mse(GRID)([-1, 0, 1, 1, 1])).toEqual({ low: -1, high: 1 })
  })
})

describe('a layer with 4-bit weights and 8-bit activations', () => {
  const [rows, inputs, neurons, levels] = [64, 24, 5, 15]

  function randomLayer(seed: number): ReferenceLayer {
    const samples = activations(rows * inputs, seed)
    const weights = reals(inputs * neurons, seed + 1)
    return {
      ...{ weights, samples, quantizedSamples: samples, rows, inputs, neurons, levels },
      scales: new Float32Array(neurons).fill(6 / (levels - 1)),
      blockSize: inputs,
      zero: (levels - 1) / 2,
    }
  }

  /** ‖XW − X̂qQ‖ / ‖XW‖, multiplied out. */
  function errorOf(
    { weights, samples, scales, zero }: ReferenceLayer,
    rounded: Float64Array,
    codes: Uint8Array,
  ) {
    let error2 = 0
    let signal2 = 0
    for (let r = 0; r < rows; r++) {
      for (let k = 0; k < neurons; k++) {
        let y = 0
        let quantized = 0
        for (let t = 0; t < inputs; t++) {
          y += samples[r * inputs + t]! * weights[t * neurons + k]!
          quantized += rounded[r * inputs + t]! * scales[k]! * (codes[t * neurons + k]! - zero)
        }
        error2 += (y - quantized) ** 2
        signal2 += y ** 2
      }
    }
    return Math.sqrt(error2 / signal2)
  }

  it('is the path on the rounded inputs, and its error that of both', () => {
    const layer = randomLayer(5)
    const { codes, relativeError, rounded, quantizer } = gpfqWithActivations(layer, minmax)
    expect(quantizer).toEqual(quantizerOver(minmax(layer.samples)))
    expect(codes).toEqual(gpfq({ ...layer, quantizedSamples: rounded }).codes)
    expect(relativeError).toBeCloseTo(errorOf(layer, rounded, codes), 12)
  })

  it('costs almost nothing beside the weights', () => {
    const layer = randomLayer(6)
    const { relativeError } = gpfqWithActivations(layer, minmax)
    expect(relativeError).toBeGreaterThan(0)
    expect(relativeError).toBeLessThan(1.05 * gpfq(layer).relativeError)
  })

  it('makes up for coarse activations, which codes of exact inputs do not', () => {
    const clipping: RangeRule = (samples) => ({ low: 0, high: 0.4 * minmax(samples).high })
    let [with_, without] = [0, 0]
    for (let seed = 10; seed < 30; seed++) {
      const layer = randomLayer(seed)
      const found = gpfqWithActivations(layer, clipping)
      with_ += found.relativeError
      without += errorOf(layer, found.rounded, gpfq(layer).codes)
    }
    expect(with_).toBeLessThan(0.9 * without)
  })
})
