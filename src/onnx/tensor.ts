/**
 * Values of a TensorProto as typed arrays, and typed arrays as TensorProtos. ONNX stores values either as little-endian
 * raw bytes or in a typed field (16-bit floats as integers in int32_data). Both are read here and checked against the
 * dims. Aligned raw bytes are not copied: a returned array may be a view of the file and must not be written to.
 */
import { create } from '@bufbuild/protobuf'
import {
  TensorProto_DataType as DataType,
  TensorProto_DataLocation as Location,
  type TensorProto,
  TensorProtoSchema,
  type TypeProto,
} from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { bfloat16ToFloat32, float16Bits, float16Values, float32ToBfloat16 } from '../tensor/float16.js'
import type { TensorType } from '../tensor/tensor.js'

/** ONNX element type of each tensor type. */
export const ELEM_TYPES: Readonly<Record<TensorType, number>> = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  float16: DataType.FLOAT16,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
  int16: DataType.INT16,
  uint16: DataType.UINT16,
  int32: DataType.INT32,
  uint32: DataType.UINT32,
  int64: DataType.INT64,
  uint64: DataType.UINT64,
  bool: DataType.BOOL,
}

/** Whether a value is a tensor of numbers, or its type is not declared. Sequences, maps and strings are not. */
export function isNumeric(type: TypeProto | undefined): boolean {
  if (type?.value.case === undefined) return true
  if (type.value.case !== 'tensorType') return false
  const { elemType } = type.value.value
  return elemType === DataType.UNDEFINED || Object.values(ELEM_TYPES).includes(elemType)
}

const BITS: Readonly<Record<number, number>> = {
  [DataType.FLOAT]: 32,
  [DataType.UINT8]: 8,
  [DataType.INT8]: 8,
  [DataType.UINT16]: 16,
  [DataType.INT16]: 16,
  [DataType.INT32]: 32,
  [DataType.INT64]: 64,
  [DataType.BOOL]: 8,
  [DataType.FLOAT16]: 16,
  [DataType.DOUBLE]: 64,
  [DataType.UINT32]: 32,
  [DataType.UINT64]: 64,
  [DataType.COMPLEX64]: 64,
  [DataType.COMPLEX128]: 128,
  [DataType.BFLOAT16]: 16,
  [DataType.FLOAT8E4M3FN]: 8,
  [DataType.FLOAT8E4M3FNUZ]: 8,
  [DataType.FLOAT8E5M2]: 8,
  [DataType.FLOAT8E5M2FNUZ]: 8,
  [DataType.FLOAT8E8M0]: 8,
  [DataType.UINT4]: 4,
  [DataType.INT4]: 4,
  [DataType.FLOAT4E2M1]: 4,
  [DataType.UINT2]: 2,
  [DataType.INT2]: 2,
}

/** Bytes of `count` elements; null for strings and unknown types. */
export function byteLengthOf(dataType: number, count: number): number | null {
  const bits = BITS[dataType]
  return bits === undefined ? null : Math.ceil((count * bits) / 8)
}

/** The dims of a tensor as numbers. */
export function dimsOf(tensor: TensorProto): number[] {
  return tensor.dims.map(Number)
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

/** Whether `readFloats` can read this element type. */
export function isFloatType(dataType: number): boolean {
  return (
    dataType === DataType.FLOAT ||
    dataType === DataType.FLOAT16 ||
    dataType === DataType.BFLOAT16 ||
    dataType === DataType.DOUBLE
  )
}

/** The name of an ONNX element type in lower case. */
export function typeName(dataType: number): string {
  return (DataType[dataType] ?? `type ${dataType}`).toLowerCase()
}

/**
 * Float values in row-major order, (size of dims). float16, bfloat16 and double are converted to float32.
 * @throws {GpfqError} INVALID_MODEL for another type, or for values that do not fill the dims
 */
export function readFloats(tensor: TensorProto): Float32Array {
  const count = countOf(tensor)
  const raw = rawBytes(tensor, count)
  switch (tensor.dataType) {
    case DataType.FLOAT:
      if (raw !== null) return view(raw, Float32Array, 4)
      return Float32Array.from(typed(tensor, tensor.floatData, count))
    case DataType.DOUBLE:
      return Float32Array.from(
        raw !== null ? view(raw, Float64Array, 8) : typed(tensor, tensor.doubleData, count),
      )
    case DataType.FLOAT16:
    case DataType.BFLOAT16: {
      const bits = raw !== null ? view(raw, Uint16Array, 2) : typed(tensor, tensor.int32Data, count)
      return tensor.dataType === DataType.FLOAT16
        ? float16Values(bits)
        : Float32Array.from(bits, bfloat16ToFloat32)
    }
    default:
      throw invalid(tensor, 'float values', typeName(tensor.dataType))
  }
}

/**
 * The value of a float tensor of one element; undefined for another tensor.
 * @throws {GpfqError} INVALID_MODEL for values that do not fill the dims
 */
export function readScalar(tensor: TensorProto): number | undefined {
  return isFloatType(tensor.dataType) && countOf(tensor) === 1 ? readFloats(tensor)[0] : undefined
}

/**
 * Integer values of a small tensor: shapes, axes, indices.
 * @throws {GpfqError} INVALID_MODEL for a type other than int32 and int64, or for values that do not fill the dims
 */
export function readInts(tensor: TensorProto): number[] {
  const count = countOf(tensor)
  const raw = rawBytes(tensor, count)
  switch (tensor.dataType) {
    case DataType.INT64:
      return Array.from(
        raw !== null ? view(raw, BigInt64Array, 8) : typed(tensor, tensor.int64Data, count),
        Number,
      )
    case DataType.INT32:
      return Array.from(raw !== null ? view(raw, Int32Array, 4) : typed(tensor, tensor.int32Data, count))
    default:
      throw invalid(tensor, 'int32 or int64 values', typeName(tensor.dataType))
  }
}

/** A tensor of raw bytes. `values` are copied, so that they can be in shared memory. */
export function makeTensor(
  name: string,
  dataType: number,
  dims: readonly number[],
  values: ArrayBufferView,
): TensorProto {
  const rawData = new Uint8Array(values.byteLength)
  rawData.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return create(TensorProtoSchema, { name, dataType, dims: dims.map(BigInt), rawData })
}

/**
 * A tensor of float values, stored in `dataType`.
 * @throws {GpfqError} UNSUPPORTED_MODEL for a type that is not a float type
 */
export function makeFloats(
  name: string,
  dataType: number,
  dims: readonly number[],
  values: Float32Array,
): TensorProto {
  switch (dataType) {
    case DataType.FLOAT:
      return makeTensor(name, dataType, dims, values)
    case DataType.DOUBLE:
      return makeTensor(name, dataType, dims, Float64Array.from(values))
    case DataType.FLOAT16:
    case DataType.BFLOAT16:
      return makeTensor(
        name,
        dataType,
        dims,
        dataType === DataType.FLOAT16 ? float16Bits(values) : Uint16Array.from(values, float32ToBfloat16),
      )
    default:
      throw new GpfqError('UNSUPPORTED_MODEL', {
        place: `tensor '${name}'`,
        expected: 'a float type',
        got: typeName(dataType),
      })
  }
}

/** A tensor of int64 values. */
export function makeInts(name: string, dims: readonly number[], values: readonly number[]): TensorProto {
  return makeTensor(name, DataType.INT64, dims, BigInt64Array.from(values, BigInt))
}

/**
 * The number of elements that the dims of a tensor give.
 * @throws {GpfqError} INVALID_MODEL for dims that are negative, or more than a file can hold
 */
export function countOf(tensor: TensorProto): number {
  const dims = dimsOf(tensor)
  const bad = dims.find((dim) => !Number.isSafeInteger(dim) || dim < 0)
  if (bad !== undefined) throw invalid(tensor, 'dims of at least 0', String(bad))
  const count = dims.includes(0) ? 0 : sizeOf(dims)
  if (!Number.isSafeInteger(count)) throw invalid(tensor, 'fewer than 2^53 elements', String(count))
  return count
}

/**
 * Checks that the values of a tensor fill its dims, without reading them. Values in another file are not looked at.
 * @throws {GpfqError} INVALID_MODEL if they do not
 */
export function checkValues(tensor: TensorProto): void {
  const count = countOf(tensor)
  const { dataLocation, dataType, rawData } = tensor
  const expected = byteLengthOf(dataType, count)
  if (dataLocation === Location.EXTERNAL || expected === null) return
  if (rawData.length > 0) rawBytes(tensor, count)
  else if (isFloatType(dataType)) typed(tensor, typedField(tensor), count)
}

function typedField({ dataType, floatData, doubleData, int32Data }: TensorProto): ArrayLike<unknown> {
  if (dataType === DataType.FLOAT) return floatData
  return dataType === DataType.DOUBLE ? doubleData : int32Data
}

/** The raw bytes, checked for length; null if the values are in a typed field. */
function rawBytes(tensor: TensorProto, count: number): Uint8Array<ArrayBuffer> | null {
  if (tensor.dataLocation === Location.EXTERNAL)
    throw new GpfqError('INVALID_MODEL', {
      place: `tensor '${tensor.name}'`,
      problem: 'its values are in another file',
      hint: 'resolve external data before reading the weights',
    })
  const expected = byteLengthOf(tensor.dataType, count) ?? 0
  if (tensor.rawData.length === 0 && expected > 0) return null
  if (tensor.rawData.length !== expected)
    throw invalid(tensor, `${expected} bytes for dims [${dimsOf(tensor)}]`, `${tensor.rawData.length}`)
  return tensor.rawData
}

function typed<T extends ArrayLike<unknown>>(tensor: TensorProto, values: T, count: number): T {
  if (values.length !== count)
    throw invalid(tensor, `${count} values for dims [${dimsOf(tensor)}]`, `${values.length}`)
  return values
}

function view<T>(
  bytes: Uint8Array<ArrayBuffer>,
  type: new (buffer: ArrayBuffer, offset: number, length: number) => T,
  size: number,
): T {
  // The constructor copies; the slice() of a Node Buffer does not.
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return new type(aligned.buffer, aligned.byteOffset, aligned.length / size)
}

function invalid(tensor: TensorProto, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_MODEL', { place: `tensor '${tensor.name}'`, expected, got })
}
