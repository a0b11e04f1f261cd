/** What an output is taken for, and how far two networks agree on it. */
import { describe, expect, it } from 'vitest'
import { type OutputDifference, sumDifferences } from '#src/model/outputDifference.js'
import type { Tensor } from '#src/tensor/tensor.js'

const tensor = (dims: number[], values: number[], type: 'float32' | 'int32' = 'float32'): Tensor => ({
  ...{ type, dims },
  data: type === 'float32' ? Float32Array.from(values) : Int32Array.from(values),
})

function difference(name: string, ...pairs: readonly (readonly [Tensor, Tensor])[]): OutputDifference {
  const sums = sumDifferences(name)
  for (const [y, z] of pairs) sums.add(y, z)
  return sums.result()
}

describe('sumDifferences', () => {
  it('takes rows of scores for classes', () => {
    const found = difference(
      'scores',
      [tensor([2, 3], [1, 5, 2, 4, 0, 3]), tensor([2, 3], [1, 4, 2, 2, 0, 3])],
      [tensor([1, 3], [-1, 0, 1]), tensor([1, 3], [-1, 0, 1])],
    )
    expect(found).toMatchObject({ kind: 'classes', agreement: 2 / 3, largestDifference: 2 })
    expect(found.sqnrDb).toBeCloseTo(10 * Math.log10((1 + 25 + 4 + 16 + 9 + 2) / (1 + 4)), 10)
  })

  it('takes one column for a threshold, of one half where all values are shares, else of zero', () => {
    const shares = [tensor([4, 1], [0.1, 0.6, 0.9, 0.4]), tensor([4, 1], [0.2, 0.45, 0.8, 0.4])] as const
    expect(difference('p', shares)).toMatchObject({ kind: 'threshold', agreement: 0.75 })
    const reals = [tensor([4, 1], [-1, 0.3, 2, 0.4]), tensor([4, 1], [-1, 0.2, 2, -0.1])] as const
    expect(difference('p', reals)).toMatchObject({ kind: 'threshold', agreement: 0.75 })
  })

  it('takes planes of shares for masks: intersection over union', () => {
    const [y, z] = [tensor([1, 1, 2, 2], [0.9, 0.8, 0, 0.1]), tensor([1, 1, 2, 2], [0.9, 0.2, 0.7, 0])]
    expect(difference('m', [y, z])).toMatchObject({ kind: 'mask', agreement: 1 / 3 })
  })

  it('takes rows of length 1 with negative values, and outputs of that name, for embeddings', () => {
    const found = difference('v', [tensor([1, 2], [0.6, -0.8]), tensor([1, 2], [0.8, -0.6])])
    expect(found).toMatchObject({ kind: 'embedding' })
    expect(found.agreement).toBeCloseTo(0.96, 6)
    const named = difference('last_hidden_state', [tensor([1, 2], [3, 4]), tensor([1, 2], [3, 4])])
    expect(named).toMatchObject({ kind: 'embedding', agreement: 1, sqnrDb: null })
  })

  it('counts equal whole numbers, and leaves out what both mask', () => {
    const whole = [tensor([1, 4], [1, 2, 3, 4], 'int32'), tensor([1, 4], [1, 2, 3, 5], 'int32')] as const
    expect(difference('i', whole)).toMatchObject({ kind: 'integers', agreement: 0.75 })
    const masked = tensor([1, 3], [Number.NEGATIVE_INFINITY, 1, 2])
    expect(difference('s', [masked, masked])).toMatchObject({ kind: 'classes', agreement: 1, sqnrDb: null })
  })
})
