/**
 * Layers that are hard for the arithmetic: H singular or zero, repeated inputs, weights and samples of extreme size. Every
 * method gives finite codes and scales on them; where it has to raise the damping, a note says so.
 */
import { describe, expect, it } from 'vitest'
import type { LayerOptions, LayerProblem, Quantizer } from '#src/quantizer.js'
import { damped, factorUnitLower, gptqTarget, nearestPlane } from '#src/reference/nearestPlane.js'
import { activations, disturbed, reals } from '../random.js'
import { countNearTies, layerOf, type Neuron, openQuantizers, orderOf } from './twin.js'
import { METHOD_CASES } from './twins.js'

const [quantizer] = (await openQuantizers(2)) as [Quantizer]

const [inputs, neurons] = [24, 5]
const weights = reals(inputs * neurons, 171)
const samplesOf = (rows: number, seed: number): Float32Array => activations(rows * inputs, seed)
const few = samplesOf(3, 172)
const many = samplesOf(60, 173)
const repeated = many.map((_, i) => many[i - (i % inputs) + (i % 4)]!)
const LAYERS: Readonly<Record<string, LayerProblem>> = {
  'fewer samples than inputs': { inputs, neurons, weights, samples: few },
  'one sample': { inputs, neurons, weights, samples: samplesOf(1, 174), quantizedSamples: samplesOf(1, 175) },
  'inputs that repeat each other': { inputs, neurons, weights, samples: repeated },
  'repeated inputs that differ in the quantized network': {
    ...{ inputs, neurons, weights, samples: repeated },
    quantizedSamples: disturbed(repeated, 1e-3, 176),
  },
  'a quantized network that is silent': {
    ...{ inputs, neurons, weights, samples: many, quantizedSamples: new Float32Array(many.length) },
  },
  'samples that are all zero': { inputs, neurons, weights, samples: new Float32Array(many.length) },
  'weights that are all zero': { inputs, neurons, weights: new Float32Array(weights.length), samples: many },
  'huge samples': { inputs, neurons, weights, samples: many.map((x) => 1e15 * x) },
  'tiny samples': { inputs, neurons, weights, samples: many.map((x) => 1e-15 * x) },
  'huge weights': { inputs, neurons, weights: weights.map((w) => 1e15 * w), samples: many },
  'tiny weights': { inputs, neurons, weights: weights.map((w) => 1e-15 * w), samples: many },
  'one input far larger than the others': {
    ...{ inputs, neurons, weights },
    samples: many.map((x, i) => (i % inputs === 7 ? 1e6 * x : x)),
  },
}
const METHODS: readonly { readonly name: string; readonly options: LayerOptions }[] = [
  ...METHOD_CASES,
  { name: 'beacon', options: { method: 'beacon' } },
  { name: 'gptq without damping', options: { method: 'gptq', damping: 0 } },
  { name: 'qronos without damping', options: { method: 'qronos', damping: 0 } },
]

describe.each(Object.entries(LAYERS))('%s', (_, layer) => {
  it.each(METHODS)('give finite results by $name', async ({ options }) => {
    for (const radius of [{ rule: 'max' as const }, { rule: 'search' as const }]) {
      const own = options.method === 'beacon' ? options : { ...options, radius }
      const result = await quantizer.quantizeLayer(layer, { ...own, levels: 7 })
      expect(result.codes.every((code) => code < 7)).toBe(true)
      expect(result.scales.every((scale) => Number.isFinite(scale) && scale > 0)).toBe(true)
      expect(result.relativeError).not.toBeNaN()
      expect(result.relativeError).toBeLessThan(Number.POSITIVE_INFINITY)
    }
  })
})

describe('an H that is not positive definite', () => {
  it.each(['gptq', 'qronos'] as const)('is damped more for %s, with a note', async (method) => {
    // Five samples of forty inputs: H has rank 5 at most, and float32 sums make some pivots negative.
    for (const same of [true, false]) {
      const layer = layerOf({ rows: 5, inputs: 40, neurons: 4, same, seed: 54 })
      const result = await quantizer.quantizeLayer(layer, { method, levels: 7, damping: 0 })
      expect(result.notes).toHaveLength(1)
      expect(result.notes[0]).toMatch(/not positive definite: damping raised from 0 to 0\.00?0?1 /)
      expect(Number.isFinite(result.relativeError)).toBe(true)
      const enough = await quantizer.quantizeLayer(layer, { method, levels: 7 })
      expect(enough.notes).toEqual([])
    }
  })

  it('is quantized with the damping that the note names', async () => {
    const layer = layerOf({ rows: 5, inputs: 40, neurons: 16, same: true, seed: 55 })
    const radius = { rule: 'max' as const }
    const result = await quantizer.quantizeLayer(layer, { method: 'gptq', levels: 7, damping: 0, radius })
    const share = Number(/raised from 0 to ([\d.]+) /.exec(result.notes[0] ?? '')?.[1])
    const twin = ({ h, w, choose }: Neuron): Float64Array => {
      const plane = factorUnitLower(damped(h, w.length, share), w.length)
      return nearestPlane(plane, gptqTarget(plane, w), choose).chosen
    }
    const said = await quantizer.quantizeLayer(layer, { method: 'gptq', levels: 7, damping: share, radius })
    expect(said.notes).toEqual([])
    expect(said.codes).toEqual(result.codes)
    expect(countNearTies(layer, result, 7, orderOf(layer, true), twin)).toBeLessThanOrEqual(4)
  })

  it('is refused with a hint when tenfold damping, three times, is not enough', async () => {
    const layer = layerOf({ rows: 5, inputs: 40, neurons: 4, same: true, seed: 56 })
    await expect(
      quantizer.quantizeLayer(layer, { method: 'gptq', levels: 7, damping: 1e-30 }),
    ).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(/^samples: H: .* does not; use method gpfq, or more damping/),
    })
    const after = await quantizer.quantizeLayer(layer, { method: 'gptq', levels: 7 })
    expect(after.notes).toEqual([])
  })

  it('is not one because of padding, for inputs of any scale and number', async () => {
    // One input in seconds since 1970, the others near 1: the mean of diag H is far above 2⁴⁰.
    const layer = layerOf({ rows: 300, inputs: 13, neurons: 4, same: true, seed: 57 })
    const samples = layer.samples.map((x, i) => (i % 13 === 2 ? 1.6e9 + 1000 * x : x))
    for (const method of ['gptq', 'qronos'] as const) {
      const { notes, relativeError } = await quantizer.quantizeLayer({ ...layer, samples }, { method })
      expect(notes).toEqual([])
      expect(relativeError).toBeLessThan(1)
    }
  })

  it('needs no damping for methods that do not factor H', async () => {
    const layer = layerOf({ rows: 5, inputs: 40, neurons: 4, same: false, seed: 54 })
    for (const method of ['msq', 'gpfq', 'spfq', 'beacon'] as const) {
      const { notes, relativeError } = await quantizer.quantizeLayer(layer, { method, levels: 7 })
      expect(notes).toEqual([])
      expect(Number.isFinite(relativeError)).toBe(true)
    }
  })
})
