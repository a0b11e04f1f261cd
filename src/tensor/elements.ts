/**
 * Element types of tensors: their sizes, the typed arrays that hold them, and conversion from one to another.
 *
 * A file's element type is rarely the model's: images come as uint8 for a float32 input, tokens as uint16 for
 * int64. Widening is silent; a value that the target cannot hold, or a fraction on its way to an integer, is an
 * error and never a wrapped number; between int64 and uint64 not even a rounded one. float16 travels as its bits in a
 * Uint16Array, as ONNX Runtime takes it.
 */

import { GpfqError } from '../errors.js'
import { float16ToFloat32, float32ToFloat16 } from './float16.js'
import type { TensorData, TensorType } from './tensor.js'

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

/** Smallest and largest value of each integer type; the 64-bit ones as far as float64 counts exactly. */
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

export function isTensorType(type: string): type is TensorType {
  return Object.hasOwn(ELEMENT_BYTES, type)
}

export function isFloatType(type: TensorType): boolean {
  return type === 'float16' || type === 'float32' || type === 'float64'
}

/** Number of elements of a shape; 1 for a scalar's []. */
export function elementCount(dims: readonly number[]): number {
  let count = 1
  for (const dim of dims) count *= dim
  return count
}

/** `length` elements of `type` that lie at `offset` of `buffer`; the offset must be aligned to the element. */
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

export function allocateElements(type: TensorType, length: number): TensorData {
  return elementsIn(type, new ArrayBuffer(length * ELEMENT_BYTES[type]), 0, length)
}

/** Element `index` as a float64, whatever the type. int64 beyond 2^53 is rounded. */
export function numberAt(type: TensorType, data: TensorData, index: number): number {
  const value = data[index]
  if (value === undefined) throw new RangeError(`element ${index}: expected an index below ${data.length}`)
  return type === 'float16' ? float16ToFloat32(Number(value)) : Number(value)
}

/**
 * `data` as elements of `target`. Returns `data` itself if the type is the same already.
 * @throws {GpfqError} INVALID_DATA for a value that `target` cannot hold; `place` names the file and input.
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
  const range = INTEGER_RANGE[target]
  const checked = range !== undefined && !isWithin(source, range)
  for (let i = 0; i < data.length; i++) {
    const value = numberAt(source, data, i)
    if (checked && !(value >= range[0] && value <= range[1] && Number.isInteger(value)))
      throw misfit(place, value, source, target)
    if (isWide(out)) out[i] = BigInt(value)
    else out[i] = target === 'float16' ? float32ToFloat16(value) : value
  }
  return out
}

function misfit(place: string, value: number | bigint, source: TensorType, target: TensorType): GpfqError {
  return new GpfqError(
    'INVALID_DATA',
    `${place}: expected integers that fit ${target}, got ${value} (${source}); convert the file, or name another input`,
  )
}

function isWide(data: TensorData): data is BigInt64Array | BigUint64Array {
  return data instanceof BigInt64Array || data instanceof BigUint64Array
}

function isWithin(source: TensorType, range: readonly [number, number]): boolean {
  const own = INTEGER_RANGE[source]
  return own !== undefined && own[0] >= range[0] && own[1] <= range[1]
}
