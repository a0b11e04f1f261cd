/**
 * How sample rows lie in a tensor, without ever being laid out: row r of group g, input t is the float32 at byte
 *
 *     g·groupBytes + rowAt[r] + columnAt[t]
 *
 * of the tensor, or of its zero-padded copy. Dense layers, transposed operands and convolution patches are all of this
 * form; the packing kernel (assembly/pack.ts) reads it straight into panels.
 */
export interface Gather {
  readonly rows: number
  readonly inputs: number // per group
  readonly groups: number
  readonly groupBytes: number
  readonly rowAt: Uint32Array // (rows)
  readonly columnAt: Uint32Array // (inputs)
  /** columnAt[t] = columnAt[0] + 4t, so that 8 inputs are one load. */
  readonly contiguous: boolean
  /** Planes to be zero-padded before gathering, or null when no tap leaves the image. */
  readonly padding: Padding | null
  /** Where the rows are all patches of a convolution with stride 1. */
  readonly convolution?: Convolution | null
  /**
   * Samples of the network in the tensor, where each takes the same part of it and gives the same number of rows, one
   * behind the other; 1 where that is not known.
   */
  readonly images: number
}

/**
 * Patches at every position, one pixel from each other; inputs are [channel][tap]. Their Gram matrices can be had from
 * correlations of the channels (correlations.ts).
 */
export interface Convolution {
  readonly kernel: Axes
  readonly dilations: Axes
  /** Of an image. */
  readonly size: Axes
  readonly pads: readonly [top: number, left: number]
  /** Positions. */
  readonly out: Axes
}

/** Along both axes of an image. */
export type Axes = readonly [height: number, width: number]

/** Byte offsets of a patch's inputs [channel][tap] from its first, in planes (height, width). */
export function tapOffsets(
  { kernel, dilations }: Pick<Convolution, 'kernel' | 'dilations'>,
  inputs: number,
  [height, width]: Axes,
): Uint32Array {
  const taps = kernel[0] * kernel[1]
  return Uint32Array.from({ length: inputs }, (_, t) => {
    const y = Math.floor((t % taps) / kernel[1]) * dilations[0]
    const x = (t % kernel[1]) * dilations[1]
    return 4 * ((Math.floor(t / taps) * height + y) * width + x)
  })
}

export interface Padding {
  readonly planes: number
  readonly height: number
  readonly width: number
  readonly paddedHeight: number
  readonly paddedWidth: number
  readonly top: number
  readonly left: number
}

/** One batch of calibration inputs of a layer in both networks; `xq` is null where they are equal (Xq = X). */
export interface SampleBatch {
  readonly x: Float32Array
  readonly xq: Float32Array | null
  readonly gather: Gather
}

/** Rows of a dense matrix (rows, inputs). */
export function denseGather(rows: number, inputs: number): Gather {
  return {
    rows,
    inputs,
    groups: 1,
    groupBytes: 0,
    rowAt: steps(rows, 4 * inputs),
    columnAt: steps(inputs, 4),
    contiguous: true,
    padding: null,
    images: rows,
  }
}

/** Rows `from` to `to` of a batch; only the images they lie in are passed on where they are whole. */
export function cutBatch({ x, xq, gather }: SampleBatch, from: number, to: number): SampleBatch {
  const { rows, images, rowAt, padding } = gather
  if (from === 0 && to === rows) return { x, xq, gather }
  const perImage = rows / images
  const [first, end] = [from / perImage, to / perImage]
  if (!Number.isInteger(first) || !Number.isInteger(end)) {
    const cut = { ...gather, rows: to - from, rowAt: rowAt.subarray(from, to), images: 1, convolution: null }
    return { x, xq, gather: cut }
  }
  const floats = x.length / images
  const part = (values: Float32Array): Float32Array => values.subarray(first * floats, end * floats)
  const imageBytes =
    padding === null ? 4 * floats : (4 * padding.planes * padding.paddedHeight * padding.paddedWidth) / images
  const own = new Uint32Array(to - from)
  for (let i = 0; i < own.length; i++) own[i] = rowAt[from + i]! - first * imageBytes
  return {
    x: part(x),
    xq: xq === null ? null : part(xq),
    gather: {
      ...gather,
      rows: to - from,
      rowAt: own,
      images: end - first,
      padding: padding === null ? null : { ...padding, planes: (padding.planes / images) * (end - first) },
    },
  }
}

/** 0, step, 2·step, …: a plain loop, for there may be a row for every pixel of every image. */
export function steps(count: number, step: number): Uint32Array<ArrayBuffer> {
  const at = new Uint32Array(count)
  for (let i = 0; i < count; i++) at[i] = i * step
  return at
}

/** Bytes of the padded copy, 0 without padding. */
export const paddedBytes = ({ padding }: Gather): number =>
  padding === null ? 0 : 4 * padding.planes * padding.paddedHeight * padding.paddedWidth
