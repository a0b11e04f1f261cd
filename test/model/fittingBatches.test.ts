/** Batches that ONNX Runtime has no memory for are cut, by what a run says of their tensors or when memory is lacking. */
import { beforeAll, describe, expect, it } from 'vitest'
import { cutBatches, cutFeeds } from '#src/calibration/batches.js'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { sampleAxes } from '#src/calibration/sampleAxes.js'
import { inputBytes } from '#src/calibration/streamTensors.js'
import { GpfqError } from '#src/errors.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const SIDE = 24

/** Activations that are 16 times as large as the images. @param batch fixed by the model */
const net = (batch: number | string = 'n', side = SIDE) =>
  encodeModel(
    b.model(
      [
        b.node('Conv', ['x', 'w1'], ['c'], { pads: [1, 1, 1, 1] }),
        b.node('Relu', ['c'], ['r']),
        b.node('Conv', ['r', 'w2'], ['d'], { pads: [1, 1, 1, 1] }),
        b.node('GlobalAveragePool', ['d'], ['p']),
        b.node('Flatten', ['p'], ['f']),
        b.node('MatMul', ['f', 'w3'], ['y']),
      ],
      [b.noisy('w1', [16, 1, 3, 3], 1), b.noisy('w2', [6, 16, 3, 3], 2), b.noisy('w3', [6, 4], 3)],
      [b.value('x', b.DataType.FLOAT, [batch, 1, side, side])],
      ['y'],
    ),
  )

const imagesOf = (sizes: readonly number[], side = SIDE): Feeds[] =>
  sizes.map((size, i) => ({
    x: { type: 'float32', dims: [size, 1, side, side], data: b.noise(size * side ** 2, 20 + i) },
  }))
const calibration = imagesOf([32, 32, 9])

let inner: Runner
let expected: Uint8Array
beforeAll(async () => {
  inner = await createOrtWebRunner({ threads: 1 })
  expected = (await quantizeModel(net(), { calibration, runner: inner, threads: 1 })).model
})

/** Refuses runs on more than so many samples, and keeps the sizes of those that ran. */
function refusing(most: number, error: () => unknown) {
  const ran: { samples: number; bytes: number }[] = []
  const runner: Runner = {
    name: 'small engine',
    async load(model) {
      const session = await inner.load(model)
      return {
        ...session,
        async run(feeds, fetches) {
          const samples = Math.max(0, ...Object.values(feeds).map(({ dims }) => dims[0] ?? 1))
          if (samples > most) throw error()
          const outputs = await session.run(feeds, fetches)
          ran.push({ samples, bytes: inputBytes(feeds) + inputBytes(outputs) })
          return outputs
        },
      }
    },
  }
  return { runner, ran }
}

const BAD_ALLOC = () => new Error('std::bad_alloc')

describe('a runner that finds no memory', () => {
  it.each([
    ['in words of its own', BAD_ALLOC],
    [
      'as ONNX Runtime does here',
      () => new GpfqError('OUT_OF_MEMORY', { place: 'ONNX Runtime, running the model', problem: 'none' }),
    ],
  ])('gets batches of half the size, with one note and the same bytes: %s', async (_, error) => {
    const { runner, ran } = refusing(5, error)
    const { model, report } = await quantizeModel(net(), { calibration, runner, threads: 1 })
    expect(Buffer.compare(model, expected)).toBe(0)
    // Of 32 samples 4 are kept out: 28, 14, 7, 3.
    expect(Math.max(...ran.map(({ samples }) => samples))).toBe(3)
    const notes = report.notes.filter(({ code }) => code === 'BATCHES_CUT')
    expect(notes.map(({ text }) => text)).toEqual([expect.stringContaining('of 3 samples')])
  })

  it('gets single samples at the last, with mixed precision, too', async () => {
    const options: PlanModelOptions = { targetBits: 4 }
    const whole = await quantizeModel(net(), { ...options, calibration, runner: inner, threads: 1 })
    const { runner, ran } = refusing(1, BAD_ALLOC)
    const { model } = await quantizeModel(net(), { ...options, calibration, runner, threads: 1 })
    expect(Buffer.compare(model, whole.model)).toBe(0)
    expect(ran.every(({ samples }) => samples === 1)).toBe(true)
  })

  it('is an error that says what was asked for, where one sample is too much', async () => {
    const { runner } = refusing(0, BAD_ALLOC)
    await expect(quantizeModel(net(), { calibration, runner, threads: 1 })).rejects.toMatchObject({
      ...{ code: 'OUT_OF_MEMORY', place: 'small engine' },
      problem: expect.stringMatching(/^it needs 1 MiB for the inputs of a run alone/),
      cause: expect.objectContaining({ message: 'std::bad_alloc' }),
    })
  })

  it('is an error where the model fixes the batch', async () => {
    const { runner } = refusing(5, BAD_ALLOC)
    await expect(
      quantizeModel(net(8), { calibration: imagesOf([8]), runner, threads: 1 }),
    ).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' })
  })

  it('is not asked again where the error is another', async () => {
    const { runner } = refusing(5, () => new Error('broken'))
    await expect(quantizeModel(net(), { calibration, runner, threads: 1 })).rejects.toThrow('broken')
  })
})

describe('a limit of memory', () => {
  it('cuts batches before they run, so that what a run reads and returns fits, and holds less', async () => {
    const memory = 24e6
    const [large, images] = [net('n', 96), imagesOf([32, 10], 96)]
    const run = { calibration: images, threads: 1 }
    const whole = await quantizeModel(large, { ...run, runner: inner })
    expect(whole.report.peakMemoryBytes).toBeGreaterThan(memory)
    const { runner, ran } = refusing(32, BAD_ALLOC)
    const { model, report } = await quantizeModel(large, { ...run, memory, runner })
    expect(Buffer.compare(model, whole.model)).toBe(0)
    expect(Math.max(...ran.map(({ samples }) => samples))).toBeLessThan(32)
    for (const { bytes } of ran) expect(bytes).toBeLessThan(memory)
    expect(report.peakMemoryBytes).toBeLessThan(memory)
    expect(report.notes.map(({ code }) => code)).toEqual(['TENSORS_IN_FILE'])
  })
})

describe('a network with a rate and a state', () => {
  const rate = { type: 'float32', dims: [], data: Float32Array.of(2) } as const
  /** y = Relu(x W + state[1]) V · rate, with the state (2, batch, 8). */
  const stateful = encodeModel(
    b.model(
      [
        b.node('Gather', ['state', 'one'], ['last'], { axis: 0 }),
        b.node('MatMul', ['x', 'w'], ['a']),
        b.node('Add', ['a', 'last'], ['s']),
        b.node('Relu', ['s'], ['r']),
        b.node('MatMul', ['r', 'v'], ['z']),
        b.node('Mul', ['z', 'rate'], ['y']),
      ],
      [b.ints('one', [], [1]), b.noisy('w', [8, 8], 1), b.noisy('v', [8, 4], 2)],
      [
        b.value('x', b.DataType.FLOAT, ['n', 8]),
        b.value('state', b.DataType.FLOAT, [2, 'n', 8]),
        b.value('rate', b.DataType.FLOAT, []),
      ],
      ['y'],
    ),
  )
  const batch = (samples: number, seed: number): Feeds => ({
    x: { type: 'float32', dims: [samples, 8], data: b.noise(8 * samples, seed) },
    state: { type: 'float32', dims: [2, samples, 8], data: b.noise(16 * samples, seed + 1) },
    rate: { ...rate, data: Float32Array.of(2) },
  })

  it('gets smaller batches too where memory is short, with the same bytes', async () => {
    const run = { calibration: [batch(24, 1), batch(17, 3)], threads: 1 }
    const whole = await quantizeModel(stateful, { ...run, runner: inner })
    const { runner, ran } = refusing(4, BAD_ALLOC)
    const { model, report } = await quantizeModel(stateful, { ...run, runner })
    expect(Buffer.compare(model, whole.model)).toBe(0)
    expect(Math.max(...ran.map(({ samples }) => samples))).toBeLessThan(5)
    expect(report.notes.map(({ code }) => code)).toContain('BATCHES_CUT')
  })
})

describe('cutting', () => {
  const inputs = [{ name: 'x', type: 'float32', dims: ['n', 2] }]
  const feeds: Feeds = {
    x: { type: 'float32', dims: [5, 2], data: Float32Array.from([...Array(10).keys()]) },
  }

  it('gives views of the samples in order, the last batch with what is left', () => {
    const axes = new Map([['x', 0]])
    const cut = cutBatches([feeds, cutFeeds(feeds, axes, 0, 2)], axes, 2)
    expect(cut.map(({ x }) => [x!.dims, [...x!.data]])).toEqual([
      ...[
        [
          [2, 2],
          [0, 1, 2, 3],
        ],
        [
          [2, 2],
          [4, 5, 6, 7],
        ],
        [
          [1, 2],
          [8, 9],
        ],
      ],
      [
        [2, 2],
        [0, 1, 2, 3],
      ],
    ]) // prettier-ignore
    expect(cut.every(({ x }) => x!.data.buffer === feeds.x!.data.buffer)).toBe(true)
  })

  it('takes samples of a state along its own axis, and leaves a constant as it is', () => {
    // Element (layer, sample) is 10 · layer + sample.
    const h = {
      type: 'float32',
      dims: [2, 5],
      data: Float32Array.of(0, 1, 2, 3, 4, 10, 11, 12, 13, 14),
    } as const
    const rate = { type: 'int32', dims: [], data: Int32Array.of(8) } as const
    const own = [...inputs, { name: 'h', type: 'float32', dims: [2, 'n'] }]
    const cut = cutBatches([{ ...feeds, h, rate }], sampleAxes([{ ...feeds, h, rate }], own), 3)
    expect(cut.map((batch) => [batch.x?.dims, batch.h])).toEqual([
      [[3, 2], { type: 'float32', dims: [2, 3], data: Float32Array.of(0, 1, 2, 10, 11, 12) }],
      [[2, 2], { type: 'float32', dims: [2, 2], data: Float32Array.of(3, 4, 13, 14) }],
    ])
    expect(cut.every((batch) => batch.rate === rate)).toBe(true)
  })

  it('leaves batches that cannot be cut', () => {
    expect(cutBatches([feeds], null, 2)).toEqual([feeds])
  })
})
