/** The steps of a run in this process: both streams of all samples run in ONNX Runtime, and the executor observes and solves. */
import type { Streams } from '../calibration/streams.js'
import type { Executor } from '../executor/executor.js'
import { advanceStage, observeStage } from './observeStage.js'
import type { PlannedModel } from './preparedModel.js'
import type { RunProgress } from './runProgress.js'
import type { RunSamples } from './runSamples.js'
import { solveRounded, solveStage } from './solveStage.js'
import type { StageSteps } from './stageLoop.js'
import { NOTHING_SEEN } from './stageObservations.js'

/** What the steps of a run share. */
export interface StepContext {
  readonly executor: Executor
  readonly signal: AbortSignal | undefined
  readonly progress: Pick<RunProgress, 'stage' | 'timed' | 'layersStart'>
}

/** The steps over the samples. @param streams planned (Streams.plan), at their beginning */
export function sampleSteps(
  planned: PlannedModel,
  streams: Streams,
  { isJudged, distinctRows }: Pick<RunSamples, 'isJudged' | 'distinctRows'>,
  { executor, signal, progress }: StepContext,
): StageSteps {
  const { timed, layersStart: onCapture } = progress
  const at = (stage: number, from: number, share: number) => (fraction: number) =>
    progress.stage(stage, from + share * fraction)
  return {
    round: () => round(planned, { executor, signal, progress }),
    advance: (stage, network) =>
      advanceStage(planned, streams, network, { signal, timed, onProgress: at(stage, 0, 0.4) }),
    fix: (_, network) => timed('calibration', () => streams.fix(network)),
    async solve(stage, network) {
      const observed = await observeStage(planned, streams, network, executor, {
        ...{ signal, timed, onCapture, onProgress: at(stage, 0.4, 0.4) },
      })
      return timed('quantization', () =>
        solveStage(planned, planned.stages[stage]!, observed, executor, {
          ...{ signal, onProgress: at(stage, 0.8, 0.2) },
          ...{ distinctRows, judges: isJudged ? { streams, network } : undefined },
        }),
      )
    },
    async end(stage, network) {
      if (planned.stages[stage]!.replay)
        await timed('calibration', () => streams.replay(network, { signal, onProgress: () => {} }))
      await streams.release()
    },
  }
}

/** The steps of layers whose method looks at no samples, without any. */
export function weightSteps(planned: PlannedModel, { executor, signal, progress }: StepContext): StageSteps {
  return {
    round: () => round(planned, { executor, signal, progress }),
    advance: async () => NOTHING_SEEN,
    fix: async () => {},
    solve: (stage) =>
      progress.timed('quantization', () =>
        solveStage(planned, planned.stages[stage]!, null, executor, {
          signal,
          onCapture: progress.layersStart,
          onProgress: (fraction) => progress.stage(stage, 0.4 + 0.6 * fraction),
        }),
      ),
    end: async () => {},
  }
}

const round = (
  planned: PlannedModel,
  { executor, signal, progress }: StepContext,
): ReturnType<StageSteps['round']> =>
  progress.timed('quantization', () =>
    solveRounded(planned, executor, {
      signal,
      onLayer: (name) => progress.layersStart({ layers: [{ name }] }),
    }),
  )
