/**
 * The error of each layer at 2 to 8 bits. The survey uses the verbs of the main job with other requests: the float network
 * runs once over the calibration data, and each layer is solved at all sizes from one H (Xq = X, since nothing before it is
 * quantized). The errors follow from H too, so no network runs with quantized weights. The same run sums the energies of
 * tensors for errorWeights.ts. Mixed precision chooses from the result (budget.ts).
 */
import { captureSamples, placeOf } from '../../calibration/captures.js'
import type { Runner } from '../../calibration/runner.js'
import type { Shard } from '../../calibration/shard.js'
import { type RunContext, Streams } from '../../calibration/streams.js'
import { GpfqError } from '../../errors.js'
import type { Executor } from '../../executor/executor.js'
import type { Stage } from '../../onnx/stages.js'
import { captureRule } from '../captureRule.js'
import { tensorBudget } from '../memoryBudget.js'
import { capturesOf } from '../observeStage.js'
import type { PlannedModel } from '../preparedModel.js'
import { requestsFor } from '../requests.js'
import type { Settings } from '../settings.js'
import { ErrorWeights } from './errorWeights.js'

/** Alphabets of 2 to 8 bits. Most are the largest with as many digits in a word (formats/packed.ts). */
const LEVELS: readonly number[] = [3, 4, 5, 7, 9, 15, 21, 35, 73, 255]

/** The levels to choose from. Sparsity needs an alphabet with zero: an odd number. */
export const surveyedLevels = ({ sparsity }: Pick<Settings, 'sparsity'>): readonly number[] =>
  sparsity === null ? LEVELS : LEVELS.filter((levels) => levels % 2 === 1)

/**
 * Squared relative output errors ‖XW − XQ‖² / ‖XW‖² of each layer, one for each of surveyedLevels, by layer name, times the
 * layer's weight (errorWeights.ts).
 * @throws GpfqError as observe and solve; the signal's reason
 */
export async function surveyErrors(
  planned: PlannedModel,
  executor: Executor,
  runner: Runner,
  shard: Shard,
  context: RunContext,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const { graph, layers, float, stages } = planned
  const errorWeights = new ErrorWeights(graph)
  const floatStages = stages.map((stage) => floatOnly(stage, errorWeights.wanted(stage.nodes)))
  const streams = new Streams(runner, float, shard, floatStages, tensorBudget(planned.plan).held)
  const errors = new Map<string, readonly number[]>()
  try {
    await streams.plan()
    for (const [index, stage] of floatStages.entries()) {
      await streams.advance(float, {
        signal: context.signal,
        onProgress: () => {},
        onOutput: (pair) => errorWeights.add(pair.tensor, pair.float),
      })
      await surveyStage(planned, streams, stage, executor, context.signal, errors)
      await streams.release()
      context.onProgress((index + 1) / stages.length)
    }
  } finally {
    await streams.close()
  }
  const weights = errorWeights.weights(layers.map(({ layer }) => layer))
  return new Map(
    [...errors].map(([name, relative]) => [name, relative.map((error) => weights.get(name)! * error ** 2)]),
  )
}

/** Solves the layers of a stage at all sizes and adds their relative errors to `errors`. */
async function surveyStage(
  planned: PlannedModel,
  streams: Streams,
  stage: Stage,
  executor: Executor,
  signal: AbortSignal | undefined,
  errors: Map<string, readonly number[]>,
): Promise<void> {
  const { settings } = planned.plan
  const surveyed = surveyedLevels(settings)
  for (const { layers, uses } of capturesOf(planned, stage)) {
    // Errors of weights alone: activations stay as they are.
    const capture = { layers: layers.map((layer) => ({ ...layer, rounded: false })), uses }
    const rule = { ...captureRule(settings), means: false }
    const { shape, batches } = captureSamples(capture, streams, planned.float, rule)
    const run = { signal, place: placeOf(capture) }
    const observations = await executor.observe(shape, batches(), run)
    const requests = capture.layers.flatMap(({ name }) =>
      requestsFor(planned.graph, planned.byName.get(name)!, settings, surveyed),
    )
    const { solutions } = await executor.solve(
      observations,
      requests.map((request) => ({ ...request, withError: true })),
      // Passes would take most of the time, change the errors little and their order hardly at all.
      { ...run, recipe: { ...settings, passes: 0 } },
    )
    for (const [i, { name }] of capture.layers.entries()) {
      const own = solutions.slice(i * surveyed.length, (i + 1) * surveyed.length)
      errors.set(
        name,
        own.map(({ relativeError }) => known(relativeError, name)),
      )
    }
  }
}

/** The same stage with no quantized layer before it. `measured` are the tensors whose energy is summed. */
const floatOnly = (stage: Stage, measured: readonly string[]): Stage => ({
  ...stage,
  changed: [],
  measured,
  replay: false,
})

function known(error: number | undefined, name: string): number {
  if (error !== undefined) return error
  throw new GpfqError('WORKER_FAILED', { place: `layer '${name}'`, expected: 'an error from H', got: 'none' })
}
