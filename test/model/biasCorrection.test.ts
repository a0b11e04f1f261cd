/**
 * Bias correction against its definition: over the sampled rows, the mean outputs of a corrected layer are those of the float
 * network. Both networks run in ONNX Runtime, means are float64. The correction itself comes from the means of the layer's
 * inputs in the observations, so every way of observing a layer is here: correlations, patches, groups, planes, transposed
 * operands, and a weight with two uses.
 */
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

let runner: Runner
let quantizer: Quantizer
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

const HIDDEN = 8
const NEURONS = 6
const SIZE = 9

/** Floats per sample of the input of a model, and its dims behind the samples. */
const IMAGE = [3, SIZE, SIZE]
const VECTOR = [5]

interface Kind {
  readonly input: readonly number[]
  /** From the hidden tensor 'h' to 'y'. */
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
  /** Axis of the neurons in y, from its end. */
  readonly axis: number
  readonly correlations?: boolean
  readonly options?: PlanModelOptions
}

const convolution = (
  attributes: Parameters<typeof b.node>[3],
  perGroup: number,
  more: Partial<Kind> = {},
  bias = true,
): Kind => ({
  input: IMAGE,
  nodes: [b.node('Conv', ['h', 'w', ...(bias ? ['c'] : [])], ['y'], attributes, 'layer')],
  constants: [b.noisy('w', [NEURONS, perGroup, 3, 3], 2), ...(bias ? [b.noisy('c', [NEURONS], 3)] : [])],
  axis: -3,
  ...more,
})

const dense = (nodes: NodeProto[], constants: TensorProto[], axis = -1): Kind => ({
  input: VECTOR,
  ...{ nodes, constants, axis },
})

const pads = [1, 1, 1, 1]
const KINDS: Readonly<Record<string, Kind>> = {
  'Conv, stride 1, by correlations': convolution({ pads }, HIDDEN, { correlations: true }),
  'Conv, stride 1, unevenly padded, without bias, by correlations': convolution(
    { pads: [2, 0, 1, 1] },
    HIDDEN,
    { correlations: true },
    false,
  ),
  'Conv, stride 2, by patches': convolution({ strides: [2, 2], pads }, HIDDEN, { correlations: false }),
  'Conv in two groups, stride 1': convolution({ group: 2, pads }, HIDDEN / 2),
  'Conv in two groups, stride 2': convolution({ group: 2, strides: [2, 2], pads }, HIDDEN / 2, {
    correlations: false,
  }),
  'Conv, each channel a path, stride 1': convolution({ pads }, HIDDEN, { options: { perChannel: true } }),
  'Conv in two groups, each channel a path, stride 2': convolution(
    { group: 2, strides: [2, 2], pads },
    HIDDEN / 2,
    { options: { perChannel: true } },
  ),
  'Gemm with alpha, beta and a bias': dense(
    [
      b.node(
        'Gemm',
        ['h', 'w', 'c'],
        ['y'],
        { alpha: { float: 0.25 }, beta: { float: 3 }, transB: 1 },
        'layer',
      ),
    ],
    [b.noisy('w', [NEURONS, HIDDEN], 2), b.noisy('c', [NEURONS], 3)],
  ),
  'Gemm with transA and alpha, without bias': dense(
    [
      b.node('Transpose', ['h'], ['ht'], { perm: [1, 0] }),
      b.node('Gemm', ['ht', 'w'], ['y'], { transA: 1, alpha: { float: -2 } }, 'layer'),
    ],
    [b.noisy('w', [HIDDEN, NEURONS], 2)],
  ),
  MatMul: dense([b.node('MatMul', ['h', 'w'], ['y'], {}, 'layer')], [b.noisy('w', [HIDDEN, NEURONS], 2)]),
  'MatMul with an Add behind': dense(
    [b.node('MatMul', ['h', 'w'], ['m'], {}, 'layer'), b.node('Add', ['m', 'c'], ['y'])],
    [b.noisy('w', [HIDDEN, NEURONS], 2), b.noisy('c', [NEURONS], 3)],
  ),
  'MatMul with a constant left operand': dense(
    [b.node('Transpose', ['h'], ['ht'], { perm: [1, 0] }), b.node('MatMul', ['w', 'ht'], ['y'], {}, 'layer')],
    [b.noisy('w', [NEURONS, HIDDEN], 2)],
    -2,
  ),
  'a weight with two uses': dense(
    [
      b.node('MatMul', ['h', 'w'], ['y1'], {}, 'layer'),
      b.node('Mul', ['h', 'c'], ['h2']),
      b.node('MatMul', ['h2', 'w'], ['y2'], {}, 'other'),
      b.node('Concat', ['y1', 'y2'], ['y'], { axis: 0 }),
    ],
    [b.noisy('w', [HIDDEN, NEURONS], 2), b.noisy('c', [HIDDEN], 3)],
  ),
  'a convolution with two uses': convolution({ pads }, HIDDEN, {
    nodes: [
      b.node('Conv', ['h', 'w'], ['y1'], { pads }, 'layer'),
      b.node('Mul', ['h', 'c'], ['h2']),
      b.node('Conv', ['h2', 'w'], ['y2'], { pads }, 'other'),
      b.node('Concat', ['y1', 'y2'], ['y'], { axis: 0 }),
    ],
    constants: [b.noisy('w', [NEURONS, HIDDEN, 3, 3], 2), b.noisy('c', [HIDDEN, 1, 1], 3)],
  }),
}

/** A first layer, so that the two networks differ at the second one, which is `kind`. */
function modelOf({ input, nodes, constants }: Kind): ModelProto {
  const first = input === IMAGE ? b.node('Conv', ['x', 'w0'], ['a']) : b.node('MatMul', ['x', 'w0'], ['a'])
  const weight = b.noisy('w0', input === IMAGE ? [HIDDEN, 3, 1, 1] : [5, HIDDEN], 1)
  return b.model(
    [first, b.node('Relu', ['a'], ['h']), ...nodes],
    [weight, ...constants],
    [b.value('x', b.DataType.FLOAT, ['n', ...input])],
    ['y'],
  )
}

const feedsOf = (input: readonly number[], samples: readonly number[]): Feeds[] =>
  samples.map((count, i) => {
    const dims = [count, ...input]
    const data = b.noise(
      dims.reduce((product, dim) => product * dim, 1),
      40 + i,
    )
    return { x: { type: 'float32', dims, data } }
  })

interface Output {
  readonly dims: readonly number[]
  readonly data: ArrayLike<number>
}

async function outputs(model: Uint8Array, feeds: readonly Feeds[]): Promise<Output[]> {
  const found: Output[] = []
  for (const { x } of feeds) {
    const { y } = await b.run(model, { x: b.tensor([...x!.dims], x!.data as Float32Array) })
    found.push({ dims: y!.dims, data: y!.data as Float32Array })
  }
  return found
}

/** Mean of each neuron over the rows that `counts` picks. */
function means(
  all: readonly Output[],
  axis: number,
  counts: (batch: number, image: number, position: number) => boolean = () => true,
): number[] {
  const sums = new Array<number>(NEURONS).fill(0)
  let rows = 0
  for (const [batch, { dims, data }] of all.entries()) {
    const inner = dims.slice(dims.length + axis + 1).reduce((product, dim) => product * dim, 1)
    for (let i = 0; i < data.length; i++) {
      if (!counts(batch, Math.floor(i / (inner * NEURONS)), i % inner)) continue
      const neuron = Math.floor(i / inner) % NEURONS
      sums[neuron]! += data[i]!
      rows += neuron === 0 ? 1 : 0
    }
  }
  return sums.map((sum) => sum / rows)
}

const furthest = (a: readonly number[], from: readonly number[]): number =>
  Math.max(...a.map((value, i) => Math.abs(value - from[i]!)))

const quantize = async (model: Uint8Array, calibration: Feeds[], options: PlanModelOptions) =>
  (
    await quantizeModel(model, {
      calibration,
      runner,
      quantizer,
      levels: 4,
      format: 'float',
      holdout: 0,
      ...options,
    })
  ).model

describe('the mean outputs of a corrected layer are those of the float network', () => {
  it.each(Object.keys(KINDS).flatMap((name) => [[name, 'none'] as const, [name, 'norm'] as const]))(
    '%s, sample weights %s',
    async (name, sampleWeights) => {
      const kind = KINDS[name]!
      const bytes = encodeModel(modelOf(kind))
      const calibration = feedsOf(kind.input, [5, 9, 2])
      const observe = vi.spyOn(executorOf(quantizer), 'observe')
      const options = { patches: 0, sampleWeights, ...kind.options }
      const corrected = await quantize(bytes, calibration, { ...options, biasCorrection: true })
      const shapes = observe.mock.calls.map(([shape]) => shape)
      observe.mockRestore()
      expect(shapes).toHaveLength(2)
      const weighted = sampleWeights === 'norm'
      expect(shapes[1]).toMatchObject({ means: true, streamsEqual: false, weighted })
      if (kind.correlations !== undefined)
        expect(shapes[1]!.correlation !== undefined).toBe(kind.correlations && !weighted)

      const plain = await quantize(bytes, calibration, options)
      const [float, withIt, without] = await Promise.all(
        [bytes, corrected, plain].map(async (model) => means(await outputs(model, calibration), kind.axis)),
      )
      expect(furthest(without!, float!)).toBeGreaterThan(3e-3)
      expect(furthest(withIt!, float!)).toBeLessThan(3e-6)
    },
  )
})

describe('rows that are sampled', () => {
  it('are those whose mean is corrected, at every position that the rule of patches names', async () => {
    const kind = convolution({ pads }, HIDDEN)
    const bytes = encodeModel(modelOf(kind))
    const counts = [3, 2]
    const calibration = feedsOf(kind.input, counts)
    const images = 5
    const perImage = 7
    const corrected = await quantize(bytes, calibration, {
      patches: images * perImage + 2,
      biasCorrection: true,
      exclude: ['a_node'],
    })
    // Even spread: every stride-th position, beginning one later in every image.
    const stride = Math.floor(SIZE ** 2 / perImage)
    const sampled = (batch: number, image: number, position: number): boolean => {
      const phase = ((batch === 0 ? 0 : counts[0]!) + image) % stride
      return position % stride === phase && (position - phase) / stride < perImage
    }
    const [float, found] = await Promise.all([bytes, corrected].map((model) => outputs(model, calibration)))
    expect(furthest(means(found!, -3, sampled), means(float!, -3, sampled))).toBeLessThan(3e-6)
    expect(furthest(means(found!, -3), means(float!, -3))).toBeGreaterThan(1e-4)
  })
})
