/** Beacon by the engine against its twin on the samples, and against the published form, which factors H. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LayerResult } from '#src/quantizer.js'
import { multiplyVector } from '#src/reference/descend.js'
import { solve } from '#src/reference/qronos.js'
import { layerCases, layerOf, openQuantizers, quantizeEverywhere } from './twin.js'
import { countBeaconTies, replayBeacon } from './twins.js'

const quantizers = await openQuantizers(1, 2)

const shape = fc.record({
  rows: fc.integer({ min: 20, max: 200 }),
  inputs: fc.integer({ min: 6, max: 60 }),
  neurons: fc.integer({ min: 1, max: 20 }),
  same: fc.boolean(),
  seed: fc.nat(),
})

describe('beacon', () => {
  it('chooses the codes and scales of its twin, on one thread and on two', async () => {
    let neurons = 0
    let ties = 0
    await fc.assert(
      fc.asyncProperty(
        shape,
        fc.constantFrom(2, 3, 4, 7, 15),
        fc.integer({ min: 0, max: 3 }),
        async (given, levels, passes) => {
          const layer = layerOf(given)
          const result = await quantizeEverywhere(quantizers, layer, { method: 'beacon', levels, passes })
          ties += countBeaconTies(layer, result, levels, passes)
          neurons += given.neurons
        },
      ),
      { seed: 111, numRuns: 40 },
    )
    expect(ties).toBeLessThan(0.05 * neurons)
  })

  it('decides best but for rounding at every step, in the greedy pass and in each loop', async () => {
    await fc.assert(
      fc.asyncProperty(layerCases, fc.constantFrom(2, 3, 4, 7, 15, 255), async (given, levels) => {
        // Without zero in the alphabet, a weight of zero that comes first gets any sign. If it is the wrong one, the scale
        // can end negative, and its codes go out turned round.
        const layer = layerOf(levels % 2 === 0 ? { ...given, zeros: 0 } : given)
        let before: Uint8Array | null = null
        for (const passes of [0, 1, 2, 3]) {
          const options = { method: 'beacon' as const, levels, passes }
          const result: LayerResult = await quantizers[1]!.quantizeLayer(layer, options)
          const { regret, scaleError } = replayBeacon(layer, result, before)
          expect(regret).toBeLessThan(2e-6)
          expect(scaleError).toBeLessThan(1e-5)
          before = result.codes
        }
      }),
      { seed: 117, numRuns: 30 },
    )
  })

  it('rounds a neuron whose outputs are zero on the samples, at its initial scale', async () => {
    const rounded = { method: 'msq', levels: 15, radius: { rule: 'max' } } as const
    const layer = layerOf({ rows: 1, inputs: 512, neurons: 9, same: true, seed: 113 })
    const one = await quantizers[1]!.quantizeLayer(layer, { method: 'beacon', levels: 15 })
    const largest = Math.max(...layer.weights.map(Math.abs))
    expect(Math.max(...one.scales) * 7).toBeLessThanOrEqual(8.01 * largest)
    // All samples are zero, or those inputs are zero that have weights in one neuron.
    const silent = { ...layer, samples: new Float32Array(3 * 512) }
    const none = await quantizers[1]!.quantizeLayer(silent, { method: 'beacon', levels: 15 })
    const expected = await quantizers[1]!.quantizeLayer(silent, rounded)
    expect([none.codes, none.scales]).toEqual([expected.codes, expected.scales])
    const dead = layer.samples.map((x, t) => (t % 2 === 0 ? 0 : x))
    const unheard = layer.weights.map((w, i) => (i % 9 === 4 && Math.floor(i / 9) % 2 === 1 ? 0 : w))
    const part = { ...layer, weights: unheard, samples: dead }
    const [got, plain] = [
      await quantizers[1]!.quantizeLayer(part, { method: 'beacon', levels: 15 }),
      await quantizers[1]!.quantizeLayer(part, rounded),
    ]
    expect(got.scales[4]).toBe(plain.scales[4])
    expect(got.codes.filter((_, i) => i % 9 === 4)).toEqual(plain.codes.filter((_, i) => i % 9 === 4))
  })

  it('chooses the same codes for samples of any scale', async () => {
    const layer = layerOf({ rows: 100, inputs: 96, neurons: 11, same: false, seed: 114 })
    const times = (factor: number) => ({
      ...layer,
      samples: layer.samples.map((x) => factor * x),
      quantizedSamples: layer.quantizedSamples!.map((x) => factor * x),
    })
    for (const levels of [16, 255]) {
      const { codes, scales } = await quantizers[1]!.quantizeLayer(layer, { method: 'beacon', levels })
      for (const factor of [2 ** 30, 2 ** 40, 2 ** -40]) {
        const other = await quantizers[1]!.quantizeLayer(times(factor), { method: 'beacon', levels })
        expect([other.codes, other.scales]).toEqual([codes, scales])
      }
    }
  })

  it('is the published algorithm: angles between prefixes of R^{-T}Gw and Rz, H = RᵀR', async () => {
    const [rows, inputs, levels] = [200, 24, 7]
    const given = layerOf({ rows, inputs, neurons: 6, same: false, seed: 112 })
    // The published form needs a factor, so no input may be dead.
    const alive = (x: Float32Array): Float32Array =>
      x.map((v, i) => (i % inputs === 5 ? x[i - 2]! * x[i - 1]! + 0.3 : v))
    const layer = {
      ...given,
      samples: alive(given.samples),
      quantizedSamples: alive(given.quantizedSamples!),
    }
    const { codes, zero } = await quantizers[0]!.quantizeLayer(layer, { method: 'beacon', levels, passes: 0 })
    const gram = (a: Float32Array, b: Float32Array, size: number): Float64Array =>
      Float64Array.from({ length: size * size }, (_, at) => {
        let sum = 0
        for (let r = 0; r < rows; r++)
          sum += a[r * inputs + Math.floor(at / size)]! * b[r * inputs + (at % size)]!
        return sum
      })
    let equal = 0
    for (let k = 0; k < 6; k++) {
      const z = new Float64Array(inputs)
      for (let t = 0; t < inputs; t++) {
        // Both sides in the prefix: cos of R^{-T}Gw and Rz is zᵀGw / √(zᵀHz · wᵀGᵀH⁻¹Gw).
        const h = gram(layer.quantizedSamples, layer.quantizedSamples, t + 1)
        const g = gram(layer.quantizedSamples, layer.samples, t + 1)
        const w = Float64Array.from({ length: t + 1 }, (_, s) => layer.weights[s * 6 + k]!)
        const b = multiplyVector(g, w)
        const size = Math.sqrt(solve(h, b, t + 1).reduce((sum, v, s) => sum + v * b[s]!, 0))
        const cosine = (p: number): number => {
          const own = Float64Array.from({ length: t + 1 }, (_, s) => (s === t ? p : z[s]!))
          const hz = multiplyVector(h, own)
          const length = Math.sqrt(own.reduce((sum, v, s) => sum + v * hz[s]!, 0))
          return length > 0 ? own.reduce((sum, v, s) => sum + v * b[s]!, 0) / (length * size) : 0
        }
        // If all values before are zero, every value of one sign has the same cosine. There the rule is the twin's.
        if (z.every((value) => value === 0)) {
          z[t] = codes[t * 6 + k]! - zero
          continue
        }
        z[t] = Array.from({ length: levels }, (_, code) => code - zero).reduce((best, p) =>
          cosine(p) > cosine(best) ? p : best,
        )
      }
      if (z.every((value, t) => value === codes[t * 6 + k]! - zero)) equal++
    }
    expect(equal).toBeGreaterThanOrEqual(5)
  })

  it('finds the scale that fits its codes best, and loops never raise the error', async () => {
    const layer = layerOf({ rows: 300, inputs: 50, neurons: 9, same: false, seed: 113 })
    const errors: number[] = []
    for (const passes of [0, 1, 2, 8]) {
      const { relativeError } = await quantizers[1]!.quantizeLayer(layer, {
        method: 'beacon',
        levels: 3,
        passes,
      })
      errors.push(relativeError ?? Number.NaN)
    }
    for (const [i, error] of errors.slice(1).entries()) expect(error).toBeLessThanOrEqual(errors[i]! + 1e-7)
    expect(errors[3]).toBeLessThan(0.98 * errors[0]!)
  })

  it('rounds the weights of dead inputs at the scale that it finds', async () => {
    const layer = layerOf({ rows: 60, inputs: 33, neurons: 11, same: true, seed: 114 })
    const options = { method: 'beacon' as const, levels: 7 }
    const { codes, scales } = await quantizers[1]!.quantizeLayer(layer, options)
    for (let k = 0; k < 11; k++) {
      const code = Math.min(6, Math.max(0, Math.round(layer.weights[5 * 11 + k]! / scales[k]! + 3)))
      expect(codes[5 * 11 + k]).toBe(code)
    }
  })

  it('is the same for all multiples of the weights', async () => {
    const layer = layerOf({ rows: 60, inputs: 33, neurons: 5, same: false, seed: 115 })
    const options = { method: 'beacon' as const, levels: 7 }
    const one = await quantizers[0]!.quantizeLayer(layer, options)
    const many = await quantizers[0]!.quantizeLayer(
      { ...layer, weights: layer.weights.map((w) => 1024 * w) },
      options,
    )
    expect(many.codes).toEqual(one.codes)
    expect(many.scales).toEqual(one.scales.map((s) => 1024 * s))
  })

  it('refuses a radius, other scopes of scales and act-order', async () => {
    const layer = layerOf({ rows: 5, inputs: 8, neurons: 1, same: true, seed: 116 })
    const refused = (options: object): Promise<unknown> =>
      quantizers[0]!.quantizeLayer(layer, { method: 'beacon', ...options })
    await expect(refused({ radius: { rule: 'search' } })).rejects.toThrow(
      /radius: expected none with method beacon/,
    )
    await expect(refused({ scalePer: { group: 4 } })).rejects.toThrow(/scalePer: expected 'neuron'/)
    await expect(refused({ actOrder: true })).rejects.toThrow(/actOrder: expected a method that has it/)
  })
})
