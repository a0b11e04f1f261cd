/**
 * Peak memory, which is a matter of shapes and so the same in every run: what is taken is what was planned, the report
 * says it, and more samples do not need more of it.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { segmentSamples } from '#src/calibration/captures.js'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { wholeShard } from '#src/calibration/shard.js'
import { Streams } from '#src/calibration/streams.js'
import { CONTROL_BYTES } from '#src/engine/job.js'
import type { Pool } from '#src/engine/pool.js'
import { createQuantizer } from '#src/index.js'
import { GRID } from '#src/methods/alphabet.js'
import { layOut } from '#src/methods/layout.js'
import { planMeasure } from '#src/methods/measure.js'
import { type Recipe, resolveRecipe } from '#src/methods/recipe.js'
import { planSamples, type SampleShape, SEGMENT_ROWS } from '#src/methods/samplePlan.js'
import { denseGather } from '#src/methods/samples.js'
import { needsOf, needsWholeG } from '#src/methods/solve.js'
import { columnNeeds, planSolve } from '#src/methods/solvePlan.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { resolveSettings } from '#src/model/settings.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import { Network } from '#src/onnx/network.js'
import { planStages } from '#src/onnx/stages.js'
import type { MethodOptions } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { Arena } from '#src/wasm/arena.js'
import { observeAndSolve } from './methods/observeAndSolve.js'
import * as b from './onnx/build.js'

/** How far what was taken may be from the plan. */
const TOLERANCE = 0.15

function follows(taken: number, planned: number): void {
  expect(taken).toBeGreaterThan((1 - TOLERANCE) * planned)
  expect(taken).toBeLessThan((1 + TOLERANCE) * planned)
}

/** Samples of a dense layer in one batch. */
const samplesOf = (rows: number, inputs: number, streamsEqual: boolean, wholeG: boolean): SampleShape => ({
  ...{ rows, inputs, groups: 1, streamsEqual, wholeG, means: false, segmentRows: SEGMENT_ROWS },
  ...{ batchBytes: 4 * rows * inputs, batchPaddedBytes: 0, batchRows: rows },
})

/** Bytes that observing, solving and, where it is done, measuring a dense layer take by plan: the most of them. */
function plannedBytes(
  shape: SampleShape,
  neurons: number,
  recipe: Recipe,
  { searching, measured, threads }: { searching: boolean; measured: boolean; threads: number },
): number {
  const { inputs, groups, streamsEqual } = shape
  const columns = { groups, inputs, neurons, candidates: 1 }
  const solve = {
    ...{ inputs, groups, neurons, streamsEqual, recipe, withErrors: false, blockSize: inputs, pixelBytes: 0 },
    candidates: searching ? GRID.length : 1,
  }
  const ofVerbs =
    needsOf(recipe, searching) === 'none'
      ? [layOut(columnNeeds(columns, 1, 1)).bytes]
      : [planSamples(shape).layout.bytes, planSolve(solve, threads).layout.bytes]
  return Math.max(...ofVerbs, measured ? planMeasure(shape, neurons, 1, threads).bytes : 0)
}

const methods: readonly MethodOptions[] = [
  {},
  { passes: 2 },
  { sparsity: { rule: 'soft', value: 0.01 } },
  { method: 'msq' },
  { method: 'gptq' },
  { method: 'qronos' },
  { method: 'beacon' },
  { method: 'spfq', alignment: 2 },
  { preset: 'best' },
]

describe('the memory of a layer', () => {
  it('is what the plans of its verbs say, for every method and shape, measured or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          samples: fc.integer({ min: 500, max: 5000 }),
          inputs: fc.integer({ min: 32, max: 400 }),
          neurons: fc.integer({ min: 1, max: 1200 }),
          same: fc.boolean(),
          search: fc.boolean(),
        }),
        fc.constantFrom(...methods),
        fc.constantFrom(1, 2, 16),
        fc.boolean(),
        async ({ samples, inputs, neurons, same, search }, method, threads, measure) => {
          const recipe = resolveRecipe(method)
          const searching = search && recipe.method !== 'beacon'
          const shape = samplesOf(samples, inputs, same, needsWholeG(recipe, searching))
          const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
          const pool: Pool = { threads, memory, run: async () => {}, close: async () => {} }
          const arena = new Arena(memory)
          const x = new Float32Array(samples * inputs)
          const request = {
            weights: new Float32Array(inputs * neurons),
            shape: { groups: 1, inputs, neurons },
            levels: 15,
            scales: { values: new Float32Array(neurons).fill(1), blocks: 1, blockSize: inputs },
            search: searching ? ('neuron' as const) : ('none' as const),
          }
          const batches = () => [{ x, xq: same ? null : x, gather: denseGather(samples, inputs) }]
          await observeAndSolve({ pool, arena }, shape, batches, [request], { recipe, measure })
          const planned = plannedBytes(shape, neurons, recipe, { searching, measured: measure, threads })
          follows(arena.peak - CONTROL_BYTES, planned)
        },
      ),
      { seed: 41, numRuns: 60 },
    )
  })

  it('does not grow with the samples', async () => {
    const [inputs, neurons] = [256, 128]
    const peaks: number[] = []
    // From 16,384 samples on a batch and what stays packed are as large as they get.
    for (const samples of [16384, 32768, 65536]) {
      const quantizer = await createQuantizer({ threads: 2 })
      const weights = b.noise(inputs * neurons, 1)
      const values = b.noise(samples * inputs, 2)
      await quantizer.quantizeLayer({ weights, inputs, neurons, samples: values })
      peaks.push(quantizer.peakMemoryBytes)
      await quantizer.close()
    }
    expect(new Set(peaks).size).toBe(1)
  })
})

const WIDTH = 96
const BATCH = 512
const DEPTH = 3

const feedsOf = (batches: number): Feeds[] =>
  Array.from({ length: batches }, (_, i) => ({
    x: { type: 'float32', dims: [BATCH, WIDTH], data: b.noise(BATCH * WIDTH, 50 + i) },
  }))

function chain() {
  const names = Array.from({ length: DEPTH + 1 }, (_, i) => (i === 0 ? 'x' : `z${i}`))
  return b.model(
    names
      .slice(1)
      .flatMap((name, i) => [
        b.node('MatMul', [names[i]!, `w${i}`], [`m${i}`]),
        b.node('Relu', [`m${i}`], [name]),
      ]),
    names.slice(1).map((_, i) => b.floats(`w${i}`, [WIDTH, WIDTH], b.noise(WIDTH * WIDTH, i + 1))),
    [b.value('x', b.DataType.FLOAT, ['n', WIDTH])],
    [names.at(-1)!],
  )
}

describe('the memory of a model', () => {
  let runner: Runner
  beforeAll(async () => {
    runner = await createOrtWebRunner({ threads: 1 })
  })

  /** Bytes of the calibration tensors, and of the widest layer, as planned. */
  async function planned(batches: number): Promise<{ tensors: number; layer: number }> {
    const model = chain()
    const graph = indexGraph(model)
    const stages = planStages(graph, findLayers(graph).layers)
    const streams = new Streams(runner, Network.of(model), wholeShard(feedsOf(batches)), stages)
    const { bytes } = await streams.plan()
    await streams.close()
    const rows = batches * BATCH
    const shape: SampleShape = {
      ...samplesOf(rows, WIDTH, false, true),
      segmentRows: segmentSamples(rows),
      ...{ batchBytes: 4 * BATCH * WIDTH, batchRows: BATCH },
    }
    const how = { searching: true, measured: false, threads: 2 }
    return { tensors: bytes, layer: plannedBytes(shape, WIDTH, resolveSettings({}), how) }
  }

  const reported = async (batches: number): Promise<number> => {
    const options = { calibration: feedsOf(batches), runner, threads: 2 }
    return (await quantizeModel(encodeModel(chain()), options)).report.peakMemoryBytes
  }

  it('is in the report, as planned: the tensors of both streams and one layer', async () => {
    const { tensors, layer } = await planned(4)
    // Both streams of the widest tensor, twice where a stage's inputs and outputs are alive together.
    expect(tensors).toBeGreaterThanOrEqual(2 * 4 * 4 * BATCH * WIDTH)
    follows(await reported(4), tensors + layer)
  })

  it('grows with the samples by the calibration tensors and nothing else', async () => {
    // Both are beyond what stays packed at once.
    const [few, many] = [48, 64]
    const [a, c] = [await planned(few), await planned(many)]
    expect(c.layer).toBe(a.layer)
    expect((await reported(many)) - (await reported(few))).toBe(c.tensors - a.tensors)
  })
})
