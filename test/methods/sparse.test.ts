/** Sparse GPFQ by the engine against its twin: the path with a threshold before rounding. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { zeroShare } from '#src/methods/sparse.js'
import { countNearTies, layerCases, layerOf, openQuantizers, orderOf, quantizeEverywhere } from './twin.js'
import { sparse } from './twins.js'

const quantizers = await openQuantizers(1, 2)

describe('sparsity', () => {
  it('thresholds the path of the twin in any order, on one thread and on two', async () => {
    let neurons = 0
    let ties = 0
    await fc.assert(
      fc.asyncProperty(
        layerCases,
        fc.constantFrom(3, 7, 15),
        fc.constantFrom('soft' as const, 'hard' as const),
        fc.constantFrom(0, 0.11, 0.47, 1.3),
        fc.constantFrom({ rule: 'max' as const }, { rule: 'search' as const }),
        fc.boolean(),
        async (given, levels, rule, lambda, radius, actOrder) => {
          const layer = layerOf(given)
          const sparsity = { rule, value: lambda }
          const result = await quantizeEverywhere(quantizers, layer, { levels, sparsity, radius, actOrder })
          ties += countNearTies(layer, result, levels, orderOf(layer, actOrder), sparse(sparsity))
          neurons += given.neurons
        },
      ),
      { seed: 91, numRuns: 40 },
    )
    expect(ties).toBeLessThan(0.02 * neurons)
  })

  it('with λ = 0 is plain GPFQ', async () => {
    const layer = layerOf({ rows: 90, inputs: 50, neurons: 13, same: false, seed: 92 })
    const plain = await quantizers[0]!.quantizeLayer(layer, { levels: 7 })
    for (const rule of ['soft', 'hard', 'target'] as const) {
      const none = await quantizers[0]!.quantizeLayer(layer, { levels: 7, sparsity: { rule, value: 0 } })
      expect(none.codes).toEqual(plain.codes)
    }
  })

  it('finds λ for a share of zeros, and passes keep it', async () => {
    const layer = layerOf({ rows: 400, inputs: 80, neurons: 25, same: false, seed: 93 })
    for (const value of [0.3, 0.5, 0.8]) {
      const sparsity = { rule: 'target' as const, value }
      const result = await quantizers[1]!.quantizeLayer(layer, { levels: 15, sparsity })
      expect(zeroShare(result.codes, 15)).toBeGreaterThanOrEqual(value)
      expect(zeroShare(result.codes, 15)).toBeLessThan(value + 0.02)
      const improved = await quantizers[1]!.quantizeLayer(layer, { levels: 15, sparsity, passes: 3 })
      expect(zeroShare(improved.codes, 15)).toBeGreaterThanOrEqual(value)
      expect(improved.relativeError!).toBeLessThan(result.relativeError!)
    }
  })

  it('finds λ where values on the path exceed all weights, and where one weight is far from the others', async () => {
    const layer = layerOf({ rows: 200, inputs: 80, neurons: 25, same: false, seed: 95 })
    const alike = layer.samples.map((x, i) => x + 3 * layer.samples[i - (i % 80)]!)
    const outlier = layer.weights.map((w, i) => (i === 7 ? 1e4 : w))
    for (const given of [
      { ...layer, samples: alike, quantizedSamples: alike },
      { ...layer, weights: outlier },
    ]) {
      for (const value of [0.3, 0.6, 0.99]) {
        const sparsity = { rule: 'target' as const, value }
        const { codes } = await quantizers[1]!.quantizeLayer(given, { levels: 15, sparsity })
        expect(zeroShare(codes, 15)).toBeGreaterThanOrEqual(value)
        expect(zeroShare(codes, 15)).toBeLessThan(value + 0.01)
      }
    }
  })

  it('refuses alphabets without zero, other methods and impossible shares', async () => {
    const layer = layerOf({ rows: 5, inputs: 8, neurons: 1, same: true, seed: 94 })
    const refused = (options: object): Promise<unknown> => quantizers[0]!.quantizeLayer(layer, options)
    const sparsity = { rule: 'hard', value: 0.1 }
    await expect(refused({ levels: 16, sparsity })).rejects.toThrow(/levels: expected an odd number/)
    await expect(refused({ method: 'qronos', sparsity })).rejects.toThrow(
      /sparsity: expected a method that has it \(gpfq\), got qronos/,
    )
    await expect(refused({ sparsity: { rule: 'target', value: 1 } })).rejects.toThrow(RangeError)
  })
})
