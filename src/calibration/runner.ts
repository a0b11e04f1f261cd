/**
 * What gpfq needs of an inference engine: load model bytes, run feeds, name what comes out. ONNX Runtime Web
 * and ONNX Runtime Node both fit behind it (src/calibration/onnxRuntime.ts), and so does any engine that a
 * caller injects where neither can run.
 */
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'

export interface RunnerSession {
  readonly inputs: readonly RunnerInput[]
  readonly outputs: readonly string[]
  /** Runs once. Without `fetches` every output of the model is returned. */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>
  close(): Promise<void>
}

export interface Runner {
  /** For the report, for instance "onnxruntime-web 1.30.0 (wasm, 2 threads)". */
  readonly name: string
  load(model: Uint8Array): Promise<RunnerSession>
}
