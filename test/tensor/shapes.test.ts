import { describe, expect, it } from 'vitest'
import { fitSample, isChannelsLast } from '#src/tensor/shapes.js'

describe('fitSample', () => {
  it.each([
    ['the very shape', [3, 32, 32], [3, 32, 32], [3, 32, 32]],
    ['named dimensions', [256], ['T'], [256]],
    ['unknown dimensions', [3, 20, 30], [3, null, null], [3, 20, 30]],
    ['a missing channel axis in front', [28, 28], [1, 28, 28], [1, 28, 28]],
    ['a missing channel axis behind', [28, 28], [28, 28, 1], [28, 28, 1]],
    ['a missing channel axis of an image of any size', [28, 28], [1, 'H', 'W'], [1, 28, 28]],
    ['flat to image', [784], [1, 28, 28], [1, 28, 28]],
    ['image to flat', [1, 28, 28], [784], [784]],
    ['one number', [], [], []],
    ['anything where no shape is declared', [7, 9], null, [7, 9]],
  ])('accepts %s', (_, file, model, expected) => {
    expect(fitSample(file, model)).toEqual(expected)
  })

  it.each([
    ['another layout', [32, 32, 3], [3, 32, 32]],
    ['another size', [3, 32, 32], [3, 224, 224]],
    ['a channel axis that is not 1', [28, 28], [3, 28, 28]],
    ['equal counts in other axes', [4, 6], [6, 4]],
    ['another flat size', [783], [1, 28, 28]],
    ['flat to unknown', [784], [1, 'H', 'W']],
  ])('refuses %s', (_, file, model) => {
    expect(fitSample(file, model)).toBeNull()
  })
})

it('isChannelsLast needs the last axis, and only it, to look like channels', () => {
  expect(isChannelsLast([224, 224, 3])).toBe(true)
  expect(isChannelsLast([null, null, 3])).toBe(true)
  expect(isChannelsLast([3, 224, 224])).toBe(false)
  expect(isChannelsLast([3, 4, 3])).toBe(false)
  expect(isChannelsLast([256])).toBe(false)
})
