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

type Kernels = Pick<ModelPlan['layers'][number], 'name' | 'kernel' | 'ranges'>

const kernels = ({ layers }: { readonly layers: readonly Kernels[] }): Record<string, string> =>
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

describe('whole networks', () => {
  const run = (bytes: Uint8Array, calibration: Feeds[]) =>
    quantizeModel(bytes, { levels: 15, activations: onIntegers(), calibration, runner, quantizer })
  const kernelsOf = async (bytes: Uint8Array, calibration: Feeds[]) =>
    kernels((await run(bytes, calibration)).report)

  it('a detector: two scales, joined by Resize and Concat, with a head for each', async () => {
    const pads = [1, 1, 1, 1]
    const detector = modelOf(
      [
        b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, 'stem'),
        b.node('Relu', ['c1'], ['fine']),
        b.node('Conv', ['fine', 'w2'], ['c2'], { pads, strides: [2, 2] }, 'down'),
        b.node('LeakyRelu', ['c2'], ['coarse'], { alpha: { float: 0.1 } }),
        b.node('Resize', ['coarse', '', 'twice'], ['up'], { mode: 'nearest' }),
        b.node('Concat', ['up', 'fine'], ['both'], { axis: 1 }),
        b.node('Conv', ['both', 'w3'], ['c3'], {}, 'mix'),
        b.node('Relu', ['c3'], ['mixed']),
        b.node('Conv', ['mixed', 'w4', 'b4'], ['y'], {}, 'head'),
        b.node('Conv', ['coarse', 'w5'], ['z'], {}, 'coarse head'),
      ],
      [
        b.noisy('w1', [8, 3, 3, 3], 1),
        b.noisy('b1', [8], 2),
        b.noisy('w2', [12, 8, 3, 3], 3),
        b.floats('twice', [4], [1, 1, 2, 2]),
        b.noisy('w3', [10, 20, 1, 1], 4),
        b.noisy('w4', [5, 10, 1, 1], 5),
        b.noisy('b4', [5], 6),
        b.noisy('w5', [5, 12, 1, 1], 7),
      ],
      ['n', 3, 8, 8],
      ['y', 'z'],
    )
    const found = await kernelsOf(detector, batchesOf(16, 8, [3, 8, 8]))
    expect(new Set(Object.values(found))).toEqual(new Set(['static']))
  })

  it('an encoder layer as BERT has it: the residual sum reads what the projections read rounded', async () => {
    const [width, inner] = [16, 32]
    const encoder = modelOf(
      [
        ...['q', 'k', 'v'].map((name) => b.node('MatMul', ['x', `w${name}`], [name], {}, name)),
        b.node('Transpose', ['k'], ['kt'], { perm: [0, 2, 1] }),
        b.node('MatMul', ['q', 'kt'], ['scores']),
        b.node('Softmax', ['scores'], ['p'], { axis: -1 }),
        b.node('MatMul', ['p', 'v'], ['mixed']),
        b.node('MatMul', ['mixed', 'wo'], ['o'], {}, 'o'),
        b.node('Add', ['o', 'x'], ['s']),
        b.node('MatMul', ['s', 'wi'], ['i'], {}, 'inner'),
        b.node('Relu', ['i'], ['r']),
        b.node('MatMul', ['r', 'wp'], ['f'], {}, 'outer'),
        b.node('Add', ['f', 's'], ['y']),
      ],
      [
        ...['wq', 'wk', 'wv', 'wo'].map((name, i) => b.noisy(name, [width, width], i)),
        b.noisy('wi', [width, inner], 5),
        b.noisy('wp', [inner, width], 6),
      ],
      ['n', 6, width],
    )
    const found = await kernelsOf(encoder, batchesOf(20, 4, [6, width]))
    expect(found).toEqual({
      ...{ q: 'dynamic', k: 'dynamic', v: 'dynamic' },
      ...{ o: 'dynamic', inner: 'dynamic', outer: 'dynamic' },
    })
  })

  it('of an old opset stay float where integers need a newer one, and their weights are quantized all the same', async () => {
    const nodes = [b.node('Conv', ['x', 'w1'], ['c'], {}, 'first'), b.node('GlobalAveragePool', ['c'], ['y'])]
    const proto = b.model(
      nodes,
      [b.noisy('w1', [8, 3, 3, 3], 1)],
      [b.value('x', b.DataType.FLOAT, ['n', 3, 8, 8])],
      ['y'],
      { opset: 7 },
    )
    const { report } = await run(encodeModel(proto), batchesOf(8, 8, [3, 8, 8]))
    expect(report.layers[0]).toMatchObject({ kernel: 'float', ranges: null })
    expect(report.layers[0]!.kernelReason).toContain('opset 7 is too old to raise')
    expect(report.notes.map(({ code }) => code)).toContain('NO_LAYER_ON_INTEGERS')
    expect(report.speed).toBeNull()
  })
})

/** Cut to 0..1. */
const clamped = (tensor: Tensor): Tensor => ({
  ...tensor,
  data: (tensor.data as Float32Array).map((value) => Math.min(1, value)),
})

/** Without the class of ONNX Runtime. */
function plain({ type, dims, data }: b.ort.Tensor): Tensor {
  if (data instanceof BigInt64Array && type === 'int64') return { type, dims, data }
  if (data instanceof Float32Array && type === 'float32') return { type, dims, data }
  throw new Error(`a tensor of ${type}`)
}

describe.skipIf(!b.hasAssets)('real networks of ../shared/assets', () => {
  it.each([
    ['cifar10-resnet20', 'all'],
    ['cifar10-gpfq-cnn', 'all'],
    ['mnist-mlp-500-300-bn', 'all'],
    // Depthwise convolutions stay float between integer ones.
    ['imagenet-mobilenetv1-0.25-224', 'by shape'],
    ['tinystories-llama-260k-t256', 'all'],
  ] as const)('%s, %s', async (name, which) => {
    const feeds = Object.fromEntries(Object.entries(b.realFeeds(name)).map(([key, own]) => [key, plain(own)]))
    const activations = which === 'all' ? onIntegers() : ({ bits: 8 } as const)
    const run = { calibration: [feeds], runner, quantizer }
    const { report } = await quantizeModel(b.realModel(name), {
      levels: 15,
      patches: 4096,
      activations,
      ...run,
    })
    const on = (kernel: string) => report.layers.filter((layer) => layer.kernel === kernel)
    expect(on('int8').length).toBeGreaterThan(0)
    if (which === 'all') expect(on('float')).toEqual([])
    else expect(on('int8').filter(({ groups }) => groups > 1)).toEqual([])
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

  it('the input of the model can be bytes: the same network, fed with codes', async () => {
    const images = batchesOf(
      16,
      8,
      [3, 8, 8],
      (v, i) => Math.round(255 * Math.abs(v) * (i === 0 ? 99 : 1)) / 255,
    )
    const pixels = images.map(({ x }) => ({ x: clamped(x!) }))
    const options = { levels: 15, calibration: pixels, runner, quantizer } as const
    const floats = await quantizeModel(convolutional(), { ...options, activations: onIntegers() })
    const offered = floats.report.notes.find(({ code }) => code === 'BYTES_POSSIBLE')
    expect(offered?.place).toBe("input 'x'")
    const activations = { ...onIntegers(), byteInputs: true }
    const bytes = await quantizeModel(convolutional(), { ...options, activations })
    const [one, other] = [await runner.load(floats.model), await runner.load(bytes.model)]
    expect(other.inputs[0]).toMatchObject({ name: 'x', type: 'uint8' })
    const [{ x }] = pixels as [{ x: Tensor }]
    // Samples divided by 255 that span 0 to 1: the codes are the bytes of the image.
    const image = Uint8Array.from(x.data as Float32Array, (value) => Math.round(255 * value))
    const expected = (await one.run({ x })).y!
    const found = (await other.run({ x: { ...x, type: 'uint8', data: image } })).y!
    expect(found).toEqual(expected)
    expect(bytes.report.notes.find(({ code }) => code === 'BYTES_TAKEN')?.text).toContain('(byte − 0)')
    await Promise.all([one.close(), other.close()])
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
