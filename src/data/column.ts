/**
 * A column: samples of one model input that have one shape, read a batch at a time. An input can have several, one after
 * another. There are three kinds. Batches of an array file are views of its elements. Images are decoded when a batch is
 * read (imageColumn.ts), sound when it is made ready (soundColumn.ts).
 */
import { rangeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { elementCount, isFloatType, numbersOf } from '../tensor/elements.js'
import { swapLeading } from '../tensor/shapes.js'
import type { Tensor, TensorData, TensorType } from '../tensor/tensor.js'
import { shapeText } from './quote.js'
import type { ArrayEntry } from './source.js'

export interface Column {
  /** The name of the file or folder in errors. */
  readonly place: string
  readonly type: TensorType
  /** Samples in the files. */
  readonly samples: number
  /** Decoded images are (channels, height, width), independently of the layout of array files. */
  readonly isImages: boolean
  /** Shape of one sample in the file. */
  readonly dims: readonly number[]
  /** Samples of each sequence that the column holds, one after another. Default: all are one sequence. */
  readonly sequences?: readonly number[]
  /** Makes the first samples ready. Call it once, before `read`. */
  prepare(request: Request): Promise<Prepared>
  /** Elements of samples begin … end − 1, of those that can be read, one sample after another. */
  read(begin: number, end: number): Promise<TensorData>
}

/** What is to be made ready. */
export interface Request {
  /** Samples wanted. */
  readonly samples: number
  /** Most bytes of an array once it is unpacked. */
  readonly bound: number
  /** Images that cannot be read are left out. */
  readonly lenient: boolean
  readonly signal: AbortSignal | undefined
}

/** What a column found when it was made ready. */
export interface Prepared {
  /** Samples that are left out, by their position in the column. */
  readonly skipped: readonly { readonly position: number; readonly error: GpfqError }[]
  /** The smallest value where it is a sentinel, as of a mask; else null. */
  readonly sentinel: number | null
}

/**
 * A column of an array file.
 * @param axis the one that counts samples
 * @throws {GpfqError} INVALID_DATA if the array has no samples
 */
export function arrayColumn({ type, dims, read }: ArrayEntry, place: string, axis = 0): Column {
  const samples = dims[axis]
  const sampleDims = dims.toSpliced(axis, 1)
  if (samples === undefined || samples === 0)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'an array of samples',
      got: `shape ${shapeText(dims)}`,
      hint: axis === 0 ? 'the first axis counts samples' : `axis ${axis} counts samples`,
    })
  const size = elementCount(sampleDims)
  let tensor: Tensor | undefined
  return {
    place,
    type,
    samples,
    isImages: false,
    dims: sampleDims,
    async prepare({ samples: wanted, bound, signal }) {
      // Where another axis counts samples, they do not lie together: all are read, and put one after another.
      const found = await read(axis === 0 ? wanted : Number.POSITIVE_INFINITY, bound, signal)
      const inner = elementCount(dims.slice(axis + 1))
      tensor =
        axis === 0
          ? found
          : { ...found, data: swapLeading(found.type, found.data, size / inner, samples, inner) }
      return { skipped: [], sentinel: sentinelIn(tensor) }
    },
    async read(begin, end) {
      if (tensor === undefined) throw rangeError('column', 'to be prepared', 'not yet')
      return tensor.data.subarray(begin * size, end * size)
    },
  }
}

/** Values that stand for minus infinity in masks, and the elements that are looked at to find them. */
const SENTINEL = -1e9
const SENTINEL_FLOAT16 = -65504
const LOOKED_AT = 2 ** 22

function sentinelIn({ type, data }: Tensor): number | null {
  if (!isFloatType(type)) return null
  const values = numbersOf({ type, data: data.subarray(0, LOOKED_AT) })
  let least = 0
  for (let i = 0; i < values.length; i++) least = Math.min(least, values[i]!)
  return least <= (type === 'float16' ? SENTINEL_FLOAT16 : SENTINEL) ? least : null
}
