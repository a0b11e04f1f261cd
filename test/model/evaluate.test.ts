import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '#src/calibration/runner.js'
import { loadFeeds, loadLabels } from '#src/data/feeds.js'
import { openData } from '#src/data/files.js'
import { compareModels } from '#src/model/compare.js'
import { type EvaluateOptions, evaluate } from '#src/model/evaluate.js'
import { openModel } from '#src/onnx/openModel.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'

const floats = (dims: readonly number[], values: readonly number[]): Tensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from(values),
})
const labelled = (dims: readonly number[], values: readonly number[]): Tensor => ({
  type: 'int32',
  dims,
  data: Int32Array.from(values),
})

/** A session whose output is its input. */
const echo: RunnerSession = {
  inputs: [{ name: 'x', type: 'float32', dims: [] }],
  outputs: ['y'],
  run: async ({ x }) => (x === undefined ? {} : { y: x }),
  close: async () => {},
}

/** Evaluates `echo` on scores cut into batches of `size`. */
const evaluateEcho = (
  scores: Tensor,
  size: number,
  labels: Tensor,
  samples: number,
  more: Partial<EvaluateOptions> = {},
) =>
  evaluate({
    runner: { name: 'echo', load: async () => echo },
    model: new Uint8Array(),
    feeds: batches(scores, size),
    samples,
    labels,
    ...more,
  })

/** `scores` cut into batches along the first axis. */
function batches(scores: Tensor, size: number): Feeds[] {
  const [count = 0, ...rest] = scores.dims
  const each = scores.data.length / count
  return Array.from({ length: Math.ceil(count / size) }, (_, b) => {
    const begin = b * size
    const end = Math.min(count, begin + size)
    const data = scores.data.subarray(begin * each, end * each)
    return { x: { ...scores, dims: [end - begin, ...rest], data } }
  })
}

describe('evaluate', () => {
  it('closes the model, also after an error', async () => {
    let closed = 0
    const close = async () => void closed++
    const runner: Runner = { name: 'echo', load: async () => ({ ...echo, close }) }
    await evaluateEcho(floats([1, 2], [0, 1]), 1, labelled([1], [1]), 1, { runner })
    await expect(
      evaluateEcho(floats([1, 2], [0, 1]), 1, labelled([1], [7]), 1, { runner }),
    ).rejects.toMatchObject({ code: 'INVALID_DATA', place: 'labels', expected: 'classes 0 to 1' })
    expect(closed).toBe(2)
  })
})

describe('evaluate, classes', () => {
  it('counts first and first five, ties to the earlier class', async () => {
    const scores = floats([3, 6], [0, 1, 2, 3, 4, 5, 9, 9, 0, 0, 0, 0, 6, 5, 4, 3, 2, 1])
    const result = await evaluateEcho(scores, 2, labelled([3], [5, 1, 5]), 3)
    // Sample 0 right; sample 1 ties with class 0 and comes second; sample 2 is last of six.
    expect(result).toMatchObject({ top1: 1 / 3, top5: 2 / 3, samples: 3 })
  })

  it('refuses scores that are not numbers', async () => {
    const scores = floats([2, 2], [1, 2, 3, Number.NaN])
    await expect(evaluateEcho(scores, 1, labelled([2], [0, 0]), 2)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      expected: 'scores that are numbers',
      got: 'NaN for sample 1',
    })
  })

  it('does not depend on the batch size', async () => {
    const scores = floats(
      [12, 7],
      Array.from({ length: 84 }, (_, i) => Math.sin(i * i)),
    )
    const labels = labelled(
      [12, 1],
      Array.from({ length: 12 }, (_, i) => i % 7),
    )
    const [whole, parts] = await Promise.all([
      evaluateEcho(scores, 12, labels, 12),
      evaluateEcho(scores, 5, labels, 12),
    ])
    expect({ ...parts, seconds: 0 }).toEqual({ ...whole, seconds: 0 })
  })

  it('takes outputs with trailing axes of 1, and more labels than samples', async () => {
    const scores = floats([1, 2, 1, 1], [0, 1])
    expect(await evaluateEcho(scores, 1, labelled([2], [1, 0]), 1)).toMatchObject({ top1: 1 })
  })

  it('refuses labels that do not fit', async () => {
    const run = (dims: readonly number[], labels: Tensor) =>
      evaluateEcho(floats(dims, new Array(dims.reduce((a, b) => a * b, 1)).fill(0)), 2, labels, 2)
    await expect(run([2, 3], labelled([1], [0]))).rejects.toThrow(
      'labels: expected one for each of 2 samples, got shape (1)',
    )
    await expect(run([2, 3], labelled([2], [0, 3]))).rejects.toThrow(
      'labels: expected classes 0 to 2, got 3 for sample 1',
    )
    await expect(run([2, 3], labelled([2, 3], [0, 0, 0, 0, 0, 0]))).rejects.toThrow(
      'output y: expected shape (2, 3, classes) to compare with the labels, got (2, 3)',
    )
    await expect(run([2, 3, 4], labelled([2], [0, 0]))).rejects.toThrow(/expected shape \(2, classes\)/)
  })

  it('reports progress and honours an abort', async () => {
    const scores = floats([4, 2], new Array(8).fill(0))
    const labels = labelled([4], [0, 0, 0, 0])
    const seen: number[] = []
    await evaluateEcho(scores, 2, labels, 4, { onProgress: (done) => seen.push(done) })
    expect(seen).toEqual([2, 4])
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(evaluateEcho(scores, 2, labels, 4, { signal })).rejects.toThrow('enough')
  })
})

describe('evaluate, sequences', () => {
  it('is the mean of −log softmax, its exponential, and the share of likeliest tokens', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: -900, max: 900, noNaN: true }), { minLength: 24, maxLength: 24 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 6, maxLength: 6 }),
        async (values, next) => {
          const scores = floats([2, 3, 4], values)
          const result = await evaluateEcho(scores, 1, labelled([2, 3], next), 2)
          let nll = 0
          let right = 0
          for (let row = 0; row < 6; row++) {
            const logits = Array.from(scores.data.subarray(4 * row, 4 * row + 4), Number)
            const top = Math.max(...logits)
            const sum = logits.reduce((s, v) => s + Math.exp(v - top), 0)
            nll += Math.log(sum) + top - logits[next[row]!]!
            if (logits.indexOf(top) === next[row]) right++
          }
          expect(result).toMatchObject({ nextToken: right / 6, positions: 6, samples: 2 })
          if (!('nll' in result)) throw new Error('expected a sequence evaluation')
          expect(result.nll).toBeCloseTo(nll / 6, 6)
          expect(result.perplexity).toBe(Math.exp(result.nll))
        },
      ),
    )
  })

  it('leaves out padding, whose labels are negative', async () => {
    const scores = floats([1, 2, 2], [0, 9, 9, 0])
    const result = await evaluateEcho(scores, 1, labelled([1, 2], [1, -100]), 1)
    expect(result).toMatchObject({ nextToken: 1, positions: 1 })
  })
})

describe('compareModels', () => {
  /** The "model" is a number that is added to the input. */
  const runner: Runner = {
    name: 'adder',
    load: async ([add = 0]) => ({
      ...echo,
      run: async ({ x }) =>
        x === undefined
          ? {}
          : { y: { ...x, data: Float32Array.from(x.data as Float32Array, (v, i) => v + (i % 2) * add) } },
    }),
  }

  it('measures agreement, SQNR, sizes and times', async () => {
    const data = floats([4, 2], [10, 1, 10, 1, 10, 9.5, 1, 10])
    const both = { runner, float: Uint8Array.of(0), feeds: batches(data, 2), samples: 4 }
    const result = await compareModels({ ...both, quantized: Uint8Array.of(1, 0) })
    const signal = 3 * 100 + 2 * 1 + 9.5 ** 2 + 1 + 100 - 1
    expect(result).toMatchObject({
      outputs: [{ output: 'y', kind: 'classes', agreement: 3 / 4, largestDifference: 1 }],
      samples: 4,
      float: { bytes: 1 },
      quantized: { bytes: 2 },
      speed: { samples: 2 },
    })
    const { speed, float, quantized, speedup } = result
    expect(speed.runs).toBeGreaterThan(0)
    expect(speedup).toBe(speed.floatSeconds / speed.quantizedSeconds)
    expect(float.millisecondsPerSample).toBeCloseTo(500 * speed.floatSeconds, 12)
    expect(quantized.millisecondsPerSample).toBeCloseTo(500 * speed.quantizedSeconds, 12)
    expect(result.outputs[0]?.sqnrDb).toBeCloseTo(10 * Math.log10((signal + 1) / 4), 1)
    const same = await compareModels({ ...both, quantized: Uint8Array.of(0) })
    expect(same.outputs).toMatchObject([{ agreement: 1, sqnrDb: null, largestDifference: 0 }])
  })

  it('compares each batch once and times the first', async () => {
    const runs: string[] = []
    const counting: Runner = {
      name: 'counting',
      load: async (bytes) => {
        const session = await runner.load(bytes)
        return {
          ...session,
          run: (feeds, fetches) => {
            runs.push(`${feeds.x?.data[0]} in model ${bytes[0]} to ${fetches}`)
            return session.run(feeds, fetches)
          },
        }
      },
    }
    const feeds = batches(floats([3, 2], [1, 0, 2, 0, 3, 0]), 1)
    const models = { float: Uint8Array.of(0), quantized: Uint8Array.of(1) }
    const { samples } = await compareModels({ runner: counting, ...models, feeds, samples: 3 })
    expect(samples).toBe(3)
    const inTurn = [1, 2, 3].flatMap((x) => [0, 1].map((model) => `${x} in model ${model} to y`))
    expect(runs.slice(0, 6)).toEqual(inTurn)
    expect(new Set(runs.slice(6))).toEqual(new Set(inTurn.slice(0, 2)))
  })

  it('refuses to compare on nothing', async () => {
    const models = { float: Uint8Array.of(0), quantized: Uint8Array.of(1) }
    await expect(compareModels({ runner, ...models, feeds: [], samples: 0 })).rejects.toThrow(
      'feeds: expected at least one batch, got none',
    )
  })
})

const assets = fileURLToPath(new URL('../../../shared/assets/', import.meta.url))

describe.skipIf(!existsSync(assets))('on ../shared/assets', () => {
  const imagenet = { scale: 127.5, mean: [1] }
  const cifar = { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  // The first 256 samples (mobilenet: 64) of each; the whole sets give 91.73, 86.17, 98.72, 64.1 / 87.0 % and 1.39477 nats.
  it.each([
    [
      'cifar10-resnet20',
      'cifar10/test-images.npy.gz',
      'cifar10/test-labels.npy.gz',
      cifar,
      256,
      { top1: 233 / 256 },
    ],
    [
      'cifar10-gpfq-cnn',
      'cifar10/test-images.npy.gz',
      'cifar10/test-labels.npy.gz',
      { scale: 255 },
      256,
      { top1: 230 / 256 },
    ],
    [
      'mnist-mlp-500-300-bn',
      'mnist/mnist-t10k-images-idx3-ubyte.gz',
      'mnist/mnist-t10k-labels-idx1-ubyte.gz',
      { scale: 255 },
      256,
      { top1: 253 / 256 },
    ],
    ['imagenet-mobilenetv1-0.25-224', 'imagenet/eval', 'imagenet/eval-labels.npy', imagenet, 64, {}],
    [
      'tinystories-llama-260k-t256',
      'text/tinystories-eval-tokens.npy.gz',
      'text/tinystories-eval-next.npy.gz',
      {},
      32,
      {},
    ],
  ])('evaluates %s', async (model, data, labels, options, samples, expected) => {
    const runner = await createRunner({ threads: 2 })
    const bytes = readFileSync(`${assets}models/${model}.onnx`)
    const { inputs } = await openModel(bytes)
    const feeds = await loadFeeds([await openData(assets + data)], inputs, { ...options, samples })
    const result = await evaluate({
      runner,
      model: bytes,
      feeds,
      samples: feeds.samples,
      labels: await loadLabels(await openData(assets + labels)),
    })
    expect(result).toMatchObject({ samples, ...expected })
    if ('top1' in result) expect(result.top1).toBeGreaterThan(0.55)
    else expect(result.perplexity).toBeCloseTo(4.03, 0)
  })
})
