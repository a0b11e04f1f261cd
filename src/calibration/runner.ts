/**
 * What gpfq needs of an inference engine: load model bytes, run feeds, name what comes out. ONNX Runtime Web
 * and ONNX Runtime Node both fit behind it (src/calibration/onnxRuntime.ts), and so does any engine that a
 * caller injects where neither can run.
 */

/** Element types that cross the boundary, named as ONNX Runtime names them. */
export type TensorType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

/** A dense tensor in row-major order: `data.length` is the product of `dims`. float16 travels as Uint16Array bits. */
export interface Tensor {
  readonly type: TensorType
  readonly dims: readonly number[]
  readonly data: TensorData
}

/** Named inputs of one run. */
export type Feeds = Readonly<Record<string, Tensor>>

export interface RunnerInput {
  readonly name: string
  readonly type: string
  /** Symbolic or unknown dimensions are strings or null; null instead of dims where the model declares no shape at all. */
  readonly dims: readonly (number | string | null)[] | null
}

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
