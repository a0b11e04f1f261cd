/**
 * MNIST's IDX arrays (yann.lecun.com/exdb/mnist). A file holds two zero bytes, a type byte, the number of dimensions, each
 * dimension as a big-endian uint32, and the elements in big-endian order.
 */
import { GpfqError } from '../errors.js'
import type { Tensor, TensorType } from '../tensor/tensor.js'
import { type ArrayLayout, decodeArray } from './npy.js'

const TYPE_OF_CODE: ReadonlyMap<number, TensorType> = new Map([
  [8, 'uint8'],
  [9, 'int8'],
  [11, 'int16'],
  [12, 'int32'],
  [13, 'float32'],
  [14, 'float64'],
])

/** Whether a file starts with an IDX magic number. */
export function isIdx(bytes: Uint8Array): boolean {
  const rank = bytes[3] ?? 0
  return bytes[0] === 0 && bytes[1] === 0 && TYPE_OF_CODE.has(bytes[2] ?? 0) && rank >= 1 && rank <= 8
}

/**
 * Reads the header of an array.
 * @param bytes the file, or its beginning
 * @param place the name of the file in errors
 * @throws {GpfqError} INVALID_DATA
 */
export function idxLayout(bytes: Uint8Array, place: string): ArrayLayout {
  const type = TYPE_OF_CODE.get(bytes[2] ?? 0)
  if (!isIdx(bytes) || type === undefined)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'an IDX file',
      got: 'one with another magic number',
    })
  const rank = bytes[3] ?? 0
  const start = 4 + 4 * rank
  if (bytes.length < start)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: `${start} bytes for the header`,
      got: String(bytes.length),
      hint: 'the file is cut short',
    })
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const dims = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis))
  return { type, dims, start, bigEndian: true, fortranOrder: false }
}

/**
 * Reads one array. An array of uint8, as all of MNIST are, is a view of the bytes.
 * @param place the name of the file in errors
 * @throws {GpfqError} INVALID_DATA
 */
export function parseIdx(bytes: Uint8Array, place = 'idx'): Tensor {
  return decodeArray(idxLayout(bytes, place), bytes, place)
}
