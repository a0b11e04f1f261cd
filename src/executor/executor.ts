/**
 * Where samples are quantized:
 *
 *     pool     workers over one memory that they share
 *     worker   one worker with a memory of its own, where memory cannot be posted: a page that is not isolated
 *     inline   the calling thread, where there are no workers: edge runtimes
 *
 * The seam lies at quantizeSamples, above the methods, because below it everything is views of one memory: whoever owns
 * the memory runs the whole method. So the one worker hosts it all, with the inline pool inside, and only samples,
 * weights and codes travel (hosted.ts); methods, plans and kernels know of none of this.
 */
import type { quantizeSamples } from '../methods/quantizeSamples.js'

export type ExecutorMode = 'pool' | 'worker' | 'inline'

type QuantizeSamples = typeof quantizeSamples
type SamplesArguments = Parameters<QuantizeSamples> extends [unknown, ...infer Rest] ? Rest : never

export interface Executor {
  readonly mode: ExecutorMode
  readonly threads: number
  /** The kernels are those with relaxed SIMD. */
  readonly fastMath: boolean
  /** Most bytes of kernel memory in use so far. */
  readonly peakMemoryBytes: number
  /** quantizeSamples of src/methods, wherever it runs. One call at a time. */
  quantizeSamples(...args: SamplesArguments): ReturnType<QuantizeSamples>
  close(): Promise<void>
}
