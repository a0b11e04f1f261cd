/**
 * Weights that are exactly zero keep the value zero, in every method, wherever the alphabet has zero. The tests of each
 * method compare codes of such layers with its twin (layerCases of twin.ts have them); here the promise itself is tested,
 * with searched scales and given ones, and that an alphabet without zero knows no such rule.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { zeroShare } from '#src/methods/sparse.js'
import type { MethodOptions } from '#src/options.js'
import type { LayerOptions, Quantizer } from '#src/quantizer.js'
import { layerCases, layerOf, openQuantizers } from './twin.js'
import { METHOD_CASES } from './twins.js'

const [quantizer] = (await openQuantizers(2)) as [Quantizer]

const CASES: readonly { readonly name: string; readonly options: MethodOptions }[] = [
  ...METHOD_CASES,
  { name: 'beacon', options: { method: 'beacon' } },
]

/** Codes of the weights that are zero. */
async function codesOfZeros(
  given: Parameters<typeof layerOf>[0],
  options: LayerOptions,
): Promise<{ readonly codes: number[]; readonly share: number }> {
  const layer = layerOf(given)
  const { codes } = await quantizer.quantizeLayer(layer, options)
  const zeros = [...codes].filter((_, i) => layer.weights[i] === 0)
  return { codes: zeros, share: zeroShare(codes, options.levels!) }
}

describe('weights that are zero', () => {
  it.each(CASES)('keep that value, $name', async ({ options }) => {
    await fc.assert(
      fc.asyncProperty(
        layerCases,
        fc.constantFrom(3, 7, 15, 255),
        fc.constantFrom({}, { radius: { rule: 'max' as const } }, { scalePer: { group: 8 } }),
        async (given, levels, scales) => {
          const own = options.method === 'beacon' ? {} : scales
          const { codes, share } = await codesOfZeros(
            { ...given, zeros: 0.97 },
            { ...options, ...own, levels },
          )
          expect(codes.filter((code) => code !== (levels - 1) / 2)).toEqual([])
          expect(share * given.inputs * given.neurons).toBeGreaterThanOrEqual(codes.length - 1e-6)
        },
      ),
      { seed: 261, numRuns: 12 },
    )
  })

  it('keep it in the vertex walk too', async () => {
    const layer = { rows: 12, inputs: 60, neurons: 9, same: false, seed: 262, zeros: 0.5 }
    const { codes } = await codesOfZeros(layer, { method: 'msq', preprocess: true, levels: 5 })
    expect(codes.length).toBeGreaterThan(100)
    expect(new Set(codes)).toEqual(new Set([2]))
  })

  it('take part in the path where the alphabet has no zero', async () => {
    const layer = { rows: 200, inputs: 60, neurons: 9, same: false, seed: 263, zeros: 0.5 }
    for (const method of ['gpfq', 'gptq', 'qronos', 'spfq', 'beacon'] as const) {
      const { codes } = await codesOfZeros(layer, { method, levels: 16 })
      expect(new Set(codes).size, method).toBeGreaterThan(2)
    }
  })

  it('leave a run of zeros at zero in a frame, whose codes are those of coefficients', async () => {
    const layer = layerOf({ rows: 20, inputs: 48, neurons: 5, same: true, seed: 264 })
    const weights = layer.weights.map((w, i) => (i >= 16 * 5 && i < 32 * 5 ? 0 : w))
    const { values } = await quantizer.quantizeLayer({ ...layer, weights }, { method: 'frame', levels: 3 })
    expect(new Set(values!.subarray(16 * 5, 32 * 5))).toEqual(new Set([0]))
    expect(values!.subarray(0, 16 * 5).every((v) => v !== 0)).toBe(true)
  })
})
