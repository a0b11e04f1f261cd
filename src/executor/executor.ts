/**
 * An executor runs the verbs of a layer, observe, solve and measure of src/methods, in one of three modes:
 *
 *     pool     workers that share one memory
 *     worker   one worker with its own memory, on a page that is not isolated and so cannot share memory
 *     inline   the calling thread, where there are no workers: edge runtimes
 *
 * Within a verb all data are views of one memory, so a verb runs where that memory is. Between verbs all data are values,
 * so each verb can run anywhere. In mode `worker` all verbs run in the worker, on the inline pool; only samples,
 * observations, weights and codes are posted (hosted.ts).
 */
import type { MeasureOptions, OutputSums } from '../methods/measure.js'
import type { Observations } from '../methods/observations.js'
import type { Batches, ObserveOptions } from '../methods/observeOptions.js'
import type { SampleShape } from '../methods/samplePlan.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import type { SolveOptions, SolveResult } from '../methods/solve.js'

/** A pool of workers over shared memory, one worker with a memory of its own, or the calling thread. */
export type ExecutorMode = 'pool' | 'worker' | 'inline'

/** Runs the verbs of a layer. */
export interface Executor {
  readonly mode: ExecutorMode
  readonly threads: number
  /** Whether the kernels use relaxed SIMD. */
  readonly fastMath: boolean
  /** Peak of kernel memory in use so far, in bytes. */
  readonly peakMemoryBytes: number
  /**
   * As in src/methods/observe.ts. Calls of all verbs take turns, because each uses the whole memory.
   * @throws GpfqError CLOSED after close, and what the verb throws
   */
  observe(shape: SampleShape, batches: Batches, options: ObserveOptions): Promise<Observations>
  /** As in src/methods/solve.ts. */
  solve(
    observations: Observations | null,
    requests: readonly SolveRequest[],
    options: SolveOptions,
  ): Promise<SolveResult>
  /** As in src/methods/measure.ts. */
  measure(
    shape: SampleShape,
    batches: Batches,
    request: SolveRequest,
    solution: LayerSolution,
    options: MeasureOptions,
  ): Promise<OutputSums>
  /** Stops the workers. Calls under way and later calls fail with CLOSED. */
  close(): Promise<void>
}
