/**
 * What gpfq needs of an inference engine: it loads a model, runs it on feeds and returns outputs by name.
 * src/calibration/onnxRuntime.ts implements it with ONNX Runtime Web and ONNX Runtime Node. A caller can pass another
 * engine where neither runs.
 */
import type { Observations } from '../methods/observations.js'
import type { Batches, ObserveOptions } from '../methods/observeOptions.js'
import type { SampleShape } from '../methods/samplePlan.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'

/** Whether an engine's text says that it found no memory. ONNX Runtime has several, and no code for it. */
export const saysNoMemory = (reason: string): boolean =>
  /out of memory|allocation failed|failed to allocate|could not allocate|bad_alloc/i.test(reason)

/** A loaded model. */
export interface RunnerSession {
  readonly inputs: readonly RunnerInput[]
  readonly outputs: readonly string[]
  /**
   * Runs once.
   * @param feeds a tensor for every input
   * @param fetches names of the outputs to return; without it all of them
   */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>
  /** Seconds that the last run took, without handing tensors over; left out where `run` does nothing else. */
  readonly seconds?: number | undefined
  /** Frees the model. */
  close(): Promise<void>
}

/** How a model is loaded. */
export interface LoadOptions {
  /** False: its nodes run as they are, without rewriting the graph. Default true. */
  readonly optimized?: boolean
}

/** An inference engine. */
export interface Runner {
  /** For the report, for instance "onnxruntime-web 1.30.0 (wasm, 2 threads)". */
  readonly name: string
  /** Why some models ran elsewhere than its name says; null or left out where none did. */
  readonly fellBack?: string | null
  /**
   * Sums the samples of a layer where the models run, as Executor.observe. Null for sums that it has no kernels for; left out where
   * there are none.
   */
  observe?(shape: SampleShape, batches: () => Batches, options: ObserveOptions): Promise<Observations | null>
  /**
   * Loads a model.
   * @param model bytes of an .onnx file without external data
   * @param options how; an engine may ignore it
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<RunnerSession>
}
