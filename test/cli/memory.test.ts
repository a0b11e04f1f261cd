/** The memory of a model is measured in a process of its own, and is null where that fails. No amounts are asserted. */
import { expect, it } from 'vitest'
import { measureMemory } from '#src/cli/memory.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { DIGITS } from './run.js'

const path = `${DIGITS}digits.onnx`
const image = { type: 'float32', dims: [2, 1, 28, 28], data: new Float32Array(2 * 28 * 28) } as const
const { signal } = new AbortController()

const measure = (task: { path?: string; feeds?: Feeds }, aborting = signal): Promise<number | null> =>
  measureMemory({ path, threads: 1, feeds: { image }, ...task }, aborting)

it('is a number of bytes', async () => {
  expect(await measure({})).toBeGreaterThanOrEqual(0)
})

it('is null for a model that cannot be read, or does not run', async () => {
  expect(await measure({ path: `${DIGITS}none.onnx` })).toBeNull()
  expect(await measure({ feeds: {} })).toBeNull()
})

it('ends with the reason of an abort', async () => {
  const controller = new AbortController()
  const measuring = measure({}, controller.signal)
  controller.abort(new Error('enough'))
  await expect(measuring).rejects.toThrow('enough')
})
