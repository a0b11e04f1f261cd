/** What a caller of "gpfq" is told who asks for the wrong thing: the kind of error, the place, expected and found. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createQuantizer,
  GpfqError,
  type LayerOptions,
  type LayerProblem,
  type Quantizer,
} from '#src/index.js'
import { problem } from './problems.js'

let quantizer: Quantizer
beforeAll(async () => {
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

describe('arguments', () => {
  const good = problem(10, 4, 3, false, 9)
  const cases: [string, LayerProblem | object, LayerOptions, ErrorConstructor, string][] = [
    ['inputs', { ...good, inputs: 0 }, {}, RangeError, 'inputs: expected an integer of at least 1, got 0'],
    [
      'neurons',
      { ...good, neurons: 1.5 },
      {},
      RangeError,
      'neurons: expected an integer of at least 1, got 1.5',
    ],
    ['weights of a kind', { ...good, weights: [1] }, {}, TypeError, 'weights: expected a Float32Array'],
    [
      'samples of a kind',
      { ...good, samples: new Float64Array(40) },
      {},
      TypeError,
      'samples: expected a Float32Array',
    ],
    ['weights', { ...good, inputs: 5 }, {}, RangeError, 'weights: expected 5 × 3 = 15 values, got 12'],
    [
      'weights that are not finite',
      { ...good, weights: new Float32Array(12).fill(Number.NaN) },
      {},
      RangeError,
      'weights: expected finite values',
    ],
    [
      'samples',
      { ...good, samples: new Float32Array(41) },
      {},
      RangeError,
      'samples: expected rows of 4 values, got 41 values',
    ],
    [
      'no samples',
      { ...good, samples: new Float32Array(0) },
      {},
      RangeError,
      'samples: expected rows of 4 values, got 0 values',
    ],
    [
      'quantized samples of a kind',
      { ...good, quantizedSamples: new Float64Array(good.samples.length) },
      {},
      TypeError,
      'quantizedSamples: expected a Float32Array',
    ],
    [
      'quantized samples',
      { ...good, quantizedSamples: new Float32Array(4) },
      {},
      RangeError,
      'quantizedSamples: expected as many values as samples, 40, got 4',
    ],
    ['levels', good, { levels: 1 }, RangeError, 'levels: expected an integer from 2 to 256, got 1'],
    [
      'a group',
      good,
      { scalePer: { group: 0 } },
      RangeError,
      'scalePer: group: expected an integer of at least 1, got 0',
    ],
    [
      'a radius',
      good,
      { radius: { rule: 'value', value: -1 } },
      RangeError,
      'radius value: expected a finite number above 2⁻¹⁰⁰, got -1',
    ],
    [
      'a factor',
      good,
      { radius: { rule: 'median', factor: Number.NaN } },
      RangeError,
      'radius median: expected a finite number above 2⁻¹⁰⁰, got NaN',
    ],
  ]
  it.each(cases)(
    '%s out of range are named with what was expected and found',
    async (_, layer, options, kind, text) => {
      const run = quantizer.quantizeLayer(layer as LayerProblem, options)
      await expect(run).rejects.toBeInstanceOf(kind)
      await expect(run).rejects.toThrow(text)
    },
  )

  it('threads out of range are named', async () => {
    for (const threads of [0, 1.5, 257]) {
      await expect(createQuantizer({ threads })).rejects.toThrow(
        `threads: expected an integer from 1 to 256, got ${threads}`,
      )
    }
  })

  it('wrong in one call leave the quantizer usable', async () => {
    await expect(quantizer.quantizeLayer(good, { levels: 0 })).rejects.toThrow(RangeError)
    expect((await quantizer.quantizeLayer(good)).codes.length).toBe(12)
  })
})

describe('samples that are not finite', () => {
  it.each(['gpfq', 'msq'] as const)('are INVALID_DATA with method %s', async (method) => {
    const how: LayerOptions = { method, radius: { rule: 'max' } }
    for (const spoiled of ['samples', 'quantizedSamples'] as const) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const layer = problem(300, 9, 5, false, 10)
        layer[spoiled]![1234] = value
        const run = quantizer.quantizeLayer(layer, how)
        await expect(run).rejects.toBeInstanceOf(GpfqError)
        await expect(run).rejects.toMatchObject({
          code: 'INVALID_DATA',
          message: expect.stringMatching(/^samples: expected finite inputs, got NaN or infinite ones/),
        })
      }
    }
  })
})
