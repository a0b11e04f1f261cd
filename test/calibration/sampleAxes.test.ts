/** Which axis of an input counts samples: said by names where there are any, else by what all batches have in common. */
import { describe, expect, it } from 'vitest'
import { sampleAxes } from '#src/calibration/sampleAxes.js'
import type { Feeds, RunnerInput, Tensor } from '#src/tensor/tensor.js'

const tensor = (...dims: readonly number[]): Tensor => ({
  type: 'float32',
  dims,
  data: new Float32Array(dims.reduce((a, b) => a * b, 1)),
})

const input = (name: string, ...dims: readonly (number | string | null)[]): RunnerInput => ({
  ...{ name, type: 'float32', dims },
})

const axesOf = (batches: readonly Feeds[], ...inputs: readonly RunnerInput[]) => {
  const axes = sampleAxes(batches, inputs)
  return axes === null ? null : Object.fromEntries(axes)
}

const x = input('x', 'N', 4)

describe('the axis that counts samples', () => {
  it('is the one with the name of the batch, where another has the same size in all batches', () => {
    const batches = [{ x: tensor(3, 4), h: tensor(3, 3, 5) }]
    expect(axesOf(batches, x, input('h', 'layers', 'N', 5))).toEqual({ x: 0, h: 1 })
  })

  it('is the first that the model leaves open, where dimensions have no names', () => {
    const batches = [{ x: tensor(3, 4), h: tensor(2, 3, 5) }]
    expect(axesOf(batches, input('x', null, null), input('h', 2, null, 5))).toEqual({ x: 0, h: 1 })
    expect(axesOf(batches, x, { name: 'h', type: 'float32', dims: null })).toEqual({ x: 0, h: 1 })
  })

  it('is not one that counts something else, whatever its size', () => {
    const batches = [{ x: tensor(4, 4), mask: tensor(4, 4) }]
    const square = input('mask', 'length', 'length')
    expect(axesOf(batches, input('x', 'N', 'length'), square)).toEqual({ x: 0 })
    expect(axesOf(batches, x, input('mask', 'M', 'K'))).toEqual({ x: 0, mask: 0 })
  })

  it('is none of a constant, in tensors of its own too', () => {
    const batches = [3, 2].map((samples) => ({ x: tensor(samples, 4), rate: tensor() }))
    expect(axesOf(batches, x, input('rate'))).toEqual({ x: 0 })
    const zeros = [3, 2].map((samples) => ({ x: tensor(samples, 4), h: tensor(2, 1, 5) }))
    expect(axesOf(zeros, x, input('h', 2, 'N', 5))).toEqual({ x: 0 })
  })
})

describe('batches that cannot be cut', () => {
  it('are those whose size the model fixes', () => {
    expect(axesOf([{ x: tensor(3, 4) }], input('x', 3, 4))).toBeNull()
    expect(axesOf([{ x: tensor(3, 4), y: tensor(3, 2) }], x, input('y', 3, 2))).toBeNull()
    expect(axesOf([{ x: tensor(1, 4) }, { x: tensor(1, 4) }], input('x', 1, 4))).toEqual({ x: 0 })
  })

  it('are those with a tensor that counts no samples and differs', () => {
    const rates = [8000, 16000].map((rate) => ({
      x: tensor(3, 4),
      rate: { ...tensor(), data: Float32Array.of(rate) },
    }))
    expect(axesOf(rates, x, input('rate'))).toBeNull()
    expect(axesOf([{ x: tensor(3, 4), y: tensor(2) }, { x: tensor(3, 4) }], x, input('y', null))).toBeNull()
  })
})
