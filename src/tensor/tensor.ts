/** Tensors as they cross the boundary between files, networks and kernels: plain typed arrays with a shape. */

/** Element types, named as ONNX Runtime names them. */
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

/** Named inputs of one run of a network. */
export type Feeds = Readonly<Record<string, Tensor>>

/** What a network says of one of its inputs. */
export interface RunnerInput {
  readonly name: string
  readonly type: string
  /** Symbolic or unknown dimensions are strings or null; null instead of dims where the model declares no shape at all. */
  readonly dims: readonly (number | string | null)[] | null
}
