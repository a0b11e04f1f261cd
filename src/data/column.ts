/**
 * A column: all samples of one model input, read a batch at a time. There are two kinds. Batches of an array file are
 * views of its elements. Images of a folder are decoded when a batch is read.
 */
import { rangeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { elementCount, isFloatType, numbersOf } from '../tensor/elements.js'
import { describeShape, isChannelsLast, sampleDims } from '../tensor/shapes.js'
import type { RunnerInput, Tensor, TensorData, TensorType } from '../tensor/tensor.js'
import { IMAGE_BYTES, tooLarge } from './bound.js'
import { checkEnd, checkImage, decodeImage, isImageName } from './images.js'
import { shapeText } from './quote.js'
import { fitImage } from './resize.js'
import { type ArrayEntry, bytesOf, type DataFile } from './source.js'

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
  /** Makes the first samples ready. Call it once, before `read`. */
  prepare(request: Request): Promise<Prepared>
  /** Elements of samples begin … end − 1, of those that can be read. */
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
  /** Samples that are left out, by their position in the files. */
  readonly skipped: readonly { readonly position: number; readonly error: GpfqError }[]
  /** The smallest value where it is a sentinel, as of a mask; else null. */
  readonly sentinel: number | null
}

/**
 * A column of an array file.
 * @throws {GpfqError} INVALID_DATA if the array has no samples
 */
export function arrayColumn({ type, dims, read }: ArrayEntry, place: string): Column {
  const [samples, ...sampleDims] = dims
  if (samples === undefined || samples === 0)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'an array of samples',
      got: `shape ${shapeText(dims)}`,
      hint: 'the first axis counts samples',
    })
  const size = elementCount(sampleDims)
  let tensor: Tensor | undefined
  return {
    place,
    type,
    samples,
    isImages: false,
    dims: sampleDims,
    async prepare({ samples: wanted, bound }) {
      tensor = await read(wanted, bound)
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

/** Decoded images are kept for a second pass up to this many bytes (1,700 images of 224 × 224). */
const KEPT_BYTES = 256 << 20

/** The images of a folder in the order of their samples: by class, then by name. */
export function sortedImages(files: readonly DataFile[]): readonly DataFile[] {
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
  return files
    .filter((file) => isImageName(file.name))
    .sort((a, b) => order(a.folder ?? '', b.folder ?? '') || order(a.name, b.name))
}

/**
 * A column of images in the order of their names, as uint8 (channels, height, width) of the input's size.
 * @param maxBytes most bytes of a decoded image
 * @throws {GpfqError} INVALID_DATA if the input does not take images of a fixed size
 */
export function imageColumn(
  files: readonly DataFile[],
  input: RunnerInput,
  place: string,
  maxBytes = IMAGE_BYTES,
): Column {
  const images = sortedImages(files)
  const size = imageSize(input, place)
  const length = size.channels * size.height * size.width
  if (length > maxBytes) throw tooLarge(place, `an image for input ${input.name}`, maxBytes, length)
  const kept = new Map<DataFile, Uint8Array>()
  let chosen: readonly DataFile[] = images
  const hasRoom = (): boolean => (kept.size + 1) * length <= KEPT_BYTES
  const readOne = async (source: DataFile | undefined): Promise<Uint8Array> => {
    if (source === undefined) throw rangeError('image', `an index below ${chosen.length}`, 'another')
    const before = kept.get(source)
    if (before !== undefined) return before
    const planes = fitImage(await decodeImage(source, maxBytes), size)
    if (hasRoom()) kept.set(source, planes)
    return planes
  }
  return {
    place,
    type: 'uint8',
    samples: images.length,
    isImages: true,
    dims: [size.channels, size.height, size.width],
    async prepare({ samples, lenient, signal }) {
      if (!lenient) return { skipped: [], sentinel: null }
      const good: DataFile[] = []
      const skipped: { position: number; error: GpfqError }[] = []
      for (const [position, image] of images.entries()) {
        if (good.length >= samples) break
        signal?.throwIfAborted()
        const error = await refusal(image, maxBytes, hasRoom() ? readOne : null)
        if (error === null) good.push(image)
        else skipped.push({ position, error })
      }
      const [first] = skipped
      if (first !== undefined && good.length === 0) throw first.error
      chosen = good
      return { skipped, sentinel: null }
    },
    async read(begin, end) {
      const batch = new Uint8Array((end - begin) * length)
      for (let i = begin; i < end; i++) batch.set(await readOne(chosen[i]), (i - begin) * length)
      return batch
    },
  }
}

/** Why an image cannot be read; null if it can. It is decoded where it can be kept, else its ends are looked at. */
async function refusal(
  image: DataFile,
  maxBytes: number,
  decode: ((image: DataFile) => Promise<unknown>) | null,
): Promise<GpfqError | null> {
  try {
    if (decode !== null) await decode(image)
    else {
      const bytes = await bytesOf(image)
      checkEnd(bytes, checkImage(bytes, image.name, maxBytes), image.name)
    }
    return null
  } catch (error) {
    if (error instanceof GpfqError && (error.code === 'INVALID_DATA' || error.code === 'FILE_ACCESS'))
      return error
    throw error
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
    !(typeof height === 'number' && height > 0) ||
    !(typeof width === 'number' && width > 0)
  )
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'a model input of 1 or 3 channels and fixed height and width for images',
      got: `${input.name} of shape ${describeShape(input.dims)}`,
      hint: 'give an .npy file instead',
    })
  return { channels, height, width }
}
