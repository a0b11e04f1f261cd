/**
 * observe, for a stage of a model, in two steps. `advanceStage` runs both networks over one shard of the samples up to the
 * stage's layers: errors of earlier layers, and ranges of activations. When the ranges of all shards are merged and fixed
 * (ranges.ts), `observeStage` sums H and G of the layers' inputs, rounded as the layers will read them.
 */
import {
  type Capture,
  captureSamples,
  groupByCapture,
  placeOf,
  segmentSamples,
} from '../calibration/captures.js'
import { sumOutputErrors } from '../calibration/outputErrors.js'
import { floats } from '../calibration/roundTensor.js'
import type { RunContext, Streams } from '../calibration/streams.js'
import type { Executor } from '../executor/executor.js'
import type { Observations } from '../methods/observations.js'
import { needsOf } from '../methods/solve.js'
import type { Network } from '../onnx/network.js'
import type { Stage } from '../onnx/stages.js'
import { captureRule } from './captureRule.js'
import type { PlannedModel } from './preparedModel.js'
import { rangeCounters } from './ranges.js'
import { NOTHING_SEEN, type StageObservations } from './stageObservations.js'

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
      const { planes = 1, ranges = null } = planned.byName.get(name) ?? {}
      return { name, inputs, groups, uses, planes, rounded: ranges === 'dynamic' }
    }),
  )

/**
 * Runs the next stage of the streams' shard.
 * @param network the network quantized so far
 * @returns errors of layers quantized before, and ranges of the stage's tensors
 * @throws GpfqError INVALID_DATA, RUNTIME_FAILED, UNSUPPORTED_MODEL; the signal's reason
 */
export async function advanceStage(
  planned: PlannedModel,
  streams: Streams,
  network: Network,
  { signal, onProgress, timed }: StageContext,
): Promise<StageObservations> {
  const errors = sumOutputErrors(segmentSamples(streams.shard.total))
  const heldOutErrors = sumOutputErrors(segmentSamples(streams.shard.total))
  const counters = rangeCounters(planned, streams.next.ranges)
  await timed('calibration', () =>
    streams.advance(network, {
      ...{ signal, onProgress },
      onOutput: (pair) => (pair.heldOut ? heldOutErrors : errors).add(pair),
      onRange: (name, tensor) => counters.get(name)?.add(floats(name, tensor), tensor.dims),
    }),
  )
  const ranges = new Map([...counters].map(([name, counter]) => [name, counter.result()]))
  return { ...NOTHING_SEEN, errors: errors.result(), heldOutErrors: heldOutErrors.result(), ranges }
}

/**
 * Observes the layers of the stage that the streams are at, once its ranges are fixed (Streams.fix).
 * @param network with the quantizers of the stage's tensors
 * @returns the observations of each capture
 * @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, RUNTIME_FAILED, WORKER_FAILED; the signal's reason
 */
export async function observeStage(
  planned: PlannedModel,
  streams: Streams,
  network: Network,
  executor: Executor,
  { signal, onProgress, timed, onCapture }: StageContext,
): Promise<StageObservations> {
  const { settings } = planned.plan
  const kind = needsOf(settings, settings.radius.rule === 'search')
  if (kind === 'none') return NOTHING_SEEN
  const captures = new Map<string, Observations>()
  const all = capturesOf(planned, streams.current)
  for (const [index, capture] of all.entries()) {
    onCapture?.(capture)
    const { shape, batches } = captureSamples(capture, streams, network, captureRule(settings))
    const options = {
      ...{ signal, kind, later: streams.shard.first > 0, place: placeOf(capture) },
      onProgress: (share: number) => onProgress((index + share) / all.length),
    }
    const observations = await timed(
      'quantization',
      async () =>
        (await streams.runner.observe?.(shape, batches, options)) ??
        (await executor.observe(shape, batches(), options)),
    )
    captures.set(capture.layers[0]!.name, observations)
  }
  return { ...NOTHING_SEEN, captures }
}
