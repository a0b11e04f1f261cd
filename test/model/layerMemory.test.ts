/**
 * The memory of layers as the plan counts it: what a run then takes, ranges of neurons that give the same bytes, and layers
 * that cannot fit refused before any work, with a way out that does fit.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { GpfqError } from '#src/errors.js'
import { HINTS, type HintName } from '#src/hints.js'
import { differingTensors, isJudgeable, layerMemory, type MeasuredLayer } from '#src/model/layerMemory.js'
import { mostKernelBytes } from '#src/model/memoryBudget.js'
import { planModel, quantizeModel, quantizePlanned } from '#src/model/quantizeModel.js'
import { resolveSettings } from '#src/model/settings.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { AnyPlanOptions, ModelPlan, PlanModelOptions } from '#src/options.js'
import { createQuantizer } from '#src/quantizer.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const MOST = mostKernelBytes(null, 0)

const layerOf = (inputs: number, neurons: number): MeasuredLayer => ({
  ...{ name: 'fc', groups: 1, planes: 1, inputs, neurons, blockSize: inputs, streamsEqual: false },
})

const memoryOf = (layer: MeasuredLayer, options: AnyPlanOptions, samples = 1, most = MOST) =>
  layerMemory(layer, resolveSettings(options), samples, most)

/** The error of a layer that does not fit. */
function refusal(layer: MeasuredLayer, options: AnyPlanOptions, samples = 1): GpfqError {
  try {
    memoryOf(layer, options, samples)
  } catch (error) {
    if (error instanceof GpfqError) return error
  }
  return expect.fail('expected the layer not to fit')
}

describe('the first dense layer of VGG, 25,088 × 4096', () => {
  const vgg = layerOf(25_088, 4096)
  const square = 4 * vgg.inputs ** 2 // of float32

  it('takes two whole matrices in act-order and one as observed by default, and is refused by its name', () => {
    const { code, place, problem, hint } = refusal(vgg, {})
    expect({ code, place, hint }).toEqual({
      ...{ code: 'OUT_OF_MEMORY', place: "layer 'fc'", hint: HINTS['radius-max'] },
    })
    const [, mebibytes] =
      /25088 inputs need (\d+) MiB .*most of it H\), of 4032 MiB/.exec(problem ?? '') ?? []
    expect(Number(mebibytes)).toBeGreaterThanOrEqual((3 * square) / 2 ** 20)
    expect(Number(mebibytes)).toBeLessThan((3.1 * square) / 2 ** 20)
  })

  it('fits with radius max: two triangles, and four copies of the weights of which one is codes', () => {
    const { bytes, parts } = memoryOf(vgg, { radius: { rule: 'max' } })
    const weights = vgg.inputs * vgg.neurons
    expect(parts).toBe(1)
    expect(bytes).toBeGreaterThan(square + 13 * weights)
    expect(bytes).toBeLessThan(1.01 * (square + 13 * weights))
  })

  const changed: Readonly<Partial<Record<HintName, { options: AnyPlanOptions; samples: number }>>> = {
    'radius-max': { options: { radius: { rule: 'max' } }, samples: 1 },
    'plain-path': { options: { method: 'gpfq', radius: { rule: 'max' } }, samples: 1 },
    'fewer-samples': { options: { radius: { rule: 'max' } }, samples: 4095 },
    'plain-path-fewer-samples': { options: { radius: { rule: 'max' } }, samples: 4095 },
  }
  it.each([
    [{}, 1, 'radius-max'],
    [{ method: 'msq' }, 1, 'radius-max'],
    [{ preset: 'best' }, 1, 'plain-path'],
    [{ method: 'beacon' }, 1, 'plain-path'],
    [{ radius: { rule: 'max' }, passes: 1 }, 1, 'plain-path'],
    [{ radius: { rule: 'max' } }, 4096, 'fewer-samples'],
    [{}, 4096, 'plain-path-fewer-samples'],
  ] as const)('with %j and %i samples is refused with advice that helps', (options, samples, hint) => {
    expect(refusal(vgg, options, samples).hint).toBe(HINTS[hint])
    const { options: other, samples: count } = changed[hint]!
    expect(memoryOf(vgg, other, count).bytes).toBeLessThanOrEqual(MOST)
  })

  it('can only be left out where H is needed for a target', () => {
    expect(refusal(vgg, { targetBits: 4 }).hint).toBe(HINTS['exclude-layer'])
  })
})

describe('a head of 50,257 neurons', () => {
  it('fits at once with 768 inputs, and in ranges with more of them', () => {
    const { bytes, parts } = memoryOf(layerOf(768, 50_257), {})
    const weights = 768 * 50_257
    expect(parts).toBe(1)
    // The weights as given and packed, two projections of them, and the codes of 13 candidates.
    expect(bytes).toBeGreaterThan((4 * 4 + 13) * weights)
    expect(bytes).toBeLessThan(1.05 * (4 * 4 + 13) * weights)
    const wide = memoryOf(layerOf(4096, 50_257), {})
    expect(wide.parts).toBeGreaterThan(1)
    expect(wide.bytes).toBeLessThanOrEqual(MOST)
  })

  it('takes as many ranges as it needs, down to a panel of neurons, and then is refused', () => {
    const head = layerOf(768, 50_257)
    for (const most of [2 ** 29, 2 ** 27, 2 ** 25]) {
      const { bytes, parts } = memoryOf(head, { holdout: 0 }, 1, most)
      expect(bytes).toBeLessThanOrEqual(most)
      expect(parts).toBeGreaterThan(1)
    }
    expect(() => memoryOf(head, { holdout: 0 }, 1, 2 ** 22)).toThrow(
      /fc.*most of it sums\), of 4 MiB that there are; allow more memory/,
    )
  })

  it('needs its weights three times to be judged on samples that are kept out, at whatever limit', () => {
    const head = layerOf(768, 50_257)
    expect(isJudgeable(head)).toBe(true)
    expect(memoryOf(head, {}, 1, 2 ** 29).parts).toBeGreaterThan(1)
    expect(() => memoryOf(head, {}, 1, 2 ** 28)).toThrow(/allow more memory/)
    // Where that is more than there can be, the layer is not judged, and its ranges are as small as they need to be.
    const wide = layerOf(12_288, 50_257)
    expect(isJudgeable(wide)).toBe(false)
    expect(memoryOf(wide, {}).bytes).toBeLessThanOrEqual(MOST)
  })

  it('has no ranges where neurons depend on each other: one scale a layer, spfq, a share of zeros', () => {
    const head = layerOf(4096, 50_257)
    const zeros = { sparsity: { rule: 'target', value: 0.5 } } as const
    for (const options of [{ scalePer: 'layer' }, { method: 'spfq' }, zeros] satisfies AnyPlanOptions[])
      expect(() => memoryOf(head, options)).toThrow(/4096 inputs need/)
    expect(refusal(head, { scalePer: 'layer' }).hint).toBe(HINTS['scale-per-neuron'])
  })
})

const WIDTH = 40
const NEURONS = 200

/** Two layers that read the same tensor, and one behind them. */
const net = () =>
  encodeModel(
    b.model(
      [
        b.node('MatMul', ['x', 'w0'], ['h']),
        b.node('Relu', ['h'], ['r']),
        b.node('MatMul', ['r', 'w1'], ['p']),
        b.node('MatMul', ['r', 'w2'], ['q']),
        b.node('Concat', ['p', 'q'], ['c'], { axis: 1 }),
        b.node('MatMul', ['c', 'w3'], ['y']),
      ],
      [
        b.noisy('w0', [8, WIDTH], 1),
        b.noisy('w1', [WIDTH, NEURONS], 2),
        b.noisy('w2', [WIDTH, 13], 3),
        b.noisy('w3', [NEURONS + 13, 11], 4),
      ],
      [b.value('x', b.DataType.FLOAT, ['n', 8])],
      ['y'],
    ),
  )

/** A layer of many neurons, whose weights take more than its samples. */
const head = () =>
  encodeModel(
    b.model(
      [
        b.node('MatMul', ['x', 'w0'], ['h']),
        b.node('Tanh', ['h'], ['t']),
        b.node('MatMul', ['t', 'w1'], ['y']),
      ],
      [b.noisy('w0', [8, WIDTH], 1), b.noisy('w1', [WIDTH, 9001], 2)],
      [b.value('x', b.DataType.FLOAT, ['n', 8])],
      ['y'],
    ),
  )

const calibration: readonly Feeds[] = [
  { x: { type: 'float32', dims: [96, 8], data: b.noise(96 * 8, 9) } },
  { x: { type: 'float32', dims: [50, 8], data: b.noise(50 * 8, 10) } },
]

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
})

describe('ranges of neurons', () => {
  it.each<[string, PlanModelOptions]>([
    ['the defaults', {}],
    ['given scales', { radius: { rule: 'max' } }],
    ['groups of inputs', { scalePer: { group: 8 } }],
    ['qronos in passes', { preset: 'best' }],
    ['beacon', { method: 'beacon' }],
    ['frame', { method: 'frame' }],
    ['rounding', { method: 'msq', radius: { rule: 'mse' } }],
    ['corrected biases', { biasCorrection: true }],
    ['activations', { activations: { bits: 8 } }],
  ])('give the bytes of the whole layer: %s', async (_, options) => {
    const model = await openModel(net())
    const plan = await planModel(model, options)
    expect(plan.layers.map(({ parts }) => parts)).toEqual([1, 1, 1, 1])
    const inParts: ModelPlan = {
      ...plan,
      layers: plan.layers.map((layer, i) => ({ ...layer, parts: [3, 4, 1, 2][i]! })),
    }
    const run = { calibration, runner, threads: 2 }
    const whole = await quantizePlanned(model, plan, run)
    const parts = await quantizePlanned(model, inParts, run)
    expect(Buffer.compare(parts.model, whole.model)).toBe(0)
    expect(parts.report.notes).toEqual(whole.report.notes)
    expect(parts.report.layers.map(({ deadInputs }) => deadInputs)).toEqual(
      whole.report.layers.map(({ deadInputs }) => deadInputs),
    )
  })

  it('come from a limit of memory, which the kernels keep, and the bytes stay the same', async () => {
    const unlimited = await planModel(head(), {})
    const largest = Math.max(...unlimited.layers.map(({ memoryBytes }) => memoryBytes))
    const memory = Math.floor(unlimited.bytesIn + (0.8 * largest) / 0.75)
    const { layers } = await planModel(head(), { memory })
    expect(Math.max(...layers.map(({ parts }) => parts))).toBeGreaterThan(1)
    const peaks: number[] = []
    const models: Uint8Array[] = []
    for (const options of [{}, { memory }]) {
      const quantizer = await createQuantizer({ threads: 1 })
      const { model } = await quantizeModel(head(), { ...options, calibration, runner, quantizer })
      peaks.push(quantizer.peakMemoryBytes)
      models.push(model)
      await quantizer.close()
    }
    expect(Buffer.compare(models[0]!, models[1]!)).toBe(0)
    expect(peaks[0]!).toBeGreaterThanOrEqual(largest)
    expect(peaks[1]!).toBeLessThan(memory)
    expect(peaks[1]!).toBeLessThan(0.9 * peaks[0]!)
  })

  it('do not help a layer whose matrices do not fit: it is refused before a sample is read', async () => {
    let read = 0
    const samples = function* () {
      read++
      yield* calibration
    }
    const run = quantizeModel(net(), {
      memory: 300_000,
      holdout: 0,
      calibration: samples(),
      runner,
      threads: 1,
    })
    await expect(run).rejects.toMatchObject({
      ...{ code: 'OUT_OF_MEMORY', place: "layer 'y_node'", hint: HINTS['more-memory'] },
    })
    expect(read).toBe(0)
    await expect(planModel(net(), { memory: 0 })).rejects.toThrow(/memory: expected an integer of at least 1/)
  })
})

describe('tensors that differ', () => {
  it('are those behind a layer or a range, and no others', () => {
    const model = b.model(
      [
        b.node('Relu', ['x'], ['r']),
        b.node('MatMul', ['r', 'w'], ['m']),
        b.node('Abs', ['m'], ['a']),
        b.node('Neg', ['r'], ['n']),
        b.node('Exp', ['n'], ['e']),
        b.node('Sum', ['a', 'e'], ['y']),
      ],
      [b.noisy('w', [4, 4], 1)],
      [b.value('x', b.DataType.FLOAT, ['n', 4])],
      ['y'],
    )
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    expect([...differingTensors(graph, layers, [])].sort()).toEqual(['a', 'm', 'y'])
    expect([...differingTensors(graph, layers, ['n'])].sort()).toEqual(['a', 'e', 'm', 'n', 'y'])
  })
})
