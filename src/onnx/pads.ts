/**
 * Output size and padding of a convolution, as the ONNX operator Conv defines them: auto_pad is included, and Conv has
 * no ceil mode.
 */
import { GpfqError } from '../errors.js'
import type { Sampling } from './layer.js'

/** Padding and output size for one input size. */
export interface ResolvedPads {
  readonly pads: readonly [top: number, left: number, bottom: number, right: number]
  readonly outHeight: number
  readonly outWidth: number
}

/**
 * Padding and output size of a convolution for an input of (height, width).
 * @throws {GpfqError} INVALID_DATA for an input smaller than the kernel
 */
export function resolvePads(
  sampling: Extract<Sampling, { kind: 'patches' }>,
  height: number,
  width: number,
): ResolvedPads {
  const { kernel, strides, dilations, pads, autoPad } = sampling
  const axis = (i: 0 | 1, size: number) =>
    resolveAxis(autoPad, size, (kernel[i] - 1) * dilations[i] + 1, strides[i], pads[i], pads[i + 2] as number)
  const [top, bottom, outHeight] = axis(0, height)
  const [left, right, outWidth] = axis(1, width)
  if (outHeight < 1 || outWidth < 1)
    throw new GpfqError('INVALID_DATA', {
      place: 'convolution',
      expected: `an input of at least the kernel's extent ${kernel} (dilations ${dilations})`,
      got: `${height} × ${width}`,
    })
  return { pads: [top, left, bottom, right], outHeight, outWidth }
}

/** `extent` is the dilated kernel's size. */
function resolveAxis(
  autoPad: string,
  size: number,
  extent: number,
  stride: number,
  begin: number,
  end: number,
): [begin: number, end: number, out: number] {
  if (autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER') {
    const out = Math.ceil(size / stride)
    const total = Math.max(0, (out - 1) * stride + extent - size)
    const less = Math.floor(total / 2)
    return autoPad === 'SAME_UPPER' ? [less, total - less, out] : [total - less, less, out]
  }
  const [b, e] = autoPad === 'VALID' ? [0, 0] : [begin, end]
  return [b, e, Math.floor((size + b + e - extent) / stride) + 1]
}
