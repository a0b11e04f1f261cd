/**
 * Quantized activations end to end on small models: codes against the float64 twin, written models against the quantized
 * stream (the check inside quantizeModel) in ONNX Runtime, and the cases in which ranges are odd.
 */
import type { NodeProto, TensorProto } from 'onnx-buf'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import type { LayerSolution } from '#src/methods/solution.js'
import { planModel, quantizeModel, quantizePlanned } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { ActivationOptions, ActivationRanges, ModelPlan, PlanModelOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import { gpfqWithActivations, minmax, quantizerOver, roundActivation } from '#src/reference/activations.js'
import { gpfq } from '#src/reference/gpfq.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

/** All layers that can run on integers. */
const onIntegers = (ranges: ActivationRanges = { rule: 'minmax' }): ActivationOptions => ({
  ...{ bits: 8, ranges },
  for: [{ pattern: '*', kernel: 'int8' }],
})

let runner: Runner
let quantizer: Quantizer
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

const modelOf = (
  nodes: NodeProto[],
  constants: TensorProto[],
  dims: (number | string)[],
  outputs: string[] = ['y'],
): Uint8Array => encodeModel(b.model(nodes, constants, [b.value('x', b.DataType.FLOAT, dims)], outputs))

const WIDTH = 24
const NEURONS = 10

/** Two dense layers, the first by the given operator. */
const dense = (op: 'MatMul' | 'Gemm'): Uint8Array =>
  modelOf(
    [
      b.node(op, ['x', 'w'], ['h'], {}, 'first'),
      b.node('Relu', ['h'], ['r']),
      b.node('MatMul', ['r', 'v'], ['y'], {}, 'second'),
    ],
    [b.noisy('w', [WIDTH, NEURONS], 1), b.noisy('v', [NEURONS, 4], 2)],
    op === 'Gemm' ? ['n', WIDTH] : ['n', 3, WIDTH],
  )

/** Batches of `batch` samples of shape `dims`. */
function batchesOf(
  total: number,
  batch: number,
  dims: readonly number[],
  change: (value: number, index: number) => number = (value) => value,
): Feeds[] {
  const each = dims.reduce((product, dim) => product * dim, 1)
  const all = b.noise(total * each, 40).map(change)
  return Array.from({ length: Math.ceil(total / batch) }, (_, i) => {
    const data = all.slice(i * batch * each, (i + 1) * batch * each)
    return { x: { type: 'float32', dims: [data.length / each, ...dims], data } satisfies Tensor }
  })
}

/** What a run solves, in order. */
async function solved(
  bytes: Uint8Array,
  options: PlanModelOptions,
  calibration: Feeds[],
): Promise<{ readonly solutions: readonly LayerSolution[]; readonly model: Uint8Array }> {
  const solve = vi.spyOn(executorOf(quantizer), 'solve')
  const { model } = await quantizeModel(bytes, { ...options, calibration, runner, quantizer })
  const found = await Promise.all(solve.mock.results.map(({ value }) => value))
  solve.mockRestore()
  return { model, solutions: found.flatMap(({ solutions }) => solutions) }
}

/** The order of the papers, and scales that depend on the weights alone, as the twin has them. */
const PLAIN = { levels: 15, radius: { rule: 'max' }, actOrder: false } as const

/** One scale a neuron from the largest weight. */
function twinLayer(x: Float32Array, scales: Float32Array) {
  const weights = b.noise(WIDTH * NEURONS, 1)
  return {
    ...{ weights, samples: x, quantizedSamples: x, rows: x.length / WIDTH, inputs: WIDTH },
    ...{ neurons: NEURONS, levels: 15, scales, blockSize: WIDTH, zero: 7 },
  }
}

/** Codes that differ although the twin was not near a tie. */
const apart = (codes: Uint8Array, twin: { codes: Uint8Array; margins: Float64Array }): number =>
  codes.reduce((count, code, i) => count + Number(code !== twin.codes[i] && twin.margins[i]! > 1e-3), 0)

describe('codes make up for rounded activations', () => {
  it('as the float64 twin does, with a range for the tensor (Gemm)', async () => {
    const batches = batchesOf(64, 16, [WIDTH])
    const x = Float32Array.from(batches.flatMap(({ x }) => [...(x!.data as Float32Array)]))
    const options = { ...PLAIN, activations: onIntegers() }
    const { solutions } = await solved(dense('Gemm'), options, batches)
    const twin = gpfqWithActivations(twinLayer(x, solutions[0]!.scales), minmax)
    expect(apart(solutions[0]!.codes, twin)).toBe(0)
    const unrounded = gpfq(twinLayer(x, solutions[0]!.scales))
    expect(apart(solutions[0]!.codes, unrounded)).toBeGreaterThan(0)
  })

  it('and with a range for each sample (MatMul)', async () => {
    const batches = batchesOf(32, 5, [3, WIDTH])
    const x = Float32Array.from(batches.flatMap(({ x }) => [...(x!.data as Float32Array)]))
    const { solutions } = await solved(dense('MatMul'), { ...PLAIN, activations: onIntegers() }, batches)
    const sample = 3 * WIDTH
    const rounded = Float64Array.from(x, (value, i) => {
      const from = i - (i % sample)
      return roundActivation(value, quantizerOver(minmax(x.subarray(from, from + sample))))
    })
    const twin = gpfq({ ...twinLayer(x, solutions[0]!.scales), quantizedSamples: rounded })
    expect(apart(solutions[0]!.codes, twin)).toBe(0)
  })
})

/** Convolutions with a residual branch, pooling and Concat; all that can is on integers. */
const convolutional = (first: readonly number[] = [8, 3, 3, 3]): Uint8Array => {
  const pads = [1, 1, 1, 1]
  return modelOf(
    [
      b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, 'first'),
      b.node('Relu', ['c1'], ['r1']),
      b.node('Conv', ['r1', 'w2', 'b2'], ['c2'], { pads }, 'second'),
      b.node('Add', ['c2', 'r1'], ['s']),
      b.node('Relu', ['s'], ['r2']),
      b.node('MaxPool', ['r2'], ['m'], { kernel_shape: [2, 2], strides: [2, 2] }),
      b.node('Conv', ['m', 'w3'], ['left'], {}, 'third'),
      b.node('Conv', ['m', 'w4'], ['right'], { pads }, 'fourth'),
      b.node('Concat', ['left', 'right'], ['both'], { axis: 1 }),
      b.node('GlobalAveragePool', ['both'], ['p']),
      b.node('Flatten', ['p'], ['f']),
      b.node('Gemm', ['f', 'w5', 'b5'], ['y'], { transB: 1 }, 'last'),
    ],
    [
      b.noisy('w1', [...first], 1),
      b.noisy('b1', [8], 2),
      b.noisy('w2', [8, 8, 3, 3], 3),
      b.noisy('b2', [8], 4),
      b.noisy('w3', [6, 8, 1, 1], 5),
      b.noisy('w4', [5, 8, 3, 3], 6),
      b.noisy('w5', [4, 11], 7),
      b.noisy('b5', [4], 8),
    ],
    ['n', 3, 8, 8],
  )
}

const kernels = ({ layers }: Pick<ModelPlan, 'layers'>): Record<string, string> =>
  Object.fromEntries(layers.map(({ name, kernel, ranges }) => [name, ranges ?? kernel]))

describe('a model on integers', () => {
  const bytes = convolutional()
  const images = batchesOf(24, 8, [3, 8, 8])
  const options: PlanModelOptions = { levels: 15, activations: onIntegers() }

  it('gives the same bytes at every thread count and in every batching, with static and dynamic ranges', async () => {
    for (const [model, dims] of [
      [bytes, [3, 8, 8]],
      [dense('MatMul'), [3, WIDTH]],
    ] as const) {
      const results: Uint8Array[] = []
      for (const [threads, batch] of [
        [1, 8],
        [2, 5],
        [3, 24],
      ] as const) {
        const calibration = batchesOf(24, batch, dims)
        const run = await quantizeModel(model, { ...options, calibration, runner, threads })
        results.push(run.model)
      }
      for (const other of results) expect(Buffer.compare(other, results[0]!)).toBe(0)
    }
  })

  it('is what the plan says, also out of JSON, and the report says which kernel each layer has', async () => {
    const plan = await planModel(bytes, options)
    expect(kernels(plan)).toEqual({
      ...{ first: 'static', second: 'static', third: 'static', fourth: 'static', last: 'static' },
    })
    const again: ModelPlan = JSON.parse(JSON.stringify(plan))
    const run = { calibration: images, runner, quantizer }
    const one = await quantizePlanned(await openModel(bytes), again, run)
    const two = await quantizeModel(bytes, { ...options, ...run })
    expect(Buffer.compare(one.model, two.model)).toBe(0)
    for (const { kernel, ranges, kernelReason } of one.report.layers)
      expect([kernel, ranges, kernelReason]).toEqual(['int8', 'static', 'asked for int8'])
    expect(one.report.speed).toMatchObject({ samples: 1 })
  })

  it('goes with bias correction, with mixed precision and with every rule for ranges', async () => {
    const run = { calibration: images, runner, quantizer }
    for (const more of [
      { biasCorrection: true },
      { levels: undefined, targetBits: 4 },
      { activations: onIntegers({ rule: 'percentile', percentile: 99.9 }) },
      { activations: onIntegers({ rule: 'mse' }) },
      { activations: onIntegers({ rule: 'search' }) },
      { format: 'qdq' },
      { levels: 255 },
    ] as const) {
      const { levels, ...rest } = { ...options, ...more }
      const { report } = await quantizeModel(bytes, { ...run, ...rest, ...(levels && { levels }) })
      expect(report.layers.every(({ kernel }) => kernel === 'int8')).toBe(true)
    }
  })

  it('loses little more than one with float activations', async () => {
    const errorOf = async (more: PlanModelOptions): Promise<number> => {
      const { report } = await quantizeModel(bytes, { ...more, calibration: images, runner, quantizer })
      return report.layers.at(-1)!.relativeError!
    }
    const weights = await errorOf({ levels: 255 })
    const both = await errorOf({ levels: 255, activations: onIntegers() })
    expect(both).toBeGreaterThan(weights)
    expect(both).toBeLessThan(0.02)
  })

  it('is refused where a plan asks a layer for integers that it cannot run on', async () => {
    const model = await openModel(bytes)
    const plan = await planModel(model, { ...options, activations: { bits: 8 } })
    expect(new Set(Object.values(kernels(plan)))).toEqual(new Set(['float']))
    const changed = (change: Partial<ModelPlan['layers'][number]>): ModelPlan => ({
      ...plan,
      layers: plan.layers.map((layer, i) => (i === 1 ? { ...layer, ...change } : layer)),
    })
    const run = { calibration: images, runner, quantizer }
    await expect(
      quantizePlanned(model, changed({ kernel: 'int8', ranges: 'dynamic' }), run),
    ).rejects.toMatchObject({
      code: 'INVALID_DATA',
      place: "plan, layer 'second', ranges",
      expected: 'static',
    })
    await expect(
      quantizePlanned(model, changed({ kernel: 'int8', ranges: 'static', levels: 256 }), run),
    ).rejects.toMatchObject({ code: 'INVALID_DATA', place: "plan, layer 'second', kernel" })
  })
})

describe('odd activations', () => {
  const run = async (bytes: Uint8Array, calibration: Feeds[]) =>
    quantizeModel(bytes, { levels: 15, activations: onIntegers(), calibration, runner, quantizer })

  it.each([
    [
      'a channel a thousand times as large',
      (v: number, i: number) => (Math.floor(i / 64) % 3 === 1 ? 1000 * v : v),
    ],
    ['one constant', () => 0.5],
    ['zeros', () => 0],
    ['no negative value', (v: number) => Math.abs(v)],
    ['no positive value', (v: number) => -Math.abs(v)],
    ['values near the smallest floats', (v: number) => v * 1e-38],
  ])('%s in the input', async (_, change) => {
    const { report } = await run(convolutional(), batchesOf(16, 8, [3, 8, 8], change))
    expect(report.layers.every(({ kernel }) => kernel === 'int8')).toBe(true)
  })

  it('a tensor read by two layers has one range, and so has the input of the model', async () => {
    const plan = await planModel(convolutional(), { levels: 15, activations: onIntegers() })
    const ranged = plan.stages.flatMap(({ ranges }) => ranges)
    expect(new Set(ranged).size).toBe(ranged.length)
    expect(ranged).toContain('x')
    expect(ranged).toContain('r2') // behind MaxPool two layers read it
    expect(ranged).not.toContain('m')
  })

  it('not finite values are refused by the name of their tensor', async () => {
    const calibration = batchesOf(16, 8, [3, 8, 8], (v, i) => (i === 100 ? Number.NaN : v))
    await expect(run(convolutional(), calibration)).rejects.toMatchObject({
      ...{ code: 'INVALID_DATA', place: "tensor 'x'" },
    })
  })

  it('a weight that is used again on what follows from it stays float', async () => {
    const tied = modelOf(
      [
        b.node('MatMul', ['x', 'w'], ['h'], {}, 'first'),
        b.node('Tanh', ['h'], ['t']),
        b.node('MatMul', ['t', 'w'], ['y'], {}, 'again'),
      ],
      [b.noisy('w', [WIDTH, WIDTH], 3)],
      ['n', 3, WIDTH],
    )
    const { report } = await run(tied, batchesOf(16, 4, [3, WIDTH]))
    expect(report.layers).toMatchObject([{ kernel: 'float' }])
    expect(report.layers[0]!.kernelReason).toBe('its weight is used again on what follows from it')
    expect(report.speed).toBeNull()
  })
})

describe('the last check', () => {
  /** Adds to every float output of what has DequantizeLinear nodes: the written model, and none of the streams. */
  const wrong = (by: number): Runner => ({
    name: 'wrong',
    load: async (model) => {
      const session = await runner.load(model)
      const written = Buffer.from(model).includes('DequantizeLinear')
      return {
        ...session,
        run: async (feeds, fetches) => {
          const outputs = await session.run(feeds, fetches)
          if (!written || outputs.y === undefined) return outputs
          const { y } = outputs
          const data = (y.data as Float32Array).map((value, i) => value + (i % 2 === 0 ? by : 0))
          return { ...outputs, y: { ...y, data } }
        },
      }
    },
  })

  it('refuses a written model that is off by more than steps of its range', async () => {
    const options = {
      levels: 15,
      activations: onIntegers(),
      calibration: batchesOf(16, 8, [3, 8, 8]),
      quantizer,
    }
    await expect(quantizeModel(convolutional(), { ...options, runner: wrong(50) })).rejects.toMatchObject({
      ...{ code: 'VERIFY_FAILED', place: "written model, output 'y'" },
      expected: 'what the quantized network computed, to 8 steps of 1/255 of its range',
    })
    await expect(quantizeModel(convolutional(), { ...options, runner: wrong(0) })).resolves.toBeDefined()
  })
})
