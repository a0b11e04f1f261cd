/** Whole networks on integers, real ones where ../shared is there, and activations whose ranges are odd. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { createQuantizer, type Quantizer } from '#src/quantizer.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { batchesOf, convolutional, kernels, modelOf, onIntegers, WIDTH } from './integerNets.js'

let runner: Runner
let quantizer: Quantizer
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

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
