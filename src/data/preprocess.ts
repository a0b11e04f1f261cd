/**
 * Converts the elements of a file to the elements of a model's input: (x / scale − mean) / std per channel, between the
 * layouts (batch, height, width, channels) and (batch, channels, height, width), and to the input's type.
 *
 * Arithmetic is float64 and is rounded once, to float32. Elements of uint8 are looked up in a table of 256 results.
 */

import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { allocateElements, convertElements, isFloatType, numbersOf } from '../tensor/elements.js'
import type { TensorData, TensorType } from '../tensor/tensor.js'

/** What happens to the elements of a file: (x / scale − mean) / std. */
export interface Preprocessing {
  /** Divides every element before mean and std are applied; 255 maps bytes to 0..1. */
  readonly scale?: number | undefined
  /** Subtracted, then divided by: one number, or one per channel. */
  readonly mean?: readonly number[] | undefined
  readonly std?: readonly number[] | undefined
}

/** The channels of a batch: element i belongs to channel ⌊i / inner⌋ mod channels. */
export interface ChannelAxis {
  readonly channels: number
  readonly inner: number
}

/**
 * Checks scale, mean and std against the channels of an input.
 * @throws {GpfqError} INVALID_DATA if mean or std have neither one number nor one per channel, or if a divisor is zero or
 * not finite
 */
export function checkPreprocessing(place: string, options: Preprocessing, channels: number): void {
  for (const [option, values] of [
    ['mean', options.mean],
    ['std', options.std],
  ] as const) {
    if (values !== undefined && values.length !== 1 && values.length !== channels)
      throw new GpfqError('INVALID_DATA', {
        place,
        expected: `${option} with 1 number or one per channel (${channels})`,
        got: String(values.length),
        hint: HINTS['scale-mean-std'],
      })
  }
  for (const divisor of [options.scale ?? 1, ...(options.std ?? [])])
    if (!(Number.isFinite(divisor) && divisor !== 0))
      throw new GpfqError('INVALID_DATA', {
        place,
        expected: 'scale and std other than zero',
        got: String(divisor),
        hint: HINTS['scale-mean-std'],
      })
}

/** Whether scale, mean or std is given. */
export function isPreprocessed(options: Preprocessing): boolean {
  return options.scale !== undefined || options.mean !== undefined || options.std !== undefined
}

/**
 * Converts one batch. Returns `data` itself if there is nothing to do.
 * @param place the name of the file in errors
 * @throws {GpfqError} INVALID_DATA for a value that the target type cannot hold
 */
export function preprocess(
  place: string,
  data: TensorData,
  source: TensorType,
  target: TensorType,
  axis: ChannelAxis,
  options: Preprocessing,
): TensorData {
  if (!isFloatType(target) || !isPreprocessed(options)) return convertElements(place, data, source, target)
  const floats = affine(data, source, axis, options)
  return convertElements(place, floats, 'float32', target)
}

function affine(
  data: TensorData,
  source: TensorType,
  axis: ChannelAxis,
  options: Preprocessing,
): Float32Array {
  const { channels, inner } = axis
  const { scale = 1, mean = [0], std = [1] } = options
  const values = numbersOf({ type: source, data })
  const out = new Float32Array(data.length)
  for (let start = 0, c = 0; start < data.length; start += inner, c = (c + 1) % channels) {
    const shift = mean[mean.length === 1 ? 0 : c] ?? 0
    const divisor = std[std.length === 1 ? 0 : c] ?? 1
    const end = Math.min(start + inner, data.length)
    if (values instanceof Uint8Array && inner >= 256) {
      const table = Float32Array.from({ length: 256 }, (_, byte) => (byte / scale - shift) / divisor)
      for (let i = start; i < end; i++) out[i] = table[values[i]!]!
    } else {
      for (let i = start; i < end; i++) out[i] = (values[i]! / scale - shift) / divisor
    }
  }
  return out
}

/**
 * Moves the channels of a batch of images: to the front, (batch, height·width, channels) to
 * (batch, channels, height·width), or to the back.
 */
export function moveChannels(
  data: TensorData,
  type: TensorType,
  shape: { readonly batch: number; readonly channels: number; readonly positions: number },
  to: 'front' | 'back',
): TensorData {
  const { batch, channels, positions } = shape
  const out = allocateElements(type, data.length)
  for (let b = 0; b < batch; b++)
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < positions; p++) {
        const front = (b * channels + c) * positions + p
        const back = (b * positions + p) * channels + c
        if (to === 'front') out[front] = data[back]!
        else out[back] = data[front]!
      }
  return out
}
