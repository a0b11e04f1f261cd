/**
 * Where the verbs of a layer run:
 *
 *     pool     workers over one memory that they share
 *     worker   one worker with a memory of its own, where memory cannot be posted: a page that is not isolated
 *     inline   the calling thread, where there are no workers: edge runtimes
 *
 * An executor offers observe, solve and measure of src/methods. Below them everything is a view of one memory, so whoever
 * owns the memory runs a whole verb; between them everything is a value, so verbs may run anywhere. The one worker hosts
 * them all, with the inline pool inside, and only samples, observations, weights and codes travel (hosted.ts).
 */
import type { MeasureOptions, OutputSums } from '../methods/measure.js'
import type { Observations } from '../methods/observations.js'
import type { Batches, ObserveOptions } from '../methods/observeOptions.js'
import type { SampleShape } from '../methods/samplePlan.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import type { SolveOptions, SolveResult } from '../methods/solve.js'

/** A pool of workers over shared memory, one worker with a memory of its own, or the calling thread. */
export type ExecutorMode = 'pool' | 'worker' | 'inline'

export interface Executor {
  readonly mode: ExecutorMode
  readonly threads: number
  /** The kernels are those with relaxed SIMD. */
  readonly fastMath: boolean
  /** Most bytes of kernel memory in use so far. */
  readonly peakMemoryBytes: number
  /** Calls take turns: each has the memory for itself. */
  observe(shape: SampleShape, batches: Batches, options: ObserveOptions): Promise<Observations>
  solve(
    observations: Observations | null,
    requests: readonly SolveRequest[],
    options: SolveOptions,
  ): Promise<SolveResult>
  measure(
    shape: SampleShape,
    batches: Batches,
    request: SolveRequest,
    solution: LayerSolution,
    options: MeasureOptions,
  ): Promise<OutputSums>
  close(): Promise<void>
}
