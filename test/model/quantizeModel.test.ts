/**
 * The main job end to end on small models: ONNX in, ONNX out, judged by ONNX Runtime and by the float64 twin. The
 * models have a folded BatchNormalization, a depthwise convolution, a residual branch and dense layers.
 */
import type { ModelProto } from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { GpfqError } from '#src/errors.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions, ProgressEvent, RunOptions } from '#src/options.js'
import { gpfq, msq } from '#src/reference/gpfq.js'
import { patches } from '#src/reference/patches.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const SIZE = 8

/** Conv-BN-Relu, depthwise Conv + residual, pooling, Gemm. */
function smallNet(): ModelProto {
  const positive = (count: number, seed: number) => b.noise(count, seed).map((v) => 1 + v / 2)
  return b.model(
    [
      b.node('Conv', ['x', 'w1'], ['c1'], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }, 'conv1'),
      b.node('BatchNormalization', ['c1', 'gamma', 'beta', 'mean', 'var'], ['n1'], {}, 'bn1'),
      b.node('Relu', ['n1'], ['r1'], {}, 'relu1'),
      b.node(
        'Conv',
        ['r1', 'w2', 'b2'],
        ['c2'],
        { pads: [1, 1, 1, 1], group: 6, kernel_shape: [3, 3] },
        'depthwise',
      ),
      b.node('Add', ['c2', 'r1'], ['s'], {}, 'residual'),
      b.node('Relu', ['s'], ['r2'], {}, 'relu2'),
      b.node('GlobalAveragePool', ['r2'], ['p'], {}, 'pool'),
      b.node('Flatten', ['p'], ['f'], {}, 'flatten'),
      b.node('Gemm', ['f', 'w3', 'b3'], ['y'], { transB: 1 }, 'fc'),
    ],
    [
      b.floats('w1', [6, 2, 3, 3], b.noise(108, 1)),
      b.floats('gamma', [6], positive(6, 2)),
      b.floats('beta', [6], b.noise(6, 3)),
      b.floats('mean', [6], b.noise(6, 4)),
      b.floats('var', [6], positive(6, 5)),
      b.floats('w2', [6, 1, 3, 3], b.noise(54, 6)),
      b.floats('b2', [6], b.noise(6, 7)),
      b.floats('w3', [5, 6], b.noise(30, 8)),
      b.floats('b3', [5], b.noise(5, 9)),
    ],
    [b.value('x', b.DataType.FLOAT, ['n', 2, SIZE, SIZE])],
    [b.value('y', b.DataType.FLOAT, ['n', 5])],
  )
}

const image = (samples: number, seed: number): Tensor => ({
  type: 'float32',
  dims: [samples, 2, SIZE, SIZE],
  data: b.noise(samples * 2 * SIZE * SIZE, seed),
})
const calibration: Feeds[] = [{ x: image(8, 21) }, { x: image(8, 22) }, { x: image(5, 23) }]

let runner: Runner
let bytes: Uint8Array
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  bytes = encodeModel(smallNet())
})

type Options = PlanModelOptions & Partial<RunOptions>

const quantize = (options: Options = {}) =>
  quantizeModel(bytes, { calibration, runner, threads: 2, holdout: 0, ...options })

/** Values of a layer's weight as they stand in a model. */
function weightsIn(model: Uint8Array, name: string): Float32Array {
  const graph = indexGraph(decodeModel(model))
  const layer = findLayers(graph).layers.find((candidate) => candidate.name === name)
  if (layer === undefined) throw new Error(`no layer ${name}`)
  return readWeights(graph, layer)
}

async function outputs(model: Uint8Array): Promise<Float32Array> {
  const x = calibration[0]!.x!
  const { y } = await b.run(model, { x: b.tensor([...x.dims], x.data as Float32Array) })
  return y!.data as Float32Array
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof GpfqError ? error.code : `${error}`),
  )
}

describe('quantizeModel', () => {
  it('chooses in the first layer what the float64 twin chooses on the same patches', async () => {
    const { model, report } = await quantize({
      format: 'float',
      radius: { rule: 'max' },
      levels: 7,
      patches: 0,
    })
    const folded = await quantize({ format: 'float', levels: 255, exclude: ['depthwise', 'fc'] })
    expect(report.foldedBatchNorms).toHaveLength(1)
    const graph = indexGraph(decodeModel(bytes))
    const raw = readWeights(graph, findLayers(graph).layers[0]!) // (18, 6), before folding
    expect(folded.report.layers.map(({ name }) => name)).toEqual(['conv1'])

    // Fold by hand: each neuron (column) times gamma / sqrt(var + eps).
    const value = (name: string) =>
      new Float32Array(
        smallNet()
          .graph!.initializer.find((t) => t.name === name)!
          .rawData!.slice().buffer,
      )
    const gamma = value('gamma')
    const variance = value('var')
    const weights = raw.map((w, i) => (w * gamma[i % 6]!) / Math.sqrt(variance[i % 6]! + 1e-5))
    const all = calibration.flatMap(({ x }) => [...(x!.data as Float32Array)])
    const { rows, inputs, groups } = patches(all, {
      batch: 21,
      channels: 2,
      height: SIZE,
      width: SIZE,
      kernel: [3, 3],
      strides: [1, 1],
      dilations: [1, 1],
      pads: [1, 1, 1, 1],
      groups: 1,
    })
    const radii = Array.from({ length: 6 }, (_, k) =>
      Math.max(...Array.from({ length: 18 }, (_, t) => Math.abs(weights[t * 6 + k]!))),
    )
    const scales = radii.map((alpha) => (2 * alpha) / 6)
    const layer = {
      weights,
      samples: groups[0]!,
      quantizedSamples: groups[0]!,
      rows,
      inputs,
      neurons: 6,
      levels: 7,
      scales,
      blockSize: inputs,
      zero: 3,
    }
    const twin = gpfq(layer)
    const found = weightsIn(model, 'conv1')
    const codes = Uint8Array.from(found, (v, i) => Math.round(v / scales[i % 6]! + 3))
    expect(Math.min(...twin.margins)).toBeGreaterThan(1e-5) // no near tie in this layer
    expect(codes).toEqual(twin.codes)
    expect(report.layers[0]!.samples).toBe(rows)
  })

  it('writes in every format a model that computes what the float form of the same codes computes', async () => {
    const reference = await outputs((await quantize({ format: 'float' })).model)
    for (const format of ['packed', 'qdq', 'nbits', 'auto'] as const) {
      const { model, report } = await quantize({ format })
      expect(b.relativeDifference(await outputs(model), reference), format).toBeLessThan(1e-5)
      expect(report.bytesOut).toBe(model.length)
      for (const layer of report.layers) expect(layer.formatReason).not.toBe('')
    }
  })

  it('is closer to the float network than rounding, and the closer the more levels', async () => {
    const float = await outputs(bytes)
    const distance = async (options: Options): Promise<number> =>
      b.relativeDifference(await outputs((await quantize(options)).model), float)
    const rounded = await distance({ method: 'msq', radius: { rule: 'max' }, levels: 7 })
    expect(await distance({ levels: 7 })).toBeLessThan(rounded)
    expect(await distance({ levels: 255 })).toBeLessThan(0.02)
  })

  it('reports per layer what the two networks really differ by', async () => {
    const { model, report } = await quantize({ levels: 15, foldBatchNorm: false, format: 'float' })
    const all = encodeModel(withOutput(decodeModel(bytes), 'c1'))
    const quantized = encodeModel(withOutput(decodeModel(model), 'c1'))
    let error2 = 0
    let signal2 = 0
    for (const { x } of calibration) {
      const feed = { x: b.tensor([...x!.dims], x!.data as Float32Array) }
      const y = (await b.run(all, feed)).c1!.data as Float32Array
      const z = (await b.run(quantized, feed)).c1!.data as Float32Array
      y.forEach((v, i) => {
        signal2 += v * v
        error2 += (v - z[i]!) ** 2
      })
    }
    const layer = report.layers.find(({ name }) => name === 'conv1')!
    expect(layer.relativeError).toBeCloseTo(Math.sqrt(error2 / signal2), 6)
    expect(layer.sqnrDb).toBeCloseTo(-20 * Math.log10(layer.relativeError!), 9)
  })

  it('gives the same bytes at every thread count and for every way of cutting the samples into batches', async () => {
    const { model } = await quantize({ threads: 1 })
    expect((await quantize({ threads: 3 })).model).toEqual(model)
    const single: Feeds[] = calibration.flatMap(({ x }) =>
      Array.from({ length: x!.dims[0]! }, (_, i) => ({
        x: {
          type: 'float32',
          dims: [1, 2, SIZE, SIZE],
          data: (x!.data as Float32Array).slice(i * 128, i * 128 + 128),
        } satisfies Tensor,
      })),
    )
    expect((await quantize({ calibration: single })).model).toEqual(model)
  })

  it('corrects biases so that mean outputs agree with the float network', async () => {
    const means = async (model: Uint8Array): Promise<number[]> => {
      const sums = new Array<number>(5).fill(0)
      for (const { x } of calibration) {
        const { y } = await b.run(model, { x: b.tensor([...x!.dims], x!.data as Float32Array) })
        ;(y!.data as Float32Array).forEach((v, i) => {
          sums[i % 5]! += v / 21
        })
      }
      return sums
    }
    const float = await means(bytes)
    const plain = await means((await quantize({ levels: 3 })).model)
    const corrected = await means((await quantize({ levels: 3, biasCorrection: true })).model)
    const worst = (values: number[]) => Math.max(...values.map((v, i) => Math.abs(v - float[i]!)))
    expect(worst(corrected)).toBeLessThan(1e-5)
    expect(worst(plain)).toBeGreaterThan(1e-3)
  })

  it("rounds without calibration data, to the twin's codes", async () => {
    const { model, report } = await quantizeModel(bytes, {
      runner,
      threads: 1,
      method: 'msq',
      radius: { rule: 'max' },
      levels: 15,
      format: 'float',
      foldBatchNorm: false,
    })
    const original = weightsIn(bytes, 'fc') // (6, 5)
    const scales = Array.from(
      { length: 5 },
      (_, k) => Math.max(...Array.from({ length: 6 }, (_, t) => Math.abs(original[t * 5 + k]!))) / 7,
    )
    const codes = msq({ weights: original, inputs: 6, neurons: 5, levels: 15, scales, blockSize: 6, zero: 7 })
    const found = weightsIn(model, 'fc')
    expect(Uint8Array.from(found, (v, i) => Math.round(v / scales[i % 5]! + 7))).toEqual(codes)
    for (const { relativeError, samples } of report.layers) {
      expect([relativeError, samples]).toEqual([null, 0])
    }
  })

  it('quantizes chosen layers with chosen levels and leaves the rest untouched', async () => {
    const { model, report } = await quantize({
      include: ['conv1', 'fc'],
      levelsFor: [{ pattern: 'f*', levels: 3 }],
      format: 'float',
      foldBatchNorm: false,
    })
    expect(report.layers.map(({ name, levels }) => [name, levels])).toEqual([
      ['conv1', 15],
      ['fc', 3],
    ])
    expect(report.skipped.map(({ name }) => name)).toContain('depthwise')
    expect(weightsIn(model, 'depthwise')).toEqual(weightsIn(bytes, 'depthwise'))
    for (let k = 0; k < 5; k++) {
      const column = Array.from({ length: 6 }, (_, t) => weightsIn(model, 'fc')[t * 5 + k]!)
      expect(new Set(column.map((v) => v.toPrecision(6))).size).toBeLessThanOrEqual(3)
    }
  })

  it('quantizes a weight that two nodes share once, on the samples of both', async () => {
    const weights = b.noise(7 * 4, 31)
    const shared = b.model(
      [
        b.node('MatMul', ['x', 'w'], ['y1'], {}, 'left'),
        b.node('Mul', ['x', 'two'], ['x2'], {}, 'double'),
        b.node('MatMul', ['x2', 'w'], ['y2'], {}, 'right'),
        b.node('Add', ['y1', 'y2'], ['y'], {}, 'sum'),
      ],
      [b.floats('w', [7, 4], weights), b.floats('two', [7], b.noise(7, 32))],
      [b.value('x', b.DataType.FLOAT, ['n', 7])],
      ['y'],
    )
    const x = b.noise(30 * 7, 33)
    const factors = b.noise(7, 32)
    const samples = Float32Array.from([...x, ...x.map((v, i) => Math.fround(v * factors[i % 7]!))])
    const { model, report } = await quantizeModel(encodeModel(shared), {
      calibration: [{ x: { type: 'float32', dims: [30, 7], data: x } }],
      runner,
      threads: 2,
      holdout: 0,
      levels: 7,
      radius: { rule: 'value', value: 1 },
      format: 'float',
    })
    const twin = gpfq({
      weights,
      samples,
      quantizedSamples: samples,
      rows: 60,
      inputs: 7,
      neurons: 4,
      levels: 7,
      scales: new Array<number>(4).fill(1 / 3),
      blockSize: 7,
      zero: 3,
    })
    expect(report.layers).toHaveLength(1)
    expect(report.layers[0]!.samples).toBe(60)
    expect(Uint8Array.from(weightsIn(model, 'left'), (v) => Math.round(v * 3 + 3))).toEqual(twin.codes)
  })

  it('does not change the bytes it was given', async () => {
    const before = bytes.slice()
    await quantize({ levels: 3, biasCorrection: true })
    expect(bytes).toEqual(before)
  })

  it('tells what happens: plan first, each layer started and done once, progress that only grows', async () => {
    const events: ProgressEvent[] = []
    await quantize({ onProgress: (event) => events.push(event) })
    expect(events[0]).toEqual({ type: 'plan', layers: 3, samples: 21 })
    const names = (type: 'layer-start') => events.filter((e) => e.type === type).map((e) => e.name)
    expect(names('layer-start')).toEqual(['conv1', 'depthwise', 'fc'])
    const done = events.filter((e) => e.type === 'layer-done')
    expect(done.map(({ layer }) => layer.name)).toEqual(['conv1', 'depthwise', 'fc'])
    for (const { layer } of done) expect(layer.relativeError).toBeGreaterThan(0)
    const fractions = events.filter((e) => e.type === 'progress').map(({ fraction }) => fraction)
    expect(fractions.every((f, i) => i === 0 || f >= fractions[i - 1]!)).toBe(true)
    expect(fractions.at(-1)).toBe(1)
  })

  it("stops with the signal's reason when aborted on the way", async () => {
    const controller = new AbortController()
    const promise = quantize({
      signal: controller.signal,
      onProgress: (event) => {
        if (event.type === 'layer-start') controller.abort(new Error('changed my mind'))
      },
    })
    await expect(promise).rejects.toThrow('changed my mind')
  })

  it('answers bad input with one typed error', async () => {
    expect(await codeOf(quantizeModel(new Uint8Array([1, 2, 3]), { calibration, runner }))).toBe(
      'INVALID_MODEL',
    )
    expect(await codeOf(quantize({ exclude: ['nothing*'] }))).toBe('NO_MATCH')
    expect(await codeOf(quantize({ exclude: ['*'] }))).toBe('NOTHING_TO_QUANTIZE')
    expect(await codeOf(quantize({ calibration: [] }))).toBe('INVALID_DATA')
    expect(await codeOf(quantize({ calibration: [{ other: image(2, 1) }] }))).toBe('INVALID_DATA')
    const bad = image(2, 1)
    ;(bad.data as Float32Array)[5] = Number.NaN
    expect(await codeOf(quantize({ calibration: [{ x: bad }] }))).toBe('INVALID_DATA')
    await expect(quantize({ levels: 1 })).rejects.toThrow(RangeError)
    await expect(quantizeModel(bytes, { runner })).rejects.toThrow(/calibration: expected batches/)
  })
})

describe('planModel', () => {
  it('says what quantizeModel then does, without running anything', async () => {
    const plan = await planModel(bytes, { levels: 7, exclude: ['depthwise'], holdout: 0 })
    const { report } = await quantize({ levels: 7, exclude: ['depthwise'] })
    expect(plan.layers.map(({ name, levels, format }) => ({ name, levels, format }))).toEqual(
      report.layers.map(({ name, levels, format }) => ({ name, levels, format })),
    )
    expect(plan.settings).toEqual(report.settings)
    expect(plan.skipped).toEqual(report.skipped)
    expect(plan.foldedBatchNorms).toEqual(report.foldedBatchNorms)
  })
})

function withOutput(model: ModelProto, name: string): ModelProto {
  model.graph!.output.push(b.value(name))
  return model
}
