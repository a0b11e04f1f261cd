/**
 * A column: all samples of one model input, read a batch at a time. There are two kinds. Batches of an array file are
 * views of its elements. Images of a folder are decoded when a batch is read.
 */
import { rangeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { elementCount } from '../tensor/elements.js'
import { describeShape, isChannelsLast, sampleDims } from '../tensor/shapes.js'
import type { RunnerInput, TensorData, TensorType } from '../tensor/tensor.js'
import { decodeImage, isImageName } from './images.js'
import { fitImage } from './resize.js'
import { type ArrayFile, type DataFile, pickArray } from './source.js'

export interface Column {
  /** The name of the file or folder in errors. */
  readonly place: string
  readonly type: TensorType
  readonly samples: number
  /** Decoded images are (channels, height, width), independently of the layout of array files. */
  readonly isImages: boolean
  /** Shape of one sample in the file. */
  readonly dims: readonly number[]
  /** Elements of samples begin … end − 1. */
  read(begin: number, end: number): Promise<TensorData>
}

/**
 * A column of an array file: a single array, or the array of an archive that has the input's name.
 * @throws {GpfqError} INVALID_DATA if the array has no samples
 */
export function arrayColumn(file: ArrayFile, input: string, place: string): Column {
  const { type, dims, data } = pickArray(file, input, place)
  const [samples, ...sampleDims] = dims
  if (samples === undefined || samples === 0)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'an array of samples',
      got: `shape (${dims.join(', ')})`,
      hint: 'the first axis counts samples',
    })
  const size = elementCount(sampleDims)
  return {
    place,
    type,
    samples,
    isImages: false,
    dims: sampleDims,
    read: async (begin, end) => data.subarray(begin * size, end * size),
  }
}

/** Decoded images are kept for a second pass up to this many bytes (1,700 images of 224 × 224). */
const KEPT_BYTES = 256 << 20

/**
 * A column of images in the order of their names, as uint8 (channels, height, width) of the input's size.
 * @throws {GpfqError} INVALID_DATA if the input does not take images of a fixed size
 */
export function imageColumn(files: readonly DataFile[], input: RunnerInput, place: string): Column {
  const images = files
    .filter((file) => isImageName(file.name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  const size = imageSize(input, place)
  const length = size.channels * size.height * size.width
  const kept = new Map<number, Uint8Array>()
  const readOne = async (index: number): Promise<Uint8Array> => {
    const before = kept.get(index)
    if (before !== undefined) return before
    const source = images[index]
    if (source === undefined) throw rangeError('image', `an index below ${images.length}`, index)
    const planes = fitImage(await decodeImage(source), size)
    if ((kept.size + 1) * length <= KEPT_BYTES) kept.set(index, planes)
    return planes
  }
  return {
    place,
    type: 'uint8',
    samples: images.length,
    isImages: true,
    dims: [size.channels, size.height, size.width],
    async read(begin, end) {
      const batch = new Uint8Array((end - begin) * length)
      for (let i = begin; i < end; i++) batch.set(await readOne(i), (i - begin) * length)
      return batch
    },
  }
}

interface ImageSize {
  readonly channels: 1 | 3
  readonly height: number
  readonly width: number
}

/** The size that images must have for an input. */
function imageSize(input: RunnerInput, place: string): ImageSize {
  const [a, b, c, ...more] = sampleDims(input) ?? []
  const [channels, height, width] = isChannelsLast(sampleDims(input)) ? [c, a, b] : [a, b, c]
  if (
    more.length > 0 ||
    (channels !== 1 && channels !== 3) ||
    typeof height !== 'number' ||
    typeof width !== 'number'
  )
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'a model input of 1 or 3 channels and fixed height and width for images',
      got: `${input.name} of shape ${describeShape(input.dims)}`,
      hint: 'give an .npy file instead',
    })
  return { channels, height, width }
}
