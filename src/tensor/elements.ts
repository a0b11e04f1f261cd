/**
 * Element types of tensors: their sizes, their typed arrays, and conversion from one to another.
 *
 * The element type of a file is often not that of the model: images are uint8 for a float32 input, tokens are uint16 for
 * int64. A value that the target type cannot hold is an error, and so is a fraction for an integer type: values are never
 * wrapped. Between int64 and uint64 they are not rounded either. float16 is stored as its bits in a Uint16Array, as in
 * ONNX Runtime.
 */
import { rangeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { float16Bits, float16ToFloat32, float16Values } from './float16.js'
import type { Tensor, TensorData, TensorType } from './tensor.js'

/** Bytes of one element. */
export const ELEMENT_BYTES: Readonly<Record<TensorType, number>> = {
  float16: 2,
  float32: 4,
  float64: 8,
  int8: 1,
  uint8: 1,
  bool: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
}

/** Smallest and largest value of each integer type; for 64 bits, the integers that float64 represents exactly. */
const INTEGER_RANGE: Readonly<Partial<Record<TensorType, readonly [number, number]>>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  bool: [0, 1],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-2147483648, 2147483647],
  uint32: [0, 4294967295],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
}

/** Whether a name is that of an element type. */
export function isTensorType(type: string): type is TensorType {
  return Object.hasOwn(ELEMENT_BYTES, type)
}

/** Whether the elements are floats. */
export function isFloatType(type: TensorType): boolean {
  return type === 'float16' || type === 'float32' || type === 'float64'
}

/** Number of elements of a shape; 1 for a scalar's []. */
export function elementCount(dims: readonly number[]): number {
  let count = 1
  for (const dim of dims) count *= dim
  return count
}

/**
 * A view of elements in a buffer.
 * @param offset in bytes, a multiple of the element's size
 * @param length in elements
 */
export function elementsIn(
  type: TensorType,
  buffer: ArrayBufferLike,
  offset: number,
  length: number,
): TensorData {
  switch (type) {
    case 'float32':
      return new Float32Array(buffer, offset, length)
    case 'float64':
      return new Float64Array(buffer, offset, length)
    case 'float16':
    case 'uint16':
      return new Uint16Array(buffer, offset, length)
    case 'int8':
      return new Int8Array(buffer, offset, length)
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer, offset, length)
    case 'int16':
      return new Int16Array(buffer, offset, length)
    case 'int32':
      return new Int32Array(buffer, offset, length)
    case 'uint32':
      return new Uint32Array(buffer, offset, length)
    case 'int64':
      return new BigInt64Array(buffer, offset, length)
    case 'uint64':
      return new BigUint64Array(buffer, offset, length)
  }
}

/** `length` zeros of a type. */
export function allocateElements(type: TensorType, length: number): TensorData {
  return elementsIn(type, new ArrayBuffer(length * ELEMENT_BYTES[type]), 0, length)
}

/**
 * One element as a float64. 64-bit integers beyond 2^53 are rounded.
 * @throws {RangeError} for an index outside the data
 */
export function numberAt(type: TensorType, data: TensorData, index: number): number {
  const value = data[index]
  if (value === undefined) throw rangeError('index', `an element below ${data.length}`, index)
  return type === 'float16' ? float16ToFloat32(Number(value)) : Number(value)
}

/** All elements as numbers: the array itself where its elements are. 64-bit integers beyond 2^53 are rounded. */
export function numbersOf({ type, data }: Pick<Tensor, 'type' | 'data'>): Exclude<TensorData, BigData> {
  if (isWide(data)) return Float64Array.from(data, Number)
  return type === 'float16' ? float16Values(data) : data
}

/**
 * `data` as elements of `target`; `data` itself if the types are equal.
 * @param place the file and the input, for the error
 * @throws {GpfqError} INVALID_DATA for a value that `target` cannot hold
 */
export function convertElements(
  place: string,
  data: TensorData,
  source: TensorType,
  target: TensorType,
): TensorData {
  if (source === target) return data
  const out = allocateElements(target, data.length)
  if (isWide(data) && isWide(out)) {
    for (const [i, value] of data.entries()) {
      out[i] = value
      if (out[i] !== value) throw misfit(place, value, source, target)
    }
    return out
  }
  if (isFloatType(target)) return toFloats(place, numbersOf({ type: source, data }), source, target)
  const range = INTEGER_RANGE[target]
  const checked = range !== undefined && !isWithin(source, range)
  for (let i = 0; i < data.length; i++) {
    const value = numberAt(source, data, i)
    if (checked && !(value >= range[0] && value <= range[1] && Number.isInteger(value)))
      throw misfit(place, value, source, target)
    if (isWide(out)) out[i] = BigInt(value)
    else out[i] = value
  }
  return out
}

function toFloats(
  place: string,
  values: Exclude<TensorData, BigData>,
  source: TensorType,
  target: TensorType,
): TensorData {
  if (target !== 'float16') return target === 'float32' ? new Float32Array(values) : new Float64Array(values)
  const bits = float16Bits(values)
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & 0x7fff) === 0x7c00 && Number.isFinite(values[i]))
      throw new GpfqError('INVALID_DATA', {
        place,
        expected: 'values that fit float16, from −65504 to 65504',
        got: `${values[i]} (${source})`,
        hint: HINTS['scale-mean-std'],
      })
  return bits
}

function misfit(place: string, value: number | bigint, source: TensorType, target: TensorType): GpfqError {
  return new GpfqError('INVALID_DATA', {
    place,
    expected: `integers that fit ${target}`,
    got: `${value} (${source})`,
    hint: 'convert the file, or name another input',
  })
}

type BigData = BigInt64Array | BigUint64Array

function isWide(data: TensorData): data is BigData {
  return data instanceof BigInt64Array || data instanceof BigUint64Array
}

function isWithin(source: TensorType, range: readonly [number, number]): boolean {
  const own = INTEGER_RANGE[source]
  return own !== undefined && own[0] >= range[0] && own[1] <= range[1]
}
