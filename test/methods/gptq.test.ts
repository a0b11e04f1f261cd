import { describe, expect, it } from 'vitest'
import { damped } from '#src/reference/nearestPlane.js'
import { leastSquaresPath } from '#src/reference/qronos.js'
import { countNearTies, expectTwin, layerOf, type Neuron, openQuantizers, orderOf } from './twin.js'
import { gptq } from './twins.js'

const quantizers = await openQuantizers(1, 2)

describe('gptq', () => {
  it('chooses the codes of its twin, in any order, for every scope of scales, on one thread and on two', async () => {
    await expectTwin('gptq', quantizers, gptq, 51)
  })

  it('is the published algorithm: after every choice the remaining weights are least-squares optimal', async () => {
    const layer = layerOf({ rows: 120, inputs: 40, neurons: 12, same: false, seed: 52 })
    const options = { method: 'gptq' as const, levels: 7, radius: { rule: 'max' as const } }
    const result = await quantizers[0]!.quantizeLayer(layer, options)
    const published = ({ h, w, choose }: Neuron): Float64Array => {
      const hd = damped(h, w.length, 0.01)
      return leastSquaresPath(h, h, hd, hd, w, choose)
    }
    expect(countNearTies(layer, result, 7, orderOf(layer, true), published)).toBeLessThanOrEqual(1)
  })

  it('refuses what it cannot do', async () => {
    const layer = layerOf({ rows: 5, inputs: 8, neurons: 1, same: true, seed: 55 })
    const refused = (options: object): Promise<unknown> => quantizers[0]!.quantizeLayer(layer, options)
    await expect(refused({ method: 'gptq', damping: -1 })).rejects.toThrow(RangeError)
    await expect(refused({ method: 'frame', damping: 0.1 })).rejects.toThrow(
      /damping: expected a method that has it \(gpfq, spfq, gptq, qronos, beacon, msq\)/,
    )
    await expect(refused({ method: 'msq', actOrder: true })).rejects.toThrow(/expected a method that has it/)
  })
})
