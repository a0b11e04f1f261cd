/** Passes of coordinate descent after any method: the twin's codes, an error that never rises, and nothing else changed. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LayerOptions } from '#src/quantizer.js'
import {
  countNearTies,
  descends,
  type LayerCase,
  layerCases,
  layerOf,
  openQuantizers,
  orderOf,
  quantizeEverywhere,
} from './twin.js'
import { gpfq, METHOD_CASES, msq, withPasses } from './twins.js'

const quantizers = await openQuantizers(1, 2)

const radius = fc.constantFrom({ rule: 'max' as const }, { rule: 'search' as const })

describe('passes', () => {
  it('give the codes of the twin after gpfq and after rounding', async () => {
    let neurons = 0
    let ties = 0
    await fc.assert(
      fc.asyncProperty(
        layerCases,
        fc.constantFrom(3, 7, 15),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom('gpfq' as const, 'msq' as const),
        radius,
        async (given, levels, passes, method, rule) => {
          const layer = layerOf(given)
          const options = { method, levels, passes, radius: rule }
          const result = await quantizeEverywhere(quantizers, layer, options)
          const twin = withPasses(method === 'msq' ? msq : gpfq, passes)
          ties += countNearTies(layer, result, levels, orderOf(layer, descends(options)), twin)
          neurons += given.neurons
        },
      ),
      { seed: 71, numRuns: 40 },
    )
    expect(ties).toBeLessThan(0.02 * neurons)
  })

  it.each([
    ...METHOD_CASES.filter(({ options }) => options.passes === undefined && options.preset === undefined),
    { name: 'gpfq with a share of zeros', options: { sparsity: { rule: 'target', value: 0.4 } } as const },
  ])('never raise the output error of $name, whatever the scope of scales', async ({ options }) => {
    await fc.assert(
      fc.asyncProperty(
        layerCases,
        fc.constantFrom('layer' as const, 'neuron' as const, { group: 8 }),
        radius,
        async (given, scalePer, rule) => {
          const all = { ...options, levels: 7, scalePer, radius: rule }
          await expectNoRise(given, all)
        },
      ),
      { seed: 72, numRuns: 8 },
    )
  })

  it('are beacon’s loops: they never raise the error at the scale that fits best', async () => {
    await fc.assert(
      fc.asyncProperty(layerCases, fc.constantFrom(2, 3, 7, 15), (given, levels) =>
        expectNoRise(given, { method: 'beacon', levels }),
      ),
      { seed: 75, numRuns: 20 },
    )
  })

  it('lower the error after rounding', async () => {
    const layer = layerOf({ rows: 300, inputs: 60, neurons: 10, same: false, seed: 73 })
    const options = { method: 'msq' as const, levels: 7, radius: { rule: 'max' as const } }
    const rounded = await quantizers[0]!.quantizeLayer(layer, options)
    const improved = await quantizers[0]!.quantizeLayer(layer, { ...options, passes: 3 })
    expect(improved.relativeError! / rounded.relativeError!).toBeLessThan(0.8)
  })

  it('must be a whole number', async () => {
    const layer = layerOf({ rows: 5, inputs: 8, neurons: 1, same: true, seed: 74 })
    await expect(quantizers[0]!.quantizeLayer(layer, { passes: 1.5 })).rejects.toThrow(
      /passes: expected an integer/,
    )
  })
})

/** The error after 0, 1, 2 and 8 passes, up to the rounding of float32 sums. */
async function expectNoRise(
  given: LayerCase,
  options: Exclude<LayerOptions, { method: 'frame' }>,
): Promise<void> {
  let before = Number.POSITIVE_INFINITY
  for (const passes of [0, 1, 2, 8]) {
    const { relativeError } = await quantizers[1]!.quantizeLayer(layerOf(given), { ...options, passes })
    expect(relativeError).toBeLessThanOrEqual(before * (1 + 1e-6) + 1e-7)
    before = relativeError ?? Number.NaN
  }
}
