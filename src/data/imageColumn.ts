/**
 * Images as columns of uint8 (channels, height, width). The model fixes their size, or the user gives it, or each image has
 * its own: then images of one size that follow each other are a column.
 */
import { rangeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { createPauses } from '../platform/pauses.js'
import { describeShape, isChannelsLast, sampleDims } from '../tensor/shapes.js'
import type { RunnerInput } from '../tensor/tensor.js'
import { IMAGE_BYTES, tooLarge } from './bound.js'
import type { Column } from './column.js'
import { checkEnd, checkImage, decodeImage, imageSizeOf, isImageName } from './images.js'
import { fitImage } from './resize.js'
import { bytesOf, type DataFile } from './source.js'

/** The size of images in pixels. */
export interface ImageSize {
  readonly width: number
  readonly height: number
}

/** Decoded images are kept for a second pass up to this many bytes (1,700 images of 224 × 224). */
const KEPT_BYTES = 256 << 20

/** With their own sizes, images are scaled to multiples of this, as networks that halve their input five times need. */
const OWN_STEP = 32

/** The images of a folder in the order of their samples: by class, then by name. */
export function sortedImages(files: readonly DataFile[]): readonly DataFile[] {
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
  return files
    .filter((file) => isImageName(file.name))
    .sort((a, b) => order(a.folder ?? '', b.folder ?? '') || order(a.name, b.name))
}

/** How images become samples. */
export interface ImageOptions {
  /** Most bytes of a decoded image. */
  readonly maxBytes?: number | undefined
  /** Where the model leaves it open. */
  readonly imageSize?: ImageSize | 'own' | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Images in the order of their names.
 * @throws {GpfqError} INVALID_DATA if the input takes no images, or leaves their size open and none is given
 */
export async function imageColumns(
  files: readonly DataFile[],
  input: RunnerInput,
  place: string,
  { maxBytes = IMAGE_BYTES, imageSize, signal }: ImageOptions,
): Promise<readonly Column[]> {
  const images = sortedImages(files)
  const { channels, height, width } = shapeOf(input, place, imageSize)
  const pause = createPauses(signal)
  const kept: Kept = { images: new Map(), bytes: 0 }
  const columnOf = (group: readonly DataFile[], size: ImageSize): Column =>
    imageColumn(group, { channels, ...size }, { place, input: input.name, maxBytes, kept, signal })
  if (height !== null && width !== null) return [columnOf(images, { height, width })]

  const groups: { size: ImageSize; images: DataFile[] }[] = []
  for (const image of images) {
    await pause()
    const own = await ownSize(image, maxBytes, signal)
    const last = groups.at(-1)
    // An image that cannot be read is refused or left out when samples are made ready, whatever its group.
    const { height: ownHeight, width: ownWidth } = own ?? last?.size ?? SMALLEST
    const size = { height: height ?? ownHeight, width: width ?? ownWidth }
    if (last?.size.height === size.height && last.size.width === size.width) last.images.push(image)
    else groups.push({ size, images: [image] })
  }
  return groups.map((group) => columnOf(group.images, group.size))
}

const SMALLEST: ImageSize = { width: OWN_STEP, height: OWN_STEP }

/** The size of an image, rounded down to multiples of OWN_STEP; null if its header cannot be read. */
async function ownSize(
  image: DataFile,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ImageSize | null> {
  const round = (side: number): number => Math.max(1, Math.floor(side / OWN_STEP)) * OWN_STEP
  try {
    const { width, height } = imageSizeOf(await bytesOf(image, signal), image.name, maxBytes)
    return { width: round(width), height: round(height) }
  } catch (error) {
    if (isRefusal(error)) return null
    throw error
  }
}

/** Decoded images, of all columns of an input. */
interface Kept {
  readonly images: Map<DataFile, Uint8Array>
  bytes: number
}

interface ImageColumnOptions {
  readonly place: string
  readonly input: string
  readonly maxBytes: number
  readonly kept: Kept
  readonly signal: AbortSignal | undefined
}

function imageColumn(
  images: readonly DataFile[],
  size: ImageSize & { readonly channels: 1 | 3 | 4 },
  { place, input, maxBytes, kept, signal }: ImageColumnOptions,
): Column {
  const pause = createPauses(signal)
  const length = size.channels * size.height * size.width
  if (length > maxBytes) throw tooLarge(place, `an image for input ${input}`, maxBytes, length)
  let chosen: readonly DataFile[] = images
  const hasRoom = (): boolean => kept.bytes + length <= KEPT_BYTES
  const readOne = async (source: DataFile | undefined): Promise<Uint8Array> => {
    if (source === undefined) throw rangeError('image', `an index below ${chosen.length}`, 'another')
    const before = kept.images.get(source)
    if (before !== undefined) return before
    const planes = fitImage(await decodeImage(source, maxBytes, signal), size)
    if (hasRoom()) {
      kept.images.set(source, planes)
      kept.bytes += length
    }
    return planes
  }
  return {
    place,
    type: 'uint8',
    samples: images.length,
    isImages: true,
    dims: [size.channels, size.height, size.width],
    sequences: folderLengths(images),
    async prepare({ samples, lenient }) {
      if (!lenient) return { skipped: [], sentinel: null }
      const good: DataFile[] = []
      const skipped: { position: number; error: GpfqError }[] = []
      for (const [position, image] of images.entries()) {
        if (good.length >= samples) break
        await pause()
        const error = await refusal(image, maxBytes, signal, hasRoom() ? readOne : null)
        if (error === null) good.push(image)
        else skipped.push({ position, error })
      }
      chosen = good
      return { skipped, sentinel: null }
    },
    async read(begin, end) {
      const batch = new Uint8Array((end - begin) * length)
      for (let i = begin; i < end; i++) {
        await pause()
        batch.set(await readOne(chosen[i]), (i - begin) * length)
      }
      return batch
    },
  }
}

/** Images of each folder, of those that follow each other. */
function folderLengths(images: readonly DataFile[]): readonly number[] {
  const lengths: number[] = []
  for (const [i, { folder }] of images.entries()) {
    if (i === 0 || images[i - 1]?.folder !== folder) lengths.push(0)
    lengths.push((lengths.pop() ?? 0) + 1)
  }
  return lengths
}

/** Why an image cannot be read; null if it can. It is decoded where it can be kept, else its ends are looked at. */
async function refusal(
  image: DataFile,
  maxBytes: number,
  signal: AbortSignal | undefined,
  decode: ((image: DataFile) => Promise<unknown>) | null,
): Promise<GpfqError | null> {
  try {
    if (decode !== null) await decode(image)
    else {
      const bytes = await bytesOf(image, signal)
      checkEnd(bytes, checkImage(bytes, image.name, maxBytes), image.name)
    }
    return null
  } catch (error) {
    if (isRefusal(error)) return error
    throw error
  }
}

const isRefusal = (error: unknown): error is GpfqError =>
  error instanceof GpfqError && (error.code === 'INVALID_DATA' || error.code === 'FILE_ACCESS')

interface ImageShape {
  readonly channels: 1 | 3 | 4
  /** Null where each image has its own. */
  readonly height: number | null
  readonly width: number | null
}

/** The shape that images must have for an input. */
function shapeOf(input: RunnerInput, place: string, imageSize: ImageOptions['imageSize']): ImageShape {
  const [a, b, c, ...more] = sampleDims(input) ?? []
  const [channels, height, width] = isChannelsLast(sampleDims(input)) ? [c, a, b] : [a, b, c]
  const isFixed = (side: unknown): side is number => typeof side === 'number' && side > 0
  const invalid = (expected: string, got: string, hint: string): GpfqError =>
    new GpfqError('INVALID_DATA', { place, expected, got, hint })
  const got = `${input.name} of shape ${describeShape(input.dims)}`
  if (c === undefined || more.length > 0 || (channels !== 1 && channels !== 3 && channels !== 4))
    throw invalid(
      'a model input of 1, 3 or 4 channels, height and width for images',
      got,
      'give an .npy file instead',
    )
  if (imageSize === undefined && !(isFixed(height) && isFixed(width)))
    throw invalid('a size for images, which the model leaves open', got, HINTS['image-size'])
  const sideOf = (side: unknown, name: 'height' | 'width'): number | null => {
    const given = imageSize === undefined || imageSize === 'own' ? null : imageSize[name]
    if (isFixed(side) && given !== null && side !== given)
      throw invalid(
        `images of ${name} ${side}, as input ${input.name} has it`,
        String(given),
        HINTS['image-size'],
      )
    return isFixed(side) ? side : given
  }
  return { channels, height: sideOf(height, 'height'), width: sideOf(width, 'width') }
}
