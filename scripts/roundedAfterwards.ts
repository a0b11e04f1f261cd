/**
 * What other tools do: the weights are quantized in a network with float activations, then ranges of activations are found and
 * rounding is switched on, and nothing makes up for it. The same verbs as the main job, with solutions from another run.
 */
import { join } from 'node:path'
import type { Runner } from '#src/calibration/runner.js'
import { wholeShard } from '#src/calibration/shard.js'
import { Streams } from '#src/calibration/streams.js'
import { readBytes } from '#src/data/files.js'
import { createExecutor } from '#src/executor/choose.js'
import { advanceStage, observeStage, type StageContext } from '#src/model/observeStage.js'
import { planModel } from '#src/model/plan.js'
import { joinPlan, type PlannedModel } from '#src/model/preparedModel.js'
import { fixRanges } from '#src/model/ranges.js'
import { solveStage } from '#src/model/solveStage.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Network, SolvedLayer } from '#src/onnx/network.js'
import { openModel } from '#src/onnx/openModel.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { VERSION } from '#src/version.js'
import type { Cell } from './cells.js'
import { calibrationOf, type Subject, score, type Task } from './subjects.js'

const quiet: StageContext = { signal: undefined, onProgress: () => {}, timed: (_, act) => act() }

/** Quantizes and scores a reference model. @param task with activations */
export async function measureAfterwards(
  assets: string,
  subject: Subject,
  runner: Runner,
  { samples = subject.calibrationSamples, profile: _, ...options }: Task,
): Promise<Cell> {
  const start = performance.now()
  const opened = await openModel(await readBytes(join(assets, subject.model)))
  const batches: Feeds[] = []
  for await (const batch of await calibrationOf(assets, subject, opened.inputs, samples)) batches.push(batch)
  const { activations, ...weightsOnly } = options
  const planned = await joinPlan(opened, await planModel(opened, options))
  const float = await joinPlan(opened, await planModel(opened, weightsOnly))
  const executor = await createExecutor({})
  let solved: Network
  try {
    solved = await walk(float, runner, batches, async (stage, streams, network) => {
      const seen = await observeStage(float, streams, network, executor, quiet)
      return (await solveStage(float, stage, seen, executor, quiet)).layers
    })
  } finally {
    await executor.close()
  }
  const network = await walk(planned, runner, batches, async (stage, streams, current) => {
    streams.fix(current)
    return stage.quantize.map(({ name }) => solved.solved.get(name)!)
  })
  const formats = new Map(planned.plan.layers.map(({ name, format }) => [name, format]))
  const model = encodeModel(network.write(formats, VERSION).model)
  return {
    value: await score(assets, subject, runner, model),
    bytes: model.length,
    seconds: (performance.now() - start) / 1000,
    peakMemoryBytes: 0,
  }
}

/** All stages in turn. @param layersOf what is solved at a stage */
async function walk(
  planned: PlannedModel,
  runner: Runner,
  batches: readonly Feeds[],
  layersOf: (
    stage: PlannedModel['stages'][number],
    streams: Streams,
    network: Network,
  ) => Promise<readonly SolvedLayer[]>,
): Promise<Network> {
  const streams = new Streams(runner, planned.float, wholeShard(batches), planned.stages)
  let network = planned.float
  try {
    await streams.plan()
    for (const stage of planned.stages) {
      const advanced = await advanceStage(planned, streams, network, quiet)
      network = network.with([], fixRanges(planned.plan.settings, advanced))
      network = network.with(await layersOf(stage, streams, network))
      if (stage.replay) await streams.replay(network, quiet)
      await streams.release()
    }
  } finally {
    await streams.close()
  }
  return network
}
