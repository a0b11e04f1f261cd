/** Some neurons of a layer, solved by themselves, are those of the whole layer. */
import { afterAll, expect, test } from 'vitest'
import { createExecutor } from '#src/executor/choose.js'
import { GPFQ } from '#src/methods/recipe.js'
import type { SolveRequest } from '#src/methods/solution.js'
import { someNeurons, someSolved, strideOf } from '#src/model/someNeurons.js'
import { reals } from '../random.js'

const executor = await createExecutor({ threads: 1 })
afterAll(() => executor.close())

test.each([
  [1, 200],
  [2, 131],
])('%i groups of %i neurons', async (groups, neurons) => {
  const [inputs, blocks] = [12, 3]
  const request: SolveRequest = {
    weights: reals(groups * inputs * neurons, 2),
    shape: { groups, inputs, neurons },
    levels: 7,
    scales: {
      blocks,
      blockSize: 4,
      values: reals(groups * blocks * neurons, 3).map((s) => 0.2 + Math.abs(s)),
    },
    search: 'none',
  }
  const stride = strideOf(neurons)
  expect(stride).toBeGreaterThan(1)
  const rounded = { recipe: { ...GPFQ, method: 'msq' } as const, signal: undefined, place: 'layer' }
  const whole = await executor.solve(null, [request], rounded)
  const some = someNeurons(request, stride)
  const part = await executor.solve(null, [some], rounded)
  expect(part.solutions[0]).toEqual(someSolved(whole.solutions[0]!, stride))
  expect(some.weights[1]).toBe(request.weights[stride])
})

test.each([1, 64, 127])('all of %i neurons', (neurons) => expect(strideOf(neurons)).toBe(1))
