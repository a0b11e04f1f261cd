/** Outputs that look like the next value of an input. */
import { expect, it } from 'vitest'
import { likelyStates } from '#src/onnx/stateNames.js'
import type { RunnerInput } from '#src/tensor/tensor.js'

const value = (name: string, dims: RunnerInput['dims'] = [2, 'N', 4], type = 'float32'): RunnerInput => ({
  ...{ name, type, dims },
})

it.each([
  ['stateN', 'state'],
  ['hn', 'h'],
  ['c_n', 'c'],
  ['cache.next', 'cache'],
  ['new_state', 'state'],
  ['present.0.key', 'past_key_values.0.key'],
  ['present_0', 'past_0'],
  ['r1o', 'r1i'],
])('%s is taken for the next value of %s', (output, input) => {
  const inputs = [value('x'), value(input)]
  expect([...likelyStates(inputs, [value('y'), value(output, [null, 'N', null])])]).toEqual([[output, input]])
})

it('takes nothing of another type or shape, nor other names', () => {
  const inputs = [value('x'), value('state')]
  expect(likelyStates(inputs, [value('stateN', [2, 'N', 4], 'float16')]).size).toBe(0)
  expect(likelyStates(inputs, [value('stateN', [2, 'N', 5])]).size).toBe(0)
  expect(likelyStates(inputs, [value('stateN', ['N', 4])]).size).toBe(0)
  expect(likelyStates(inputs, [value('x_out'), value('state'), value('y')]).size).toBe(0)
})
