import { describe, expect, it } from 'vitest'
import { MeanDifference, OutputError, sqnrDb } from '#src/calibration/outputError.js'
import type { Tensor } from '#src/tensor/tensor.js'

const tensor = (dims: number[], values: number[]): Tensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from(values),
})

describe('OutputError', () => {
  it('is the Frobenius norm of the difference over that of the float output, across batches', () => {
    const error = new OutputError()
    error.add(tensor([2], [3, 0]), tensor([2], [3, 1]))
    error.add(tensor([2], [0, 4]), tensor([2], [2, 4]))
    expect(error.relative).toBeCloseTo(Math.sqrt(5) / 5, 12)
  })

  it('is unknown before anything was measured and infinite where only the float output is zero', () => {
    expect(new OutputError().relative).toBeNull()
    const error = new OutputError()
    error.add(tensor([1], [0]), tensor([1], [1]))
    expect(error.relative).toBe(Number.POSITIVE_INFINITY)
  })

  it('gives 20 dB for an error of a tenth', () => {
    expect(sqnrDb(0.1)).toBeCloseTo(20, 10)
  })
})

describe('MeanDifference', () => {
  it('averages over everything but the axis of neurons', () => {
    const difference = new MeanDifference(2)
    // (batch 1, channels 2, positions 3)
    difference.add(tensor([1, 2, 3], [1, 2, 3, 4, 5, 6]), tensor([1, 2, 3], [0, 0, 0, 4, 4, 4]), 1)
    expect([...difference.means()]).toEqual([2, 1])
  })

  it('counts axes from the end', () => {
    const difference = new MeanDifference(2)
    difference.add(tensor([2, 2], [1, 2, 3, 4]), tensor([2, 2], [0, 0, 0, 0]), -1)
    expect([...difference.means()]).toEqual([2, 3])
  })
})
