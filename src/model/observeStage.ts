/**
 * observe, for a stage of a model: both networks run over one shard of the samples up to the stage's layers, and what they
 * compute is summed. The first verb of the main job; mergeStages and solveStage are the others.
 */
import {
  type Capture,
  type CaptureRule,
  captureSamples,
  groupByCapture,
  placeOf,
  segmentSamples,
} from '../calibration/captures.js'
import { sumOutputErrors } from '../calibration/outputErrors.js'
import type { RunContext, Streams } from '../calibration/streams.js'
import type { Executor } from '../executor/executor.js'
import type { Observations } from '../methods/observations.js'
import { needsOf, needsWholeG } from '../methods/solve.js'
import type { Network } from '../onnx/network.js'
import type { Stage } from '../onnx/stages.js'
import type { PlannedModel } from './preparedModel.js'
import type { Settings } from './settings.js'
import type { StageObservations } from './stageObservations.js'

export interface StageContext extends RunContext {
  /** Adds up what each part of the work takes. */
  readonly timed: <T>(what: 'calibration' | 'quantization', act: () => Promise<T>) => Promise<T>
  /** A capture's layers are about to be observed. */
  readonly onCapture?: (capture: Capture) => void
}

/** The captures of a stage's layers. */
export const capturesOf = (planned: PlannedModel, stage: Stage): readonly Capture[] =>
  groupByCapture(
    stage.quantize.map(({ name, inputs, groups, uses }) => {
      const planes = planned.byName.get(name)?.planes ?? 1
      return { name, inputs, groups, uses, planes }
    }),
  )

/** How rows are taken for these settings. */
export function captureRule(settings: Settings): CaptureRule {
  const { patches, randomPatches, biasCorrection } = settings
  return {
    patches,
    random: randomPatches === null ? null : { share: randomPatches, seed: settings.seed ?? 0 },
    wholeG: needsWholeG(settings, settings.radius.rule === 'search'),
    means: biasCorrection,
  }
}

/**
 * Runs the next stage of the streams' shard and observes it.
 * @param network the network quantized so far
 * @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, RUNTIME_FAILED, UNSUPPORTED_MODEL, WORKER_FAILED; the signal's reason
 */
export async function observeStage(
  planned: PlannedModel,
  streams: Streams,
  network: Network,
  executor: Executor,
  context: StageContext,
): Promise<StageObservations> {
  const { signal, onProgress, timed, onCapture } = context
  const { settings } = planned.plan
  const errors = sumOutputErrors(segmentSamples(streams.shard.total))
  const half = { signal, onProgress: (fraction: number) => onProgress(fraction / 2) }
  const stage = await timed('calibration', () => streams.advance(network, (pair) => errors.add(pair), half))
  const kind = needsOf(settings, settings.radius.rule === 'search')
  const captures = new Map<string, Observations>()
  if (kind === 'none') return { captures, errors: errors.result() }
  const all = capturesOf(planned, stage)
  for (const [index, capture] of all.entries()) {
    onCapture?.(capture)
    const { shape, batches } = captureSamples(capture, streams, network, captureRule(settings))
    const observations = await timed('quantization', () =>
      executor.observe(shape, batches(), {
        ...{ signal, kind, later: streams.shard.first > 0, place: placeOf(capture) },
        onProgress: (share) => onProgress((1 + (index + share) / all.length) / 2),
      }),
    )
    captures.set(capture.layers[0]!.name, observations)
  }
  return { captures, errors: errors.result() }
}
