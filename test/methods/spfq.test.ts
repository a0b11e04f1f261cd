/** SPFQ by the engine against its two phases on the samples. Its random numbers depend on their counters alone. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LayerProblem } from '#src/quantizer.js'
import { align, onePhase } from '#src/reference/spfq.js'
import {
  countNearTies,
  layerCases,
  layerOf,
  type Neuron,
  openQuantizers,
  orderOf,
  quantizeEverywhere,
} from './twin.js'
import { chance, spfq } from './twins.js'

const quantizers = await openQuantizers(1, 2)

describe('spfq', () => {
  it('gives the codes of the two phases of its twin for every order of alignment, on one thread and on two', async () => {
    let neurons = 0
    let ties = 0
    await fc.assert(
      fc.asyncProperty(
        layerCases,
        fc.constantFrom(3, 7, 15),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        fc.constantFrom({ rule: 'max' as const }, { rule: 'search' as const }),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        async (given, levels, alignment, actOrder, radius, seed) => {
          const layer = layerOf(given)
          const options = { method: 'spfq' as const, levels, alignment, actOrder, radius, seed }
          const result = await quantizeEverywhere(quantizers, layer, options)
          const order = orderOf(layer, actOrder)
          ties += countNearTies(layer, result, levels, order, spfq(alignment), chance(seed))
          neurons += given.neurons
        },
      ),
      { seed: 81, numRuns: 40 },
    )
    expect(ties).toBeLessThan(0.02 * neurons)
  })

  it('with order 1 is one phase: GPFQ with random rounding', async () => {
    await fc.assert(
      fc.asyncProperty(layerCases, fc.nat(), async (given, seed) => {
        const layer = layerOf(given)
        const result = await quantizers[0]!.quantizeLayer(layer, { method: 'spfq', levels: 15, seed })
        const order = orderOf(layer, false)
        const phase = (neuron: Neuron): Float64Array => onePhase(neuron, neuron.choose)
        const ties = countNearTies(layer, result, 15, order, phase, chance(seed))
        expect(ties).toBeLessThanOrEqual(1)
        expect(countNearTies(layer, result, 15, order, spfq(1), chance(seed))).toBe(ties)
      }),
      { seed: 82, numRuns: 20 },
    )
  })

  it('aligns better with each higher order', () => {
    const layer = layerOf({ rows: 100, inputs: 40, neurons: 1, same: false, seed: 83 })
    const { rows, samples, quantizedSamples = samples } = layer
    const neuron = { rows, samples, quantizedSamples, w: layer.weights }
    const residual = (order: number): number => {
      const aligned = align(neuron, order)
      let sum = 0
      for (let r = 0; r < layer.rows; r++) {
        let u = 0
        for (let t = 0; t < layer.inputs; t++) {
          const at = r * layer.inputs + t
          u += neuron.samples[at]! * layer.weights[t]! - neuron.quantizedSamples[at]! * aligned[t]!
        }
        sum += u * u
      }
      return sum
    }
    const residuals = [1, 2, 4, 8].map(residual)
    for (const [i, value] of residuals.slice(1).entries()) expect(value).toBeLessThan(residuals[i]!)
  })

  it('is unbiased: one input, the value between two levels, over many neurons', async () => {
    const neurons = 40_000
    const problem: LayerProblem = {
      weights: new Float32Array(neurons).fill(0.3),
      inputs: 1,
      neurons,
      samples: Float32Array.of(1, 2),
    }
    // Levels −1, 0, 1: 0.3 becomes 1 three times in ten. Five standard deviations of the mean are 0.0115.
    const radius = { rule: 'value' as const, value: 1 }
    const means: number[] = []
    for (const seed of [0, 1, 2, 3]) {
      const { codes } = await quantizers[1]!.quantizeLayer(problem, {
        method: 'spfq',
        levels: 3,
        radius,
        seed,
      })
      means.push(codes.reduce((sum, code) => sum + code - 1, 0) / neurons)
      expect(codes.every((code) => code === 1 || code === 2)).toBe(true)
    }
    for (const mean of means) expect(Math.abs(mean - 0.3)).toBeLessThan(5 * Math.sqrt((0.3 * 0.7) / neurons))
    expect(new Set(means).size).toBe(4)
  })

  it('draws the same numbers for a neuron, whatever other neurons are quantized', async () => {
    const layer = layerOf({ rows: 60, inputs: 33, neurons: 21, same: false, seed: 84 })
    const few = 9
    const weights = Float32Array.from(
      { length: 33 * few },
      (_, i) => layer.weights[Math.floor(i / few) * 21 + (i % few)]!,
    )
    const options = { method: 'spfq' as const, levels: 7, alignment: 2 }
    const all = await quantizers[1]!.quantizeLayer(layer, options)
    const some = await quantizers[0]!.quantizeLayer({ ...layer, weights, neurons: few }, options)
    expect(some.codes).toEqual(
      Uint8Array.from(some.codes, (_, i) => all.codes[Math.floor(i / few) * 21 + (i % few)]!),
    )
  })

  it('refuses seed and alignment for other methods', async () => {
    const layer = layerOf({ rows: 5, inputs: 8, neurons: 1, same: true, seed: 85 })
    const refused = (options: object): Promise<unknown> => quantizers[0]!.quantizeLayer(layer, options)
    await expect(refused({ seed: 1 })).rejects.toThrow(
      /seed: expected a method that has it \(spfq\), got gpfq/,
    )
    await expect(refused({ method: 'spfq', seed: -1 })).rejects.toThrow(RangeError)
    await expect(refused({ method: 'spfq', alignment: 0 })).rejects.toThrow(
      /alignment: expected an integer from 1/,
    )
  })
})
