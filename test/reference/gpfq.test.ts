/** The algorithm itself: a path computed by hand, the optimality of each step that the paper claims, and rounding. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gpfq, msq, type ReferenceLayer } from '#src/reference/gpfq.js'
import { activations, disturbed, reals } from '../random.js'

function randomLayer(
  rows: number,
  inputs: number,
  neurons: number,
  levels: number,
  seed: number,
): ReferenceLayer {
  const samples = activations(rows * inputs, seed)
  return {
    weights: reals(inputs * neurons, seed + 1),
    samples,
    quantizedSamples: disturbed(samples, 0.05, seed + 2),
    rows,
    inputs,
    neurons,
    levels,
    scales: new Float32Array(neurons).fill(4 / (levels - 1)),
    blockSize: inputs,
    zero: (levels - 1) / 2,
  }
}

describe('gpfq', () => {
  it('walks the path of a hand-computed example', () => {
    // One neuron w = (0.6, 0.6, −0.4), values {−1, 0, 1}, Xq = X with columns (1, 0), (1, 1), (0, 2).
    //   t = 1: ⟨X₁, 0.6 X₁⟩ / 1 = 0.6                      → q = 1,  u = (−0.4, 0)
    //   t = 2: ⟨X₂, u + 0.6 X₂⟩ / 2 = (0.2 + 0.6) / 2 = 0.4 → q = 0,  u = (0.2, 0.6)
    //   t = 3: ⟨X₃, u − 0.4 X₃⟩ / 4 = 2·(0.6 − 0.8) / 4 = −0.1 → q = 0, u = (0.2, −0.2)
    // Rounding would have chosen (1, 1, 0). ‖u‖² = 0.08, Xw = (1.2, −0.2), ‖Xw‖² = 1.48.
    const samples = [1, 1, 0, 0, 1, 2]
    const layer = {
      weights: [0.6, 0.6, -0.4],
      samples,
      quantizedSamples: samples,
      rows: 2,
      inputs: 3,
      neurons: 1,
      levels: 3,
      scales: [1],
      blockSize: 3,
      zero: 1,
    }
    const { codes, margins, relativeError } = gpfq(layer)
    expect([...codes]).toEqual([2, 1, 1])
    expect([...msq(layer)]).toEqual([2, 2, 1])
    ;[0.1, 0.1, 0.4].forEach((margin, t) => {
      expect(margins[t]).toBeCloseTo(margin, 12)
    })
    expect(relativeError).toBeCloseTo(Math.sqrt(0.08 / 1.48), 12)
  })

  it('follows the quantized network: with Xq = 2X the weights are halved', () => {
    const samples = [3, 4]
    const layer = {
      weights: [4],
      samples,
      quantizedSamples: [6, 8],
      rows: 2,
      inputs: 1,
      neurons: 1,
      levels: 9,
      scales: [1],
      blockSize: 1,
      zero: 4,
    }
    expect([...gpfq(layer).codes]).toEqual([4 + 2])
    expect(gpfq(layer).relativeError).toBe(0)
  })

  it('chooses at every step the value that leaves the shortest error', () => {
    const dims = [20, 6, 3, 5] as const
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const layer = randomLayer(...dims, seed)
        const { codes } = gpfq(layer)
        const [rows, inputs, neurons, levels] = dims
        for (let k = 0; k < neurons; k++) {
          let u = new Float64Array(rows)
          for (let t = 0; t < inputs; t++) {
            const after = Array.from({ length: levels }, (_, code) =>
              u.map((value, r) => {
                const q = layer.scales[k]! * (code - layer.zero)
                const { weights, samples, quantizedSamples } = layer
                const x = samples[r * inputs + t]!
                return value + weights[t * neurons + k]! * x - q * quantizedSamples[r * inputs + t]!
              }),
            )
            const lengths = after.map((v) => Math.hypot(...v))
            const chosen = codes[t * neurons + k]!
            expect(lengths[chosen]).toBeLessThanOrEqual(Math.min(...lengths) * (1 + 1e-12))
            u = after[chosen]!
          }
        }
      }),
      { seed: 14, numRuns: 40 },
    )
  })

  it('rounds the weights of dead inputs and ends with the error of plain rounding there: none', () => {
    const samples = [0, 1, 0, 2]
    const layer = {
      weights: [0.9, 1],
      samples,
      quantizedSamples: samples,
      rows: 2,
      inputs: 2,
      neurons: 1,
      levels: 3,
      scales: [1],
      blockSize: 2,
      zero: 1,
    }
    const { codes, relativeError } = gpfq(layer)
    expect([...codes]).toEqual([2, 2])
    expect(relativeError).toBe(0)
  })

  it('uses the scale of each block of inputs', () => {
    const samples = [1, 0, 0, 1]
    const layer = {
      weights: [3, 3],
      samples,
      quantizedSamples: samples,
      rows: 2,
      inputs: 2,
      neurons: 1,
      levels: 3,
      scales: [3, 10],
      blockSize: 1,
      zero: 1,
    }
    expect([...gpfq(layer).codes]).toEqual([2, 1])
  })
})

describe('msq', () => {
  it('rounds half to even and clamps', () => {
    const common = { inputs: 6, neurons: 1, levels: 4, scales: [1], blockSize: 6, zero: 1.5 }
    expect([...msq({ ...common, weights: [-9, -1, 0, 1, 0.49, 9] })]).toEqual([0, 0, 2, 2, 2, 3])
  })
})
