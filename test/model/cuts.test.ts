/**
 * The promise of the verbs on a small model in one process: wherever the samples are cut between segments, and into whatever
 * batches, the written model is the same to the last byte.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { segmentSamples } from '#src/calibration/captures.js'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { wholeShard } from '#src/calibration/shard.js'
import { Streams } from '#src/calibration/streams.js'
import type { Executor } from '#src/executor/executor.js'
import { advanceStage, observeStage, type StageContext } from '#src/model/observeStage.js'
import { planModel } from '#src/model/plan.js'
import { joinPlan, type PlannedModel } from '#src/model/preparedModel.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { fixRanges } from '#src/model/ranges.js'
import { solveStage } from '#src/model/solveStage.js'
import { mergeStages, type StageObservations, stageBytes, stageFrom } from '#src/model/stageObservations.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { ActivationOptions, ActivationRanges, PlanModelOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import { floatsOf } from '#src/tensor/floats.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import { VERSION } from '#src/version.js'
import * as b from '../onnx/build.js'

/** One tensor of many samples. */
function stacked(tensors: readonly Tensor[]): Tensor {
  const data = Float32Array.from(tensors.flatMap((tensor) => [...floatsOf(tensor)]))
  return { type: 'float32', dims: [tensors.length, ...tensors[0]!.dims.slice(1)], data }
}

/** A convolution by correlations, one by patches, a residual branch, a tied weight and dense layers. */
function smallModel(seed: number): Uint8Array {
  const noise = (name: string, dims: number[], own: number) => {
    const count = dims.reduce((product, dim) => product * dim, 1)
    return b.floats(name, dims, b.noise(count, 97 * seed + own))
  }
  const pads = [1, 1, 1, 1]
  return encodeModel(
    b.model(
      [
        b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, 'first'),
        b.node('Relu', ['c1'], ['r1']),
        b.node('Conv', ['r1', 'w2'], ['c2'], { pads }, 'second'),
        b.node('Add', ['c2', 'r1'], ['s']),
        b.node('Relu', ['s'], ['r2']),
        b.node('Conv', ['r2', 'w3'], ['c3'], { strides: [2, 2], pads, group: 2 }, 'third'),
        b.node('Relu', ['c3'], ['r3']),
        b.node('GlobalAveragePool', ['r3'], ['p']),
        b.node('Flatten', ['p'], ['f']),
        b.node('MatMul', ['f', 'w4'], ['d']),
        b.node('Relu', ['d'], ['r4']),
        b.node('MatMul', ['r4', 'w4'], ['e']),
        b.node('Gemm', ['e', 'w5', 'b5'], ['y'], { transB: 1 }, 'last'),
      ],
      [
        noise('w1', [8, 3, 3, 3], 1),
        noise('b1', [8], 2),
        noise('w2', [8, 8, 3, 3], 3),
        noise('w3', [6, 4, 3, 3], 4),
        noise('w4', [6, 6], 5),
        noise('w5', [4, 6], 6),
        noise('b5', [4], 7),
      ],
      [b.value('x', b.DataType.FLOAT, ['n', 3, 8, 8])],
      ['y'],
    ),
  )
}

/** Batches of one image. */
const imagesOf = (count: number, seed: number): Feeds[] =>
  Array.from({ length: count }, (_, i) => ({
    x: { type: 'float32', dims: [1, 3, 8, 8], data: b.noise(3 * 8 * 8, 1000 * seed + i) },
  }))

/** All layers that can run on integers. */
function onIntegers(ranges: ActivationRanges): ActivationOptions {
  return { bits: 8, ranges, for: [{ pattern: '*', kernel: 'int8' }] }
}

const METHODS: readonly PlanModelOptions[] = [
  {},
  { radius: { rule: 'max' } },
  { method: 'qronos', passes: 1 },
  { method: 'gptq', scalePer: { group: 5 } },
  { method: 'beacon' },
  { method: 'msq', scalePer: 'layer' },
  { perChannel: true },
  { randomPatches: 0.5, seed: 3 },
  { activations: onIntegers({ rule: 'minmax' }) },
  { activations: onIntegers({ rule: 'percentile', percentile: 99 }), method: 'qronos' },
  { activations: onIntegers({ rule: 'search' }), radius: { rule: 'max' } },
]

const quiet: StageContext = { signal: undefined, onProgress: () => {}, timed: (_, act) => act() }

describe('a small model', () => {
  let quantizer: Quantizer
  let runner: Runner
  beforeAll(async () => {
    runner = await createOrtWebRunner({ threads: 1 })
    quantizer = await createQuantizer({ threads: 1 })
  })
  afterAll(() => quantizer.close())

  /** The written model of a run over shards: what they observe is merged, as bytes. */
  async function inShards(
    planned: PlannedModel,
    shards: readonly Streams[],
    executor: Executor = executorOf(quantizer),
  ): Promise<Uint8Array> {
    for (const streams of shards) await streams.plan()
    let network = planned.float
    for (const stage of planned.stages) {
      const advanced: StageObservations[] = []
      for (const streams of shards)
        advanced.push(stageFrom(stageBytes(await advanceStage(planned, streams, network, quiet))))
      network = network.with([], fixRanges(planned.plan.settings, advanced.reduce(mergeStages)))
      const seen: StageObservations[] = []
      for (const streams of shards) {
        await streams.fix(network)
        const observed = await observeStage(planned, streams, network, executor, quiet)
        seen.push(stageFrom(stageBytes(observed)))
      }
      const merged = seen.reduce(mergeStages)
      for (const { exact, first } of merged.captures.values()) expect([exact, first]).toEqual([true, true])
      network = network.with((await solveStage(planned, stage, merged, executor, quiet)).layers)
      for (const streams of shards) {
        if (stage.replay) await streams.replay(network, quiet)
        await streams.release()
      }
    }
    for (const streams of shards) await streams.close()
    const formats = new Map(planned.plan.layers.map(({ name, format }) => [name, format]))
    return encodeModel(network.write(formats, VERSION).model)
  }

  it('gives the same bytes for all cuts at multiples of a segment, any batches and every method', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer({ min: 1, max: 1000 }),
          total: fc.integer({ min: 2, max: 48 }),
          cuts: fc.array(fc.nat({ max: 40 }), { maxLength: 4 }),
          batch: fc.integer({ min: 1, max: 16 }),
          levels: fc.constantFrom(3, 7, 15),
          patches: fc.constantFrom(0, 150, 32768),
          biasCorrection: fc.boolean(),
        }),
        fc.constantFrom(...METHODS),
        async ({ seed, total, cuts, batch, patches, ...rest }, method) => {
          const rows = 'randomPatches' in method ? {} : { patches }
          const options: PlanModelOptions = { ...rest, ...rows, ...method }
          const bytes = smallModel(seed)
          const planned = await joinPlan(
            await openModel(bytes),
            await planModel(bytes, { ...options, holdout: 0 }),
          )
          const calibration = joined(imagesOf(total, seed), 7)
          const segment = segmentSamples(total)
          const inner = cuts.map((cut) => cut - (cut % segment)).filter((cut) => cut > 0 && cut < total)
          const bounds = [...new Set([0, ...inner, total])].sort((x, y) => x - y)
          const all = imagesOf(total, seed)
          const shards = bounds.slice(1).map((end, i) => {
            const first = bounds[i]!
            const batches = joined(all.slice(first, end), batch)
            return new Streams(runner, planned.float, { batches, first, total }, planned.stages)
          })
          const { model } = await quantizeModel(bytes, {
            ...options,
            holdout: 0,
            calibration,
            runner,
            quantizer,
          })
          expect(Buffer.compare(await inShards(planned, shards), model)).toBe(0)
        },
      ),
      { seed: 71, numRuns: 35 },
    )
  })

  it('sums H on integers where inputs have the values of one quantizer and segments are long enough', async () => {
    const bytes = smallModel(2)
    const executor = executorOf(quantizer)
    const onIntegersAt = async (options: PlanModelOptions): Promise<string[]> => {
      const planned = await joinPlan(
        await openModel(bytes),
        await planModel(bytes, { ...options, holdout: 0 }),
      )
      const found: string[] = []
      const observe: Executor['observe'] = (shape, batches, given) => {
        const { scale } = shape
        if (scale === undefined) return executor.observe(shape, batches, given)
        found.push(given.place)
        const whole = (xq: Float32Array | null): boolean =>
          xq?.every((value) => Math.abs(value / scale - Math.round(value / scale)) < 1e-3) === true
        async function* checked() {
          for await (const batch of batches) {
            expect(whole(batch.xq)).toBe(true)
            yield batch
          }
        }
        return executor.observe(shape, checked(), given)
      }
      const streams = new Streams(
        runner,
        planned.float,
        wholeShard(joined(imagesOf(64, 2), 16)),
        planned.stages,
      )
      await inShards(planned, [streams], { ...executor, observe })
      return found
    }
    const activations = onIntegers({ rule: 'minmax' })
    // Segments of the dense layers and of the convolution with stride 2 are shorter than a block.
    expect(await onIntegersAt({ activations })).toEqual(["layer 'first'", "layer 'second'"])
    expect(await onIntegersAt({})).toEqual([])
    expect(await onIntegersAt({ activations, sampleWeights: 'norm' })).toEqual([])
  })

  it('gives the same bytes with the vertex walk, which keeps the rows, and refuses too many of them', async () => {
    const dense = encodeModel(
      b.model(
        [
          b.node('MatMul', ['x', 'w'], ['h']),
          b.node('Tanh', ['h'], ['t']),
          b.node('MatMul', ['t', 'v'], ['y']),
        ],
        [b.floats('w', [12, 16], b.noise(192, 1)), b.floats('v', [16, 5], b.noise(80, 2))],
        [b.value('x', b.DataType.FLOAT, ['n', 12])],
        ['y'],
      ),
    )
    const options: PlanModelOptions = { method: 'msq', preprocess: true, radius: { rule: 'max' }, levels: 3 }
    const planned = await joinPlan(await openModel(dense), await planModel(dense, { ...options, holdout: 0 }))
    const rows = (total: number): Feeds[] =>
      Array.from({ length: total }, (_, i) => ({
        x: { type: 'float32', dims: [1, 12], data: b.noise(12, 20 + i) },
      }))
    const shardsOf = (total: number): Streams[] =>
      [0, 1, 2].map((part) => {
        const [first, end] = [Math.floor((part * total) / 3), Math.floor(((part + 1) * total) / 3)]
        const batches = rows(total).slice(first, end)
        return new Streams(runner, planned.float, { batches, first, total }, planned.stages)
      })
    const { model } = await quantizeModel(dense, {
      ...options,
      holdout: 0,
      calibration: rows(8),
      runner,
      quantizer,
    })
    expect(Buffer.compare(await inShards(planned, shardsOf(8)), model)).toBe(0)
    await expect(inShards(planned, shardsOf(12))).rejects.toMatchObject({
      ...{ code: 'INVALID_DATA', place: "layer 'h_node'" },
      ...{ expected: 'fewer samples than inputs (12) for preprocess', got: '12' },
    })
  })

  it('that is not cut between segments is solved all the same, and its observations say so', async () => {
    const bytes = smallModel(1)
    const planned = await joinPlan(await openModel(bytes), await planModel(bytes, { patches: 0 }))
    const all = imagesOf(40, 1)
    const shards = [
      { batches: joined(all.slice(0, 3), 3), first: 0, total: 40 },
      { batches: joined(all.slice(3), 5), first: 3, total: 40 },
    ].map((shard) => new Streams(runner, planned.float, shard, planned.stages))
    const executor = executorOf(quantizer)
    const seen: StageObservations[] = []
    for (const streams of shards) {
      await streams.plan()
      await streams.advance(planned.float, quiet)
      seen.push(await observeStage(planned, streams, planned.float, executor, quiet))
      await streams.close()
    }
    const merged = seen.reduce(mergeStages).captures.get('first')!
    const streams = new Streams(runner, planned.float, wholeShard(all), planned.stages)
    await streams.plan()
    await streams.advance(planned.float, quiet)
    const whole = (await observeStage(planned, streams, planned.float, executor, quiet)).captures.get(
      'first',
    )!
    await streams.close()
    expect([merged.exact, whole.exact, merged.rows]).toEqual([false, true, whole.rows])
    expect(b.relativeDifference(merged.total().values, whole.total().values)).toBeLessThan(1e-5)
  })
})

/** Batches of one image as batches of `size`. */
const joined = (images: readonly Feeds[], size: number): Feeds[] =>
  Array.from({ length: Math.ceil(images.length / size) }, (_, i) => ({
    x: stacked(images.slice(i * size, (i + 1) * size).map(({ x }) => x!)),
  }))
