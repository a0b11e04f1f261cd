/**
 * How much memory data may take once it is unpacked. A file of some kilobytes can unpack to gigabytes, and a header can
 * declare them: what a file says of itself is compared with a bound first, and a stream is unpacked in pieces and stopped
 * at the bound. The bound follows from the model's input and the samples that are wanted. Where the input leaves its size
 * open, or all samples are wanted, it is a default.
 */
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { elementCount } from '../tensor/elements.js'
import { sampleDims } from '../tensor/shapes.js'
import type { RunnerInput } from '../tensor/tensor.js'

/** Most bytes of an unpacked array, where the model and the samples do not ask for more. */
export const ARRAY_BYTES = 2 ** 30

/** Most bytes of a decoded image, 4 a pixel: 67 million pixels. */
export const IMAGE_BYTES = 2 ** 28

/** The longest header of an array, in bytes. NumPy refuses more than 10,000 itself. */
export const HEADER_BYTES = 2 ** 16

/** The largest element that a file can hold for an element of the model. */
const LARGEST_ELEMENT = 8

/**
 * Most bytes that the samples of one input may take.
 * @param samples wanted; undefined for all of the file
 * @param maxBytes the user's own bound
 */
export function boundOf(input: RunnerInput, samples: number | undefined, maxBytes?: number): number {
  if (maxBytes !== undefined) return maxBytes
  const dims = sampleDims(input) ?? []
  const fixed = dims.filter((dim): dim is number => typeof dim === 'number' && dim > 0)
  if (fixed.length < dims.length || samples === undefined) return ARRAY_BYTES
  return Math.max(ARRAY_BYTES, HEADER_BYTES + samples * elementCount(fixed) * LARGEST_ELEMENT)
}

/** The error of data beyond its bound. @param got its bytes; null where it was stopped before its end */
export function tooLarge(place: string, what: string, bound: number, got: number | null): GpfqError {
  return new GpfqError('INVALID_DATA', {
    place,
    expected: `at most ${sizeText(bound)} for ${what}`,
    got: got === null ? 'more' : sizeText(got),
    hint: HINTS['max-bytes'],
  })
}

/** A number of bytes in binary units. */
export function sizeText(bytes: number): string {
  if (!Number.isFinite(bytes)) return 'far more'
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = bytes
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${Number(value.toPrecision(4))} ${units[unit]}`
}
