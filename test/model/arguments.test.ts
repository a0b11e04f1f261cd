/** Arguments as JavaScript gives them: each wrong one is refused by the name of its option. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compareModels } from '#src/model/compare.js'
import { evaluate } from '#src/model/evaluate.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import type { Runner } from '../../src/calibration/runner.js'

const runner: Runner = { name: 'none', load: () => Promise.reject(new Error('not reached')) }
const model = new Uint8Array(1)
const labels = { type: 'int32', dims: [1], data: new Int32Array(1) }

/** Calls a function as a caller without a compiler does. */
function call(act: (...args: never[]) => Promise<unknown>, ...args: unknown[]): Promise<unknown> {
  return Reflect.apply(act, undefined, args)
}

describe.each([
  ['quantizeModel', (options: object) => call(quantizeModel, model, options)],
  ['evaluate', (options: object) => call(evaluate, { model, labels, samples: 1, feeds: [], ...options })],
  [
    'compareModels',
    (options: object) =>
      call(compareModels, { float: model, quantized: model, samples: 1, feeds: [], ...options }),
  ],
] as const)('%s', (_, run) => {
  it.each([
    [{}, /^runner: expected a runner of models, got none; createRunner makes one/],
    [{ runner: null }, /^runner: .*, got null/],
    [{ runner: {} }, /^runner: .*, got an object/],
    [{ runner, signal: {} }, /^signal: expected an AbortSignal, got an object/],
    [{ runner, onProgress: 1 }, /^onProgress: expected a function, got a number/],
  ])('refuses %j', async (options, message) => {
    await expect(run(options)).rejects.toThrow(message)
    await expect(run(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

it.each([
  [{ include: 'conv*' }, /^include: expected an array of globs, got a string/],
  [{ exclude: [1] }, /^exclude: expected an array of globs, got an array/],
  [{ include: [''] }, /^include: expected globs that are not empty, got an empty one/],
  [{ levelsFor: { pattern: 'x' } }, /^levelsFor: expected an array of \{ pattern, … \}, got an object/],
  [{ levelsFor: [null] }, /^levelsFor: expected objects \{ pattern, … \}, got null/],
  [{ levelsFor: [{ levels: 3 }] }, /^levelsFor: expected an array of globs/],
  [null, /^options: expected an object, got null/],
])('planModel refuses %j', async (options, message) => {
  await expect(call(planModel, model, options)).rejects.toThrow(message)
  await expect(call(planModel, model, options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

it('quantizeModel refuses batches that are none', async () => {
  const digits = readFileSync(new URL('../../demo-data/digits.onnx', import.meta.url))
  for (const [calibration, message] of [
    [[null], /^calibration, batch 1: expected tensors by the names of inputs, got null/],
    [
      [{ image: {} }],
      /^calibration, batch 1, input image: expected a tensor \{ type, dims, data \}, got an object/,
    ],
    [7, /^calibration: expected an iterable of batches, got a number/],
  ] as const)
    await expect(call(quantizeModel, digits, { runner, calibration })).rejects.toThrow(message)
})

it('models, batches and labels are refused by their names', async () => {
  const feeds = [null]
  const session = { inputs: [], outputs: ['y'], run: async () => ({}), close: async () => {} }
  const running: Runner = { name: 'none', load: async () => session }
  for (const [act, message] of [
    [
      () => call(planModel, 'model.onnx', {}),
      /^model: expected a Uint8Array, or what openModel gives, got a string/,
    ],
    [() => call(quantizeModel, undefined, { runner }), /^model: .*, got none/],
    [
      () => call(evaluate, { runner, model: 'm', feeds, labels, samples: 1 }),
      /^model: expected a Uint8Array, got a string/,
    ],
    [
      () => call(evaluate, { runner: running, model, feeds: null, labels, samples: 1 }),
      /^feeds: expected an iterable of batches, got null/,
    ],
    [
      () => call(evaluate, { runner: running, model, feeds, labels, samples: 1 }),
      /^feeds: expected tensors by the names of inputs, got null/,
    ],
    [
      () => call(evaluate, { runner: running, model, feeds: [{ x: 1 }], labels, samples: 1 }),
      /^feeds, input x: expected a tensor/,
    ],
    [
      () => call(evaluate, { runner: running, model, feeds, samples: 1 }),
      /^labels, input labels: expected a tensor .*, got none/,
    ],
    [
      () => call(compareModels, { runner: running, float: model, quantized: null, feeds, samples: 1 }),
      /^quantized: .* got null/,
    ],
    [
      () => call(compareModels, { runner: running, float: model, quantized: model, feeds, samples: 1 }),
      /^feeds: .*, got null/,
    ],
  ] as const)
    await expect(act()).rejects.toThrow(message)
})
