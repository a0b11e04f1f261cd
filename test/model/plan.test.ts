/** The plan of a model: plain JSON, carried out exactly as it stands, and refused where it does not fit. */
import type { ModelProto } from 'onnx-buf'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { GpfqError } from '#src/errors.js'
import { planModel } from '#src/model/plan.js'
import { joinPlan } from '#src/model/preparedModel.js'
import { quantizeModel, quantizePlanned } from '#src/model/quantizeModel.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { type Model, openModel } from '#src/onnx/openModel.js'
import type { ModelPlan, PlanLayer, PlanModelOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

/** Conv and BatchNormalization, a convolution in groups, a weight with two uses, and a Gemm of `outputs` neurons. */
function net(outputs = 5): ModelProto {
  const pads = [1, 1, 1, 1]
  return b.model(
    [
      b.node('Conv', ['x', 'w1'], ['c1'], { pads }, 'conv'),
      b.node('BatchNormalization', ['c1', 'gamma', 'beta', 'mean', 'var'], ['n1'], {}, 'bn'),
      b.node('Relu', ['n1'], ['r1'], {}, 'relu'),
      b.node('Conv', ['r1', 'w2'], ['c2'], { pads, group: 2 }, 'groups'),
      b.node('GlobalAveragePool', ['c2'], ['p'], {}, 'pool'),
      b.node('Flatten', ['p'], ['f'], {}, 'flatten'),
      b.node('MatMul', ['f', 'w3'], ['d'], {}, 'tied'),
      b.node('Tanh', ['d'], ['t'], {}, 'tanh'),
      b.node('MatMul', ['t', 'w3'], ['e'], {}, 'again'),
      b.node('Gemm', ['e', 'w4', 'b4'], ['y'], { transB: 1 }, 'fc'),
    ],
    [
      b.noisy('w1', [6, 2, 3, 3], 1),
      b.floats('gamma', [6], [1, 2, 1, 0.5, 1, 1]),
      b.noisy('beta', [6], 2),
      b.noisy('mean', [6], 3),
      b.floats('var', [6], [1, 0.5, 2, 1, 1, 1]),
      b.noisy('w2', [6, 3, 3, 3], 4),
      b.noisy('w3', [6, 6], 5),
      b.noisy('w4', [outputs, 6], 6),
      b.noisy('b4', [outputs], 7),
    ],
    [b.value('x', b.DataType.FLOAT, ['n', 2, 7, 7])],
    ['y'],
  )
}

const calibration: Feeds[] = [9, 6].map((count, i) => ({
  x: { type: 'float32', dims: [count, 2, 7, 7], data: b.noise(count * 98, 30 + i) },
}))

let runner: Runner
let quantizer: Quantizer
let bytes: Uint8Array
let model: Model
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 2 })
  bytes = encodeModel(net())
  model = await openModel(bytes)
})
afterAll(() => quantizer.close())

const OPTIONS: Readonly<Record<string, PlanModelOptions>> = {
  'the defaults': {},
  'corrected biases, chosen levels, excluded layers': {
    biasCorrection: true,
    levels: 7,
    levelsFor: [{ pattern: 'f*', levels: 3 }],
    exclude: ['groups'],
  },
  'another method, groups of inputs, unfolded': {
    method: 'qronos',
    passes: 2,
    damping: 0.02,
    scalePer: { group: 4 },
    radius: { rule: 'mse' },
    foldBatchNorm: false,
    format: 'float',
  },
  'a budget': { targetBits: 3.5 },
  'rows that count alike, a ridge': { sampleWeights: 'norm', damping: 0.1 },
  'random patches, each channel a path': { randomPatches: 0.5, seed: 9, perChannel: true, levels: 3 },
  sparsity: { sparsity: { rule: 'soft', value: 0.02 }, radius: { rule: 'median', factor: 2 }, patches: 64 },
  'no samples': { method: 'msq', radius: { rule: 'max' }, format: 'qdq', levels: 15 },
}

/** As a file of JSON gives it back. */
const thawed = (plan: ModelPlan): ModelPlan => JSON.parse(JSON.stringify(plan))

describe('a plan as JSON', () => {
  it.each(Object.keys(OPTIONS))('is all that a run needs: %s', async (name) => {
    const options = OPTIONS[name]!
    const plan = await planModel(bytes, options)
    expect(thawed(plan)).toEqual(plan)
    const run = { calibration, runner, quantizer }
    const asked = await quantizeModel(bytes, { ...options, ...run })
    const planned = await quantizePlanned(model, thawed(plan), run)
    expect(Buffer.compare(planned.model, asked.model)).toBe(0)
    const without = ({ layers, ...report }: typeof asked.report) => ({
      ...{ ...report, seconds: null, speed: null, peakMemoryBytes: null, processBytes: null },
      layers: layers.map((layer) => ({ ...layer, seconds: 0 })),
    })
    expect(without(planned.report)).toEqual(without(asked.report))
  })

  it('names the stages in the order in which layers are quantized', async () => {
    const { stages } = await planModel(bytes, {})
    const quantized = stages.flatMap(({ quantize }) => quantize)
    expect(quantized).toEqual(['conv', 'groups', 'tied', 'fc'])
    expect(stages.filter(({ replay }) => replay).map(({ quantize }) => quantize)).toEqual([['tied']])
  })

  it('can be changed by hand, and is carried out as it stands', async () => {
    const plan = await planModel(bytes, { format: 'float' })
    const changed: ModelPlan = {
      ...thawed(plan),
      layers: plan.layers.map((layer) => (layer.name === 'fc' ? { ...layer, levels: 3 } : layer)),
    }
    const { model: written, report } = await quantizePlanned(model, changed, {
      ...{ calibration, runner, quantizer },
    })
    expect(report.layers.map(({ name, levels }) => [name, levels])).toEqual([
      ['conv', 15],
      ['groups', 15],
      ['tied', 15],
      ['fc', 3],
    ])
    const graph = indexGraph(decodeModel(written))
    const layer = findLayers(graph).layers.find(({ name }) => name === 'fc')!
    const values = readWeights(graph, layer) // (6, 5)
    for (let k = 0; k < 5; k++) {
      const column = Array.from({ length: 6 }, (_, t) => values[t * 5 + k]!)
      expect(new Set(column).size).toBeLessThanOrEqual(3)
    }
  })
})

describe('a plan that does not fit is INVALID_DATA with its fields', () => {
  const refusal = async (on: Model, plan: ModelPlan): Promise<unknown> => {
    const load = vi.fn(runner.load)
    const given = { name: runner.name, load }
    const error = await quantizePlanned(on, plan, { calibration, runner: given, quantizer }).catch(
      (cause: unknown) => cause,
    )
    expect(load).not.toHaveBeenCalled()
    expect(error).toBeInstanceOf(GpfqError)
    return error
  }

  it('of another version', async () => {
    const plan = await planModel(bytes, {})
    expect(await refusal(model, { ...plan, version: 99 })).toMatchObject({
      code: 'INVALID_DATA',
      place: 'plan, version',
      expected: String(plan.version),
      got: '99',
      message: `plan, version: expected ${plan.version}, got 99; plan the model again`,
    })
    expect(await refusal(model, JSON.parse('{}'))).toMatchObject({ place: 'plan, version', got: 'undefined' })
  })

  it('of a model with another layer', async () => {
    const plan = await planModel(bytes, {})
    expect(await refusal(await openModel(encodeModel(net(8))), plan)).toMatchObject({
      code: 'INVALID_DATA',
      place: "plan, layer 'fc'",
      expected: "Gemm of 'w4', 1 × 6 × 5",
      got: "Gemm of 'w4', 1 × 6 × 8",
    })
  })

  it('of a model without a layer', async () => {
    const plan = await planModel(bytes, {})
    const other = net()
    other.graph!.node.find(({ name }) => name === 'conv')!.name = 'stem'
    expect(await refusal(await openModel(encodeModel(other)), plan)).toMatchObject({
      code: 'INVALID_DATA',
      place: "plan, layer 'conv'",
      expected: "Conv of 'w1', 1 × 18 × 6",
      got: 'a model without it',
    })
  })

  it.each<[string, string, unknown, string]>([
    ['a missing one', 'biasCorrection', undefined, 'false'],
    ['one that does not exist', 'colour', 'red', 'nothing'],
  ])('of settings with %s', async (_, name, value, expected) => {
    const plan = await planModel(bytes, {})
    const changed: ModelPlan = JSON.parse(
      JSON.stringify({ ...plan, settings: { ...plan.settings, [name]: value } }),
    )
    expect(await refusal(model, changed)).toMatchObject({ place: `plan, settings, ${name}`, expected })
  })

  it('of settings that exclude each other: then it is the error of the options', async () => {
    const plan = await planModel(bytes, {})
    const settings = { ...plan.settings, alignment: 2 }
    await expect(joinPlan(model, { ...plan, settings })).rejects.toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', place: 'alignment', got: 'gpfq' },
    })
  })

  it.each<[string, PlanModelOptions]>([
    ['gptq', { method: 'gptq', damping: 0.02 }],
    ['beacon', { method: 'beacon' }],
    ['frame', { method: 'frame' }],
    ['the preset', { preset: 'best' }],
    ['the vertex walk', { method: 'msq', preprocess: true }],
    ['random patches', { randomPatches: 0.5 }],
    ['a target', { targetBits: 4 }],
    ['sparsity', { sparsity: { rule: 'soft', value: 0.1 } }],
    ['groups', { scalePer: { group: 8 } }],
  ])('but one with %s fits, also after a detour over JSON', async (_, options) => {
    const plan: ModelPlan = JSON.parse(JSON.stringify(await planModel(bytes, options)))
    expect((await joinPlan(model, plan)).plan).toEqual(plan)
  })

  it.each<[string, string, Partial<PlanLayer>, string]>([
    ['1 level', 'levels', { levels: 1 }, 'an integer from 2 to 256'],
    ['300 levels', 'levels', { levels: 300 }, 'an integer from 2 to 256'],
    ['7.5 levels', 'levels', { levels: 7.5 }, 'an integer from 2 to 256'],
    ['4 planes', 'planes', { planes: 4 }, 'a divisor of 18 inputs'],
    ['a format that cannot be', 'format', { format: 'nbits' }, 'one of packed, qdq, float'],
  ])('that was changed to %s', async (_, field, change, expected) => {
    const plan = await planModel(bytes, {})
    const layers = plan.layers.map((layer) => (layer.name === 'conv' ? { ...layer, ...change } : layer))
    expect(await refusal(model, { ...plan, layers })).toMatchObject({
      ...{ code: 'INVALID_DATA', expected },
      place: `plan, layer 'conv', ${field}`,
    })
  })
})

describe('a quantizer that is handed in', () => {
  it('is the one that computes, and stays open', async () => {
    const own = await createQuantizer({ threads: 1 })
    const executor = executorOf(own)
    const [observe, solve, close] = (['observe', 'solve', 'close'] as const).map((verb) =>
      vi.spyOn(executor, verb),
    )
    const run = { calibration, runner, holdout: 0 }
    const { model: written, report } = await quantizeModel(bytes, { ...run, quantizer: own, threads: 2 })
    expect(report.threads).toBe(1)
    expect(observe).toHaveBeenCalledTimes(4)
    expect(solve).toHaveBeenCalledTimes(4)
    expect(close).not.toHaveBeenCalled()
    expect(Buffer.compare((await quantizeModel(bytes, { ...run, threads: 2 })).model, written)).toBe(0)
    expect(observe).toHaveBeenCalledTimes(4)

    const layer = { weights: b.noise(12, 1), inputs: 4, neurons: 3, samples: b.noise(40, 2) }
    expect((await own.quantizeLayer(layer)).codes).toHaveLength(12)
    await own.close()
    await expect(quantizeModel(bytes, { ...run, quantizer: own })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('stays open after a failure', async () => {
    const own = await createQuantizer({ threads: 1 })
    const spoiled: Feeds = {
      x: { type: 'float32', dims: [1, 2, 7, 7], data: new Float32Array(98).fill(Number.NaN) },
    }
    const failing = quantizeModel(bytes, { calibration: [spoiled], runner, quantizer: own })
    await expect(failing).rejects.toMatchObject({ code: 'INVALID_DATA' })
    const { report } = await quantizeModel(bytes, { calibration, runner, quantizer: own })
    expect(report.layers).toHaveLength(4)
    await own.close()
  })

  it('must be one of createQuantizer', async () => {
    const other = { ...quantizer }
    await expect(quantizeModel(bytes, { calibration, runner, quantizer: other })).rejects.toThrow(
      'quantizer: expected what createQuantizer made, got another value',
    )
  })
})
