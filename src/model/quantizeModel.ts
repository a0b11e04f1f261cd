/**
 * The main job: an ONNX model and calibration samples in, a smaller ONNX model and a report of what was lost out. stageLoop.ts
 * goes through the stages of the plan. At the end the written model is loaded back and must compute what the quantized stream
 * computed.
 */
import { platform } from '#platform'
import { untilAborted } from '../aborts.js'
import { abortable } from '../calibration/abortable.js'
import { Streams } from '../calibration/streams.js'
import { measureTensors, type TensorSizes } from '../calibration/tensorSizes.js'
import { verifyModel } from '../calibration/verify.js'
import { typeError } from '../checks.js'
import { createExecutor } from '../executor/choose.js'
import type { Executor } from '../executor/executor.js'
import { indexGraph } from '../onnx/graph.js'
import { encodeModel } from '../onnx/model.js'
import type { SolvedLayer } from '../onnx/network.js'
import { inputsOf, type Model, openModel } from '../onnx/openModel.js'
import type {
  ModelPlan,
  PrecisionReport,
  QuantizeModel,
  QuantizeModelResult,
  RunOptions,
} from '../options.js'
import { executorOf } from '../quantizer.js'
import { VERSION } from '../version.js'
import { checkBatches, checkModel, checkRun, checkStore } from './arguments.js'
import type { Checkpoint, OpenedCheckpoint } from './checkpoint/checkpoint.js'
import { cutShard, withFittingBatches } from './fittingBatches.js'
import { layerMemories } from './layerMemory.js'
import { describeLayer } from './layerReport.js'
import { sampleSteps, weightSteps } from './localSteps.js'
import { measureIntegers } from './measureIntegers.js'
import { tensorBudget } from './memoryBudget.js'
import { planModel } from './plan.js'
import { webGpuNotes } from './planNotes.js'
import { applyBudget, checkBudget, hasBudget } from './precision/budget.js'
import { surveyErrors } from './precision/survey.js'
import { joinPlan, type PlannedModel } from './preparedModel.js'
import { judgeOutputs } from './quality.js'
import { guardNotes, jumpNotes, memoryNotes, runnerNotes, settingNotes } from './resultNotes.js'
import { createProgress, type RunProgress } from './runProgress.js'
import { type RunSamples, readSamples } from './runSamples.js'
import { needsCalibration } from './settings.js'
import type { FinishedLayer } from './solveStage.js'
import { runStages, type SolvedModel } from './stageLoop.js'

export { planModel } from './plan.js'

/**
 * Quantizes a model, by default by greedy path following (2010.15979). The input bytes are not changed.
 * @param source the model's bytes, or what openModel gives
 * @param options a runner, calibration samples, and how to quantize
 * @function
 * @returns the quantized model's bytes and a report of what was lost
 * @throws GpfqError see GpfqErrorCode
 * @throws TypeError, RangeError for options; the signal's reason when aborted
 * @example
 * const { model, report } = await quantizeModel(bytes, { calibration, runner: await createRunner() })
 */
export const quantizeModel: QuantizeModel = async (source, options) => {
  checkModel('model', source)
  checkRun(options)
  options.signal?.throwIfAborted()
  const start = performance.now()
  const model =
    source instanceof Uint8Array ? await openModel(source, options.readExternalData, options.signal) : source
  return carryOut(model, await planModel(model, options), options, start)
}

/**
 * Carries out a plan, exactly as it says: what planModel gave, perhaps changed, or read back from JSON.
 * @param model what openModel gives: the model that was planned
 * @param plan what planModel gives
 * @param options a runner and calibration samples
 * @returns the quantized model's bytes and a report of what was lost
 * @throws GpfqError INVALID_DATA where the plan is of another version or another model; else as quantizeModel
 * @example
 * const plan = await planModel(model, { levels: 7 })
 * const { model: bytes } = await quantizePlanned(model, plan, { calibration, runner })
 */
export const quantizePlanned = (
  model: Model,
  plan: ModelPlan,
  options: RunOptions,
): Promise<QuantizeModelResult> => carryOut(model, plan, options, performance.now())

async function carryOut(
  model: Model,
  plan: ModelPlan,
  options: RunOptions,
  start: number,
): Promise<QuantizeModelResult> {
  checkRun(options)
  checkStore(options.checkpoint)
  if (options.calibration !== undefined) checkBatches('calibration', options.calibration)
  options.signal?.throwIfAborted()
  const planned = await joinPlan(model, plan, options.signal)
  if (options.calibration === undefined && needsCalibration(plan.settings)) {
    throw typeError({
      place: 'calibration',
      expected: 'batches of inputs',
      got: 'none',
      hint:
        'only method frame, and method msq with any radius but search, can do without, and neither activations nor bias ' +
        'correction nor a target for the levels',
    })
  }
  const { signal, quantizer } = options
  const executor =
    quantizer === undefined
      ? await untilAborted(signal, createExecutor(options), (late) => late.close())
      : executorOf(quantizer)
  try {
    const runner = abortable(options.runner, signal)
    const solver = options.cluster?.solver(executor) ?? executor
    return await run(planned, solver, { ...options, runner }, start)
  } finally {
    if (quantizer === undefined) await executor.close()
  }
}

async function run(
  planned: PlannedModel,
  executor: Executor,
  given: RunOptions,
  start: number,
): Promise<QuantizeModelResult> {
  const opened = await openKept(planned, executor, given)
  const samples = await readSamples(planned, given)
  const { total } = samples.shard
  checkMemory(planned, total)
  if (hasBudget(planned.plan.settings)) checkBudget(planned)
  const inputs = inputsOf(planned.float.float)
  const checkpoint = (await opened?.begin(samples.shard)) ?? null
  const options =
    checkpoint === null ? given : { ...given, onProgress: checkpoint.reporting(given.onProgress) }
  if (checkpoint?.isContinued) given.onProgress?.({ type: 'resume' })
  const result = await withFittingBatches(
    samples.shard,
    inputs,
    options.runner.name,
    async (shard, notes) => {
      const progress = createProgress(planned, options, start)
      progress.begin(total)
      const { batches } = shard
      const sizes =
        batches.length === 0
          ? undefined
          : await progress.timed('calibration', () =>
              measureTensors(
                options.runner,
                planned.float,
                planned.stages,
                batches,
                tensorBudget(planned.plan),
              ),
            )
      const cut = sizes === undefined ? shard : cutShard(shard, inputs, sizes.most)
      const own = { ...samples, shard: cut }
      const { model, report } = await runOn(planned, own, sizes, { executor, options, progress, checkpoint })
      return {
        model,
        report: { ...report, notes: [...report.notes, ...notes, ...(checkpoint?.notes ?? [])] },
      }
    },
  )
  await checkpoint?.finish(result.report)
  return result
}

/** The checkpoint of a run, null without one. Its code is loaded where one is wanted. */
async function openKept(
  planned: PlannedModel,
  { fastMath }: Executor,
  { checkpoint: store, restart = false, runner, signal }: RunOptions,
): Promise<OpenedCheckpoint | null> {
  if (store === undefined) return null
  const { openCheckpoint } = await import('./checkpoint/checkpoint.js')
  return openCheckpoint(planned, { store, restart, runner: runner.name, fastMath, signal })
}

/** What a run works with. */
interface RunContext {
  readonly executor: Executor
  readonly options: RunOptions
  readonly progress: RunProgress
  readonly checkpoint: Checkpoint | null
}

/** The run on batches that fit. @param sizes of the tensors; undefined without batches */
async function runOn(
  given: PlannedModel,
  samples: RunSamples,
  sizes: TensorSizes | undefined,
  { executor, options, progress, checkpoint }: RunContext,
): Promise<QuantizeModelResult> {
  const { runner, signal } = options
  const { shard } = samples
  let planned = given
  let precision: PrecisionReport | null = null
  if (hasBudget(given.plan.settings)) {
    const context = { signal, onProgress: progress.survey }
    const survey = () => surveyErrors(given, executor, runner, { ...shard, heldOut: [] }, context)
    const errors = await progress.timed('quantization', () => checkpoint?.survey(survey) ?? survey())
    ;({ planned, report: precision } = applyBudget(given, errors))
    progress.replan(planned)
  }
  const { held } = tensorBudget(planned.plan)
  const { cluster } = options
  // Workers of a cluster have the samples: here the first batch is for the last check.
  const here = cluster === undefined ? shard : { ...shard, batches: shard.batches.slice(0, 1) }
  const streams = new Streams(runner, planned.float, here, planned.stages, held)
  try {
    const held = sizes === undefined ? null : await streams.plan(sizes)
    const context = { executor, signal, progress }
    const local =
      held === null ? weightSteps(planned, context) : sampleSteps(planned, streams, samples, context)
    const spread = { planned, samples, streams, runner: runner.name, local, step: context }
    const own = held === null ? local : ((await cluster?.steps(spread)) ?? local)
    const steps = checkpoint?.steps(planned, own, progress) ?? own
    const solved = await runStages(planned, steps, progress)
    const notes = held === null ? [] : [...memoryNotes(held, streams.recomputed), ...samples.notes]
    const whole = { ...solved, notes: [...notes, ...solved.notes] }
    return await write(planned, whole, { streams, executor, options, progress, precision })
  } finally {
    await streams.close()
  }
}

/** Samples that are known now can need more memory than the plan counts. @throws GpfqError OUT_OF_MEMORY */
function checkMemory({ graph, layers, byName, float, plan }: PlannedModel, samples: number): void {
  const inGraph = layers.map(({ layer }) => layer)
  const { tensors } = float.integers
  layerMemories(graph, inGraph, ({ name }) => byName.get(name)!, tensors, plan, samples)
}

/** Writes the model, loads it back, and says what was done. */
async function write(
  planned: PlannedModel,
  { network, layers, errors, notes }: SolvedModel,
  {
    streams,
    executor,
    options,
    progress,
    precision,
  }: {
    readonly streams: Streams
    readonly executor: Executor
    readonly options: RunOptions
    readonly progress: RunProgress
    readonly precision: PrecisionReport | null
  },
): Promise<QuantizeModelResult> {
  const { plan, graph } = planned
  const { runner, signal, onProgress, fastMath } = options
  const written = network.write(new Map(plan.layers.map(({ name, format }) => [name, format])), VERSION)
  const model = encodeModel(written.model)
  signal?.throwIfAborted()
  onProgress?.({ type: 'verify' })
  const {
    speed,
    heldOut,
    verified,
    notes: runtimeNotes,
  } = await progress.timed('verify', async () => {
    const verified = await verifyModel(model, runner, streams, network, graph)
    const heldOut = await judgeOutputs(planned, network, roundedLayers(layers), streams, options)
    return { ...(await measureIntegers(planned, model, runner, streams, network, signal)), heldOut, verified }
  })
  const finished = new Map(layers.map((layer) => [layer.planned.name, layer]))
  const reports = plan.layers.map(({ name }) =>
    describeLayer(finished.get(name)!, errors, written.bytes.get(name) ?? 0),
  )
  return {
    model,
    report: {
      bytesIn: plan.bytesIn,
      bytesOut: model.length,
      threads: executor.threads,
      fastMath: executor.fastMath,
      runner: runner.name,
      settings: plan.settings,
      foldedBatchNorms: plan.foldedBatchNorms,
      layers: reports,
      skipped: plan.skipped,
      floats: plan.floats,
      notes: [
        ...plan.notes,
        ...settingNotes(plan, fastMath === true, executor.fastMath),
        ...notes,
        ...guardNotes(reports, heldOut),
        ...runtimeNotes,
        ...jumpNotes(verified),
        ...runnerNotes(runner),
        ...webGpuNotes(indexGraph(written.model)),
      ],
      precision,
      heldOut,
      verified,
      speed,
      seconds: progress.seconds(),
      peakMemoryBytes: executor.peakMemoryBytes + streams.peakBytes,
      processBytes: platform.processBytes?.() ?? null,
    },
  }
}

/** The layers as rounding gives them, where all that are not rounded anyway were judged. */
function roundedLayers(layers: readonly FinishedLayer[]): readonly SolvedLayer[] | null {
  const rounded = layers.flatMap(({ layer, rounded }) =>
    rounded === null ? [] : [{ layer, quantized: rounded }],
  )
  const isCompared = layers.some(({ planned }) => planned.rounded === null)
  return isCompared && rounded.length === layers.length ? rounded : null
}
