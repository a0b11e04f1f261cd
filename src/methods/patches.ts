/** The patches of a convolution as sample rows: which bytes of a tensor (images, channels, height, width) each one is made of. */
import { rangeError } from '../checks.js'
import { type Axes, type Convolution, type Gather, type Padding, tapOffsets } from './samples.js'

/** A convolution as its kernel goes over an image: (height, width) in pixels. A 1-D one has height 1. */
export interface PatchGeometry {
  readonly kernel: Axes
  readonly strides: Axes
  readonly dilations: Axes
  readonly pads: readonly [top: number, left: number, bottom: number, right: number]
}

/** Images of a batch, (images, channels, height, width). */
export interface ImageShape {
  readonly images: number
  readonly channels: number
  readonly height: number
  readonly width: number
  /** Groups of channels that have kernels of their own. */
  readonly groups: number
}

/** Sizes that follow from a geometry and an image. */
export interface PatchGrid {
  readonly padded: Axes
  readonly out: Axes // output positions
  /** Byte of the first input of the patch at an output position, or at pixels of the padded image. */
  at(image: number, y: number, x: number): number
}

export function patchGrid({ kernel, strides, dilations, pads }: PatchGeometry, shape: ImageShape): PatchGrid {
  const { channels, height, width } = shape
  const padded: Axes = [height + pads[0] + pads[2], width + pads[1] + pads[3]]
  const along = (axis: 0 | 1): number =>
    Math.floor((padded[axis] - (kernel[axis] - 1) * dilations[axis] - 1) / strides[axis]) + 1
  const plane = padded[0] * padded[1]
  return {
    padded,
    out: [along(0), along(1)],
    at: (image, y, x) => 4 * (image * channels * plane + y * padded[1] + x),
  }
}

/** Patches at chosen pixels of the padded images. @param rowAt byte of each row's first input */
export function patchGather(
  geometry: PatchGeometry,
  shape: ImageShape,
  rowAt: Uint32Array,
  convolution: Convolution | null,
): Gather {
  const { images, channels, height, width, groups } = shape
  const { kernel, pads } = geometry
  const { padded } = patchGrid(geometry, shape)
  const inputs = (channels / groups) * kernel[0] * kernel[1]
  const padding: Padding | null =
    padded[0] * padded[1] > height * width
      ? {
          planes: images * channels,
          ...{ height, width, paddedHeight: padded[0], paddedWidth: padded[1] },
          ...{ top: pads[0], left: pads[1] },
        }
      : null
  return {
    ...{ rows: rowAt.length, inputs, groups, rowAt, padding, convolution, images },
    groupBytes: 4 * (channels / groups) * padded[0] * padded[1],
    columnAt: tapOffsets(geometry, inputs, padded),
    contiguous: false,
  }
}

/** The offsets `first` for each image, by a plain loop: there can be a row for every pixel of every image. */
export function inAllImages(first: readonly number[], images: number, imageBytes: number): Uint32Array {
  const count = first.length
  const at = new Uint32Array(images * count)
  for (let image = 0; image < images; image++)
    for (let i = 0; i < count; i++) at[image * count + i] = image * imageBytes + first[i]!
  return at
}

/** Patches at every output position, image by image, line by line. */
export function allPatches(geometry: PatchGeometry, shape: ImageShape): Gather {
  const { strides, kernel, dilations, pads } = geometry
  const { out, at } = patchGrid(geometry, shape)
  const [lines, columns] = out
  if (!(lines >= 1 && columns >= 1)) {
    throw rangeError('convolution', 'an image as large as the kernel', `${shape.height} × ${shape.width}`)
  }
  const first: number[] = []
  for (let y = 0; y < lines; y++) {
    for (let x = 0; x < columns; x++) first.push(at(0, y * strides[0], x * strides[1]))
  }
  const rowAt = inAllImages(first, shape.images, at(1, 0, 0))
  const everywhere = strides[0] === 1 && strides[1] === 1
  return patchGather(
    geometry,
    shape,
    rowAt,
    everywhere
      ? { kernel, dilations, size: [shape.height, shape.width], pads: [pads[0], pads[1]], out }
      : null,
  )
}
