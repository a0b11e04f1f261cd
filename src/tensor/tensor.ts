/** Tensors between files, networks and kernels: plain typed arrays with a shape. */

/** Element types, with the names of ONNX Runtime. */
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

/** The typed arrays of the element types; bool is a Uint8Array. */
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

/** A dense tensor in row-major order: `data.length` is the product of `dims`. float16 is stored as bits in a Uint16Array. */
export interface Tensor {
  readonly type: TensorType
  readonly dims: readonly number[]
  readonly data: TensorData
}

/** Named inputs of one run of a network. */
export type Feeds = Readonly<Record<string, Tensor>>

/** An input of a network, as the model declares it. */
export interface RunnerInput {
  readonly name: string
  readonly type: string
  /** Named dimensions are strings, unknown ones null. Null in place of the list if the model declares no shape. */
  readonly dims: readonly (number | string | null)[] | null
}
