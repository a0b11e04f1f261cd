/**
 * The promise of the verbs: a run can be cut over samples, over neurons and over processes, and gives the same bytes. Parts of
 * the samples are observed apart, merged, and each layer is solved in two halves of its neurons.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { segmentSamples } from '#src/calibration/captures.js'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { OutputErrors, relativeOf } from '#src/calibration/outputErrors.js'
import type { Runner } from '#src/calibration/runner.js'
import { loadFeeds } from '#src/data/feeds.js'
import { openData } from '#src/data/files.js'
import type { Executor } from '#src/executor/executor.js'
import { joinNeurons, type LayerSolution } from '#src/methods/solution.js'
import { solutionBytes } from '#src/methods/solutionBytes.js'
import { capturesOf } from '#src/model/observeStage.js'
import { planModel } from '#src/model/plan.js'
import { joinPlan, type PlannedModel } from '#src/model/preparedModel.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { fixRanges } from '#src/model/ranges.js'
import { quantizedWeight, requestsFor } from '#src/model/requests.js'
import { mergeStages, type StageObservations, stageFrom } from '#src/model/stageObservations.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { Stage } from '#src/onnx/stages.js'
import type { PlanModelOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { VERSION } from '#src/version.js'
import * as b from '../onnx/build.js'
import type { ShardRanges, ShardSolutions, ShardTask } from './shardWorker.js'

const WORKER = fileURLToPath(new URL('../../dist-scripts/shardWorker.mjs', import.meta.url))
const IMAGES = fileURLToPath(new URL('../../../shared/assets/cifar10/train5k-images.npy.gz', import.meta.url))
/** 14 segments of 16 images: two for each of seven parts. */
const TOTAL = 224
/** Few rows, so that five runs take less than a minute. */
const OPTIONS = { levels: 15, patches: 8192 }
/** The same with all layers on integers that can be: ranges are merged, too. */
const INTEGERS: PlanModelOptions = {
  ...OPTIONS,
  activations: { bits: 8, ranges: { rule: 'mse' }, for: [{ pattern: '*', kernel: 'int8' }] },
}
/** An image of CIFAR-10. */
const DIMS = [3, 32, 32]

/** A process that observes one shard. */
class ShardProcess {
  readonly #child: ChildProcess
  readonly #answers: Uint8Array[] = []
  #wake: () => void = () => {}
  #failed: Error | null = null

  constructor(task: ShardTask) {
    this.#child = fork(WORKER, { serialization: 'advanced', execArgv: [] })
    this.#child.on('message', (message) => {
      if (message instanceof Uint8Array) this.#answers.push(message)
      this.#wake()
    })
    this.#child.on('exit', (code) => {
      this.#failed = new Error(`shard: its process ended with code ${code}`)
      this.#wake()
    })
    this.#child.send(task)
  }

  /** Observations of the next stage. */
  async next(): Promise<Uint8Array> {
    while (this.#answers.length === 0) {
      if (this.#failed !== null) throw this.#failed
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#answers.shift()!
  }

  tell(message: ShardRanges | ShardSolutions): void {
    this.#child.send(message)
  }

  end(): void {
    this.#child.kill()
  }
}

/** A stage's layers from merged observations, each in two halves of its neurons where it has two or more. */
async function solveInHalves(
  planned: PlannedModel,
  stage: Stage,
  { captures }: StageObservations,
  executor: Executor,
): Promise<Map<string, LayerSolution>> {
  const { settings } = planned.plan
  const solutions = new Map<string, LayerSolution>()
  for (const { layers } of capturesOf(planned, stage)) {
    const observations = captures.get(layers[0]!.name)!
    expect(observations.exact).toBe(true)
    for (const { name } of layers) {
      const [request] = requestsFor(planned.graph, planned.byName.get(name)!, settings)
      const { neurons } = request!.shape
      const cut = Math.ceil(neurons / 2)
      const parts: LayerSolution[] = []
      for (const range of [
        { from: 0, to: cut },
        { from: cut, to: neurons },
      ]) {
        if (range.from === range.to) continue
        const place = `layer '${name}'`
        const run = { recipe: settings, neurons: range, place }
        parts.push((await executor.solve(observations, [request!], run)).solutions[0]!)
      }
      solutions.set(name, joinNeurons(parts))
    }
  }
  return solutions
}

describe.skipIf(!b.hasAssets)('resnet20 of ../shared/assets', () => {
  let quantizer: Quantizer
  let runner: Runner
  let values: Float32Array
  const bytes = b.hasAssets ? b.realModel('cifar10-resnet20') : new Uint8Array(0)
  let calibration: Feeds[] = []

  beforeAll(async () => {
    runner = await createOrtWebRunner({ threads: 1 })
    quantizer = await createQuantizer({ threads: 2 })
    await build({
      ...{ bundle: true, platform: 'node', format: 'esm', packages: 'external', external: ['#*'] },
      entryPoints: [fileURLToPath(new URL('shardWorker.ts', import.meta.url))],
      outfile: WORKER,
    })
    const { inputs } = await openModel(bytes)
    const feeds = await loadFeeds([await openData(IMAGES)], inputs, {
      ...{ scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
      ...{ samples: TOTAL, batchSize: 64 },
    })
    calibration = []
    for await (const batch of feeds) calibration.push(batch)
    values = Float32Array.from(calibration.flatMap(({ input }) => [...(input!.data as Float32Array)]))
  })
  afterAll(() => quantizer.close())

  /** What one process gives. */
  async function inOneProcess(options: PlanModelOptions) {
    const solve = vi.spyOn(executorOf(quantizer), 'solve')
    const { model, report } = await quantizeModel(bytes, {
      calibration,
      runner,
      quantizer,
      ...options,
      holdout: 0,
    })
    const solved = await Promise.all(solve.mock.results.map(({ value }) => value))
    solve.mockRestore()
    return {
      model,
      solutions: solved.flatMap(({ solutions }): LayerSolution[] => solutions),
      errors: report.layers.map(({ relativeError }) => relativeError),
    }
  }
  let wholeOf: Map<PlanModelOptions, Awaited<ReturnType<typeof inOneProcess>>>
  beforeAll(async () => {
    wholeOf = new Map()
    for (const options of [OPTIONS, INTEGERS]) wholeOf.set(options, await inOneProcess(options))
  })

  /** Shards as [first, end] samples, cut between segments. */
  function shardsOf(parts: number): [number, number][] {
    const segment = segmentSamples(TOTAL)
    const segments = TOTAL / segment
    const bounds = Array.from({ length: parts + 1 }, (_, i) => segment * Math.round((i * segments) / parts))
    return bounds.slice(1).map((end, i) => [bounds[i]!, end])
  }

  it.each([
    [1, 'weights', OPTIONS],
    [2, 'weights', OPTIONS],
    [3, 'weights', OPTIONS],
    [7, 'weights', OPTIONS],
    [3, 'weights and activations', INTEGERS],
  ] as const)(
    'gives the same bytes where the images are cut into %i parts, each in a process of its own: %s',
    async (parts, _, options) => {
      const whole = wholeOf.get(options)!
      const plan = await planModel(bytes, { ...options, holdout: 0 })
      const planned = await joinPlan(await openModel(bytes), plan)
      expect(segmentSamples(TOTAL)).toBe(16)
      const executor = executorOf(quantizer)
      const each = DIMS.reduce((product, dim) => product * dim, 1)
      const processes = shardsOf(parts).map(
        ([first, end]) =>
          new ShardProcess({
            ...{ model: bytes, plan, input: 'input', dims: DIMS, batch: 64, first, total: TOTAL },
            values: values.slice(first * each, end * each),
          }),
      )
      try {
        const found: LayerSolution[] = []
        let network = planned.float
        let errors = new OutputErrors()
        for (const stage of planned.stages) {
          const merge = async (): Promise<StageObservations> => {
            const seen = await Promise.all(processes.map((shard) => shard.next()))
            return seen.map((part) => stageFrom(part)).reduce(mergeStages)
          }
          const advanced = await merge()
          errors = errors.with(advanced.errors)
          const quantizers = fixRanges(plan.settings, advanced)
          for (const shard of processes) shard.tell({ quantizers: [...quantizers] })
          network = network.with([], quantizers)
          const merged = await merge()
          const solutions = await solveInHalves(planned, stage, merged, executor)
          const told = [...solutions].map(([name, solution]) => [name, solutionBytes(solution)] as const)
          for (const shard of processes) shard.tell({ solutions: told })
          found.push(...solutions.values())
          network = network.with(
            [...solutions].map(([name, solution]) => {
              const own = planned.byName.get(name)!
              return { layer: own.layer, quantized: quantizedWeight(own, solution) }
            }),
          )
        }
        expect(found).toHaveLength(whole.solutions.length)
        for (const [i, { codes, scales }] of found.entries()) {
          expect(Buffer.compare(codes, whole.solutions[i]!.codes), `codes of layer ${i}`).toBe(0)
          expect(scales, `scales of layer ${i}`).toEqual(whole.solutions[i]!.scales)
        }
        const formats = new Map(plan.layers.map(({ name, format }) => [name, format]))
        expect(Buffer.compare(encodeModel(network.write(formats, VERSION).model), whole.model)).toBe(0)
        expect(
          planned.layers.map(({ layer }) => relativeOf(errors.of(layer.uses.map(({ output }) => output)))),
        ).toEqual(whole.errors)
      } finally {
        for (const shard of processes) shard.end()
      }
    },
  )
})
