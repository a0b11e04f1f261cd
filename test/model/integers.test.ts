/**
 * Quantized activations end to end on small models: codes against the float64 twin, written models against the quantized
 * stream (the check inside quantizeModel) in ONNX Runtime, and the cases in which ranges are odd.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import type { LayerSolution } from '#src/methods/solution.js'
import { planModel, quantizeModel, quantizePlanned } from '#src/model/quantizeModel.js'
import { openModel } from '#src/onnx/openModel.js'
import type { ModelPlan, PlanModelOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import { gpfqWithActivations, minmax, quantizerOver, roundActivation } from '#src/reference/activations.js'
import { gpfq } from '#src/reference/gpfq.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { batchesOf, convolutional, dense, kernels, NEURONS, onIntegers, WIDTH } from './integerNets.js'

let runner: Runner
let quantizer: Quantizer
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

/** What a run solves, in order. */
async function solved(
  bytes: Uint8Array,
  options: PlanModelOptions,
  calibration: Feeds[],
): Promise<{ readonly solutions: readonly LayerSolution[]; readonly model: Uint8Array }> {
  const solve = vi.spyOn(executorOf(quantizer), 'solve')
  const { model } = await quantizeModel(bytes, { ...options, holdout: 0, calibration, runner, quantizer })
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
