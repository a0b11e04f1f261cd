/**
 * Where the sample rows of a layer are in a tensor: input t of row r of group g is the float32 at byte
 *
 *     g·groupBytes + rowAt[r] + columnAt[t]
 *
 * of the tensor, or of its zero-padded copy. Dense layers, transposed operands and convolution patches all have this form.
 * The rows are never written out: the packing kernel (assembly/pack.ts) reads the tensor directly into panels.
 */
export interface Gather {
  readonly rows: number
  readonly inputs: number // per group
  readonly groups: number
  readonly groupBytes: number // from one group to the next
  readonly rowAt: Uint32Array // (rows), bytes
  readonly columnAt: Uint32Array // (inputs), bytes
  /** True where columnAt[t] = columnAt[0] + 4t for all t: then the kernel loads 8 inputs at once. */
  readonly contiguous: boolean
  /** How planes are zero-padded first; null where no tap reaches outside the image. */
  readonly padding: Padding | null
  /** The convolution, where the rows are all its patches and its stride is 1. */
  readonly convolution?: Convolution | null
  /**
   * Samples of the network in the tensor. Each has an equal part of the tensor and gives an equal number of consecutive
   * rows. 1 where that is not known.
   */
  readonly images: number
}

/**
 * A convolution whose patches are taken at every position (stride 1); inputs are [channel][tap]. The Gram matrices of these
 * patches can be computed from correlations of the channels (correlations.ts).
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

/** Two lengths of an image or a kernel, in pixels. */
export type Axes = readonly [height: number, width: number]

/** Byte offsets of a patch's inputs [channel][tap] from its first input, in planes (height, width) of float32. */
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

/** Zero-padding of planes (height, width) to (paddedHeight, paddedWidth), in pixels. */
export interface Padding {
  readonly planes: number
  readonly height: number
  readonly width: number
  readonly paddedHeight: number
  readonly paddedWidth: number
  readonly top: number
  readonly left: number
}

/** One batch of a layer's inputs in both networks. `xq` is null where they are equal (Xq = X). */
export interface SampleBatch {
  readonly x: Float32Array
  readonly xq: Float32Array | null
  readonly gather: Gather
}

/** The gather of a dense row-major matrix (rows, inputs). */
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

/** Rows `from` to `to` of a batch. If they are whole images, the result holds only the values of these images. */
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
  const imageBytes = (paddedBytes(gather) || 4 * x.length) / images
  const own = new Uint32Array(to - from)
  for (let i = 0; i < own.length; i++) own[i] = rowAt[from + i]! - first * imageBytes
  return {
    x: part(x),
    xq: xq && part(xq),
    gather: {
      ...gather,
      rows: to - from,
      rowAt: own,
      images: end - first,
      padding: padding && { ...padding, planes: (padding.planes / images) * (end - first) },
    },
  }
}

/** 0, step, 2·step, …, by a plain loop: there can be a row for every pixel of every image. */
export function steps(count: number, step: number): Uint32Array<ArrayBuffer> {
  const at = new Uint32Array(count)
  for (let i = 0; i < count; i++) at[i] = i * step
  return at
}

/** Bytes of the zero-padded copy of the tensor; 0 without padding. */
export const paddedBytes = ({ padding }: Gather): number =>
  padding === null ? 0 : 4 * padding.planes * padding.paddedHeight * padding.paddedWidth
