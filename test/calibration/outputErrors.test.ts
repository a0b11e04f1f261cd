/** Sums of what layers lost: against their definition in float64, and the same however the samples are cut. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OutputErrors, outputSums, relativeOf, sumOutputErrors } from '#src/calibration/outputErrors.js'
import type { OutputPair } from '#src/calibration/streamTensors.js'
import { sqnrDb } from '#src/model/layerReport.js'
import type { Tensor } from '#src/tensor/tensor.js'
import { disturbed, reals } from '../random.js'

const tensor = (dims: readonly number[], values: ArrayLike<number>): Tensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from(values),
})

const pair = (float: Tensor, quantized: Tensor, firstSample: number, samples: number): OutputPair => ({
  ...{ tensor: 'y', float, quantized, firstSample, samples, heldOut: false },
})

describe('the error of a layer', () => {
  it('is the Frobenius norm of the difference over that of the float output, across batches', () => {
    const errors = sumOutputErrors(4)
    errors.add(pair(tensor([2], [3, 0]), tensor([2], [3, 1]), 0, 2))
    errors.add(pair(tensor([2], [0, 4]), tensor([2], [2, 4]), 2, 2))
    expect(errors.result().of(['y'])).toEqual({ signal2: 25, error2: 5 })
    expect(relativeOf(errors.result().of(['y']))).toBeCloseTo(Math.sqrt(5) / 5, 12)
  })

  it('is that of all outputs of a layer together', () => {
    const errors = sumOutputErrors(4)
    errors.add(pair(tensor([1], [3]), tensor([1], [4]), 0, 1))
    errors.add({ ...pair(tensor([1], [4]), tensor([1], [2]), 0, 1), tensor: 'z' })
    expect(errors.result().of(['y', 'z'])).toEqual({ signal2: 25, error2: 5 })
    expect(errors.result().of(['y'])).toEqual({ signal2: 9, error2: 1 })
    expect(errors.result().of(['other', 'y'])).toEqual({ signal2: 9, error2: 1 })
  })

  it('is unknown before anything was measured, or where nothing is lost of nothing', () => {
    expect(relativeOf(new OutputErrors().of(['y']))).toBeNull()
    expect(relativeOf({ signal2: 0, error2: 0 })).toBeNull()
  })

  it('is infinite where only the float output is zero', () => {
    expect(relativeOf(outputSums(tensor([1], [0]), tensor([1], [1])))).toBe(Number.POSITIVE_INFINITY)
  })

  it('of a tenth is 20 dB', () => {
    expect(sqnrDb(0.1)).toBeCloseTo(20, 10)
  })
})

describe('segments', () => {
  const SAMPLES = 13
  const EACH = 7
  const y = reals(SAMPLES * EACH, 1)
  const z = disturbed(y, 0.1, 2)

  /** Sums of the samples `from` to `to`, in batches of `batch`. */
  function summed(segmentSamples: number, from: number, to: number, batch: number): OutputErrors {
    const errors = sumOutputErrors(segmentSamples)
    for (let first = from; first < to; first += batch) {
      const end = Math.min(to, first + batch)
      const part = (values: Float32Array): Tensor =>
        tensor([end - first, EACH], values.subarray(first * EACH, end * EACH))
      errors.add(pair(part(y), part(z), first, end - first))
    }
    return errors.result()
  }

  it('sum to the same bits in any batches, and in shards that are cut between segments', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: SAMPLES }),
        fc.integer({ min: 1, max: SAMPLES }),
        fc.array(fc.integer({ min: 0, max: SAMPLES }), { maxLength: 3 }),
        (segment, batch, otherBatch, cuts) => {
          const whole = summed(segment, 0, SAMPLES, batch)
          const bounds = [0, ...cuts.map((cut) => cut - (cut % segment)).sort((a, b) => a - b), SAMPLES]
          const merged = bounds
            .slice(1)
            .map((to, i) => summed(segment, bounds[i]!, to, otherBatch))
            .reduce((sum, part) => sum.with(part), new OutputErrors())
          expect(merged).toEqual(whole)
          expect(merged.of(['y'])).toEqual(whole.of(['y']))
        },
      ),
      { seed: 61 },
    )
  })

  it('sum to what float64 gives over all values', () => {
    let signal2 = 0
    let error2 = 0
    for (let i = 0; i < y.length; i++) {
      signal2 += y[i]! ** 2
      error2 += (y[i]! - z[i]!) ** 2
    }
    const found = summed(4, 0, SAMPLES, 3).of(['y'])!
    expect(found.signal2).toBeCloseTo(signal2, 10)
    expect(found.error2).toBeCloseTo(error2, 10)
  })

  it('are ordered by their number, whatever the order of the shards', () => {
    const parts = [summed(4, 8, 13, 5), summed(4, 0, 8, 5)]
    const merged = parts.reduce((sum, part) => sum.with(part), new OutputErrors())
    expect(merged.of(['y'])).toEqual(summed(4, 0, SAMPLES, 1).of(['y']))
  })

  it('take a whole batch into the segment of its first sample where the leading axis counts no samples', () => {
    const errors = sumOutputErrors(2)
    errors.add(pair(tensor([3], [1, 2, 2]), tensor([3], [1, 2, 4]), 4, 2))
    expect(errors.result().sums.get('y')).toEqual(new Map([[2, { signal2: 9, error2: 4 }]]))
  })

  it('leave the sums that they are added to as they were', () => {
    const first = summed(4, 0, 8, 3)
    const before = first.of(['y'])
    first.with(summed(4, 8, 13, 3))
    expect(first.of(['y'])).toEqual(before)
    expect([...first.sums.get('y')!.keys()]).toEqual([0, 1])
  })
})
