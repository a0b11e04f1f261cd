/** What lets other machines look at the samples (src/cluster): it is passed in, so that nobody else loads its code. */
import type { Streams } from '../calibration/streams.js'
import type { Executor } from '../executor/executor.js'
import type { StepContext } from './localSteps.js'
import type { PlannedModel } from './preparedModel.js'
import type { RunSamples } from './runSamples.js'
import type { StageSteps } from './stageLoop.js'

/** What the steps of a cluster are made of. */
export interface ClusterContext {
  readonly planned: PlannedModel
  /** All samples. */
  readonly samples: RunSamples
  /** Streams of the first batch, for the last check, and of the samples that are kept out. */
  readonly streams: Streams
  /** The runtime that the workers must have, too. */
  readonly runner: string
  /** The steps over these streams alone. */
  readonly local: StageSteps
  readonly step: StepContext
}

/** openCluster makes one. */
export interface Cluster {
  /**
   * An executor that has workers solve large layers.
   * @throws GpfqError UNSUPPORTED_MODEL for relaxed SIMD, whose bytes can differ
   */
  solver(local: Executor): Executor
  /** The steps of a run, which quantizeModel asks for. */
  steps(context: ClusterContext): Promise<StageSteps>
}
