/**
 * Resizes an image to a network's input size. It is scaled until it just covers the rectangle, and its centre is cut out.
 * An image that covers the rectangle without scaling is only cut.
 *
 * Scaling is separable and linear, with a filter that widens when it shrinks, which avoids aliasing. PIL and torchvision
 * (antialias) call it bilinear. Weights and sums are float64, and a pixel is rounded once at the end.
 */
import type { Pixels } from './images.js'

/** Weights of one output position over the input positions first, first + 1, … */
interface Taps {
  readonly first: number
  readonly weights: readonly number[]
}

/**
 * Resizes an image to planes (channels, height, width): 4 channels are RGB and alpha, 3 are RGB, 1 is luma (ITU-R 601, as in
 * PIL's mode L). Alpha is left out where the network has no channel for it, and 255 where the image has none.
 */
export function fitImage(
  image: Pixels,
  size: { readonly channels: 1 | 3 | 4; readonly height: number; readonly width: number },
): Uint8Array {
  const { channels, height, width } = size
  const scale = Math.max(height / image.height, width / image.width)
  const rows = tapsOf(image.height, height, scale)
  const columns = tapsOf(image.width, width, scale)
  const out = new Uint8Array(channels * height * width)
  for (let c = 0; c < channels; c++) {
    const plane = channels === 1 ? lumaOf(image) : planeOf(image, c) // one at a time: images can be large
    const target = out.subarray(c * height * width, (c + 1) * height * width)
    if (scale === 1) crop(plane, image, height, width, target)
    else resample(plane, image.width, rows, columns, target)
  }
  return out
}

/** The weights of each of the `length` centre positions of the scaled axis. */
function tapsOf(inputLength: number, length: number, scale: number): readonly Taps[] {
  const offset = Math.floor((Math.round(inputLength * scale) - length) / 2)
  const step = inputLength / Math.round(inputLength * scale) // input positions per output position
  const support = Math.max(1, step)
  return Array.from({ length }, (_, i) => {
    const centre = (i + offset + 0.5) * step
    const first = Math.max(0, Math.floor(centre - support + 0.5))
    const end = Math.min(inputLength, Math.floor(centre + support + 0.5))
    const weights: number[] = []
    for (let j = first; j < end; j++) weights.push(Math.max(0, 1 - Math.abs(j + 0.5 - centre) / support))
    const sum = weights.reduce((a, b) => a + b, 0)
    return { first, weights: weights.map((weight) => weight / sum) }
  })
}

/** The centre of a plane that needs no scaling. */
function crop(plane: Uint8Array, image: Pixels, height: number, width: number, out: Uint8Array): void {
  const top = Math.floor((image.height - height) / 2)
  const left = Math.floor((image.width - width) / 2)
  for (let y = 0; y < height; y++) {
    const from = (y + top) * image.width + left
    out.set(plane.subarray(from, from + width), y * width)
  }
}

function resample(
  plane: Uint8Array, // (input height, inputWidth)
  inputWidth: number,
  rows: readonly Taps[],
  columns: readonly Taps[],
  out: Uint8Array, // (rows, columns)
): void {
  // The rows that are read: of a tall and narrow image they are few.
  const top = rows[0]?.first ?? 0
  const bottom = rows.reduce((end, { first, weights }) => Math.max(end, first + weights.length), top)
  const wide = new Float64Array((bottom - top) * columns.length) // (bottom − top, columns)
  for (let y = top; y < bottom; y++)
    columns.forEach(({ first, weights }, x) => {
      let sum = 0
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * plane[y * inputWidth + first + k]!
      wide[(y - top) * columns.length + x] = sum
    })
  rows.forEach(({ first, weights }, y) => {
    for (let x = 0; x < columns.length; x++) {
      let sum = 0
      for (let k = 0; k < weights.length; k++)
        sum += weights[k]! * wide[(first - top + k) * columns.length + x]!
      out[y * columns.length + x] = Math.floor(sum + 0.5)
    }
  })
}

/** Channel `c` of red, green, blue and alpha. A grey image has one channel, which is used for all colours. */
function planeOf(image: Pixels, c: number): Uint8Array {
  const { data, channels } = image
  const out = new Uint8Array(image.width * image.height)
  const hasAlpha = channels === 2 || channels === 4
  if (c === 3 && !hasAlpha) return out.fill(255)
  for (let i = 0, from = c === 3 ? channels - 1 : channels < 3 ? 0 : c; i < out.length; i++, from += channels)
    out[i] = data[from]!
  return out
}

function lumaOf(image: Pixels): Uint8Array {
  if (image.channels < 3) return planeOf(image, 0)
  const { data, channels } = image
  const out = new Uint8Array(image.width * image.height)
  for (let i = 0, from = 0; i < out.length; i++, from += channels)
    out[i] = (data[from]! * 19595 + data[from + 1]! * 38470 + data[from + 2]! * 7471 + 32768) >> 16
  return out
}
