/** Qronos by the engine against its twin, against its published form, and against GPTQ where the two are equal. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { damped } from '#src/reference/nearestPlane.js'
import { leastSquaresPath } from '#src/reference/qronos.js'
import {
  countNearTies,
  expectTwin,
  layerCases,
  layerOf,
  type Neuron,
  openQuantizers,
  orderOf,
} from './twin.js'
import { qronos } from './twins.js'

const quantizers = await openQuantizers(1, 2)

describe('qronos', () => {
  it('chooses the codes of its twin, in any order, for every scope of scales, on one thread and on two', async () => {
    await expectTwin('qronos', quantizers, qronos, 61)
  })

  it('is the published algorithm: least squares towards the float outputs at every step, the first input special', async () => {
    const layer = layerOf({ rows: 120, inputs: 40, neurons: 12, same: false, seed: 62 })
    const options = { method: 'qronos' as const, levels: 7, radius: { rule: 'max' as const } }
    const result = await quantizers[0]!.quantizeLayer(layer, options)
    const published = ({ h, g, w, choose }: Neuron): Float64Array => {
      const hd = damped(h, w.length, 0.01)
      const gd = g.map((value, i) => value + (hd[i]! - h[i]!))
      return leastSquaresPath(h, g, hd, gd, w, choose)
    }
    expect(countNearTies(layer, result, 7, orderOf(layer, true), published)).toBeLessThanOrEqual(1)
  })

  it('is GPTQ where Xq = X', async () => {
    await fc.assert(
      fc.asyncProperty(layerCases, async (given) => {
        const layer = layerOf({ ...given, same: true })
        const short = await quantizers[0]!.quantizeLayer(layer, { method: 'qronos', levels: 7 })
        const gptq = await quantizers[1]!.quantizeLayer(layer, { method: 'gptq', levels: 7 })
        expect(short.codes).toEqual(gptq.codes)
        expect(short.scales).toEqual(gptq.scales)
        // With the same samples given as Xq, the general computation must give the same codes but for ties.
        const said = { ...layer, quantizedSamples: layer.samples }
        const long = await quantizers[0]!.quantizeLayer(said, { method: 'qronos', levels: 7 })
        expect(long.codes).toEqual(gptq.codes)
      }),
      { seed: 63, numRuns: 15 },
    )
  })

  it('has a smaller error than gpfq and gptq where Xq differs from X', async () => {
    const layer = layerOf({ rows: 400, inputs: 60, neurons: 16, same: false, seed: 65 })
    const errors = await Promise.all(
      (['qronos', 'gpfq', 'gptq'] as const).map(async (method) => {
        const { relativeError } = await quantizers[1]!.quantizeLayer(layer, { method, levels: 7 })
        return relativeError ?? Number.NaN
      }),
    )
    expect(errors[0]).toBeLessThan(Math.min(errors[1]!, errors[2]!))
  })
})
