/**
 * Sound in .wav files (RIFF WAVE): PCM of 8, 16, 24 and 32 bits and floats of 32 and 64, any number of channels. Values are
 * −1 to 1, and channels are mixed down to one by their mean.
 *
 * Another sampling rate is reached by linear interpolation. Where the rate falls, the triangle is as wide as a step of the
 * output, which damps what the lower rate cannot hold. It is simple and less sharp than the filters of audio tools.
 */
import { GpfqError } from '../errors.js'

/** Whether a file is sound, by its name. */
export const isSoundName = (name: string): boolean => /\.wav$/i.test(name)

/** What the header of a .wav file says. */
export interface WavLayout {
  readonly rate: number
  readonly channels: number
  /** Samples in time. */
  readonly frames: number
  readonly encoding: Encoding
  /** Offset of the first value in bytes. */
  readonly start: number
}

type Encoding = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64'

const ENCODING_BYTES: Readonly<Record<Encoding, number>> = { u8: 1, s16: 2, s24: 3, s32: 4, f32: 4, f64: 8 }
const PCM: Readonly<Partial<Record<number, Encoding>>> = { 8: 'u8', 16: 's16', 24: 's24', 32: 's32' }
const FLOAT: Readonly<Partial<Record<number, Encoding>>> = { 32: 'f32', 64: 'f64' }
const EXTENSIBLE = 0xfffe

/**
 * Reads the header.
 * @param place the name of the file in errors
 * @throws {GpfqError} INVALID_DATA
 */
export function wavLayout(bytes: Uint8Array, place: string): WavLayout {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4))
  if (word(0) !== 'RIFF' || word(8) !== 'WAVE') throw invalid(place, 'a .wav file', 'another kind of file')
  let format: Omit<WavLayout, 'frames' | 'start'> | null = null
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true)
    const start = at + 8
    if (word(at) === 'fmt ') format = formatOf(view, start, length, place)
    if (word(at) === 'data') {
      if (format === null) throw invalid(place, 'a format before the values', 'none')
      // Programs that write into a pipe do not know the length, and leave it at its largest.
      const within = Math.min(length, bytes.length - start)
      const frames = Math.floor(within / (format.channels * ENCODING_BYTES[format.encoding]))
      return { ...format, start, frames }
    }
    at = start + length + (length % 2)
  }
  throw invalid(place, 'values in the .wav file', 'none')
}

function formatOf(
  view: DataView,
  start: number,
  length: number,
  place: string,
): Omit<WavLayout, 'frames' | 'start'> {
  if (length < 16 || start + length > view.byteLength) throw invalid(place, 'a whole header', 'a part of one')
  const [tag, channels] = [view.getUint16(start, true), view.getUint16(start + 2, true)]
  const [rate, bits] = [view.getUint32(start + 4, true), view.getUint16(start + 14, true)]
  const kind = tag === EXTENSIBLE && length >= 26 ? view.getUint16(start + 24, true) : tag
  const encoding = kind === 1 ? PCM[bits] : kind === 3 ? FLOAT[bits] : undefined
  if (encoding === undefined)
    throw invalid(place, 'PCM of 8, 16, 24 or 32 bits, or floats', `format ${kind} of ${bits} bits`)
  if (channels === 0 || rate === 0)
    throw invalid(place, 'channels and a sampling rate', `${channels} and ${rate}`)
  return { rate, channels, encoding }
}

/** The values, mixed down to one channel, (frames). */
export function wavValues(bytes: Uint8Array, { channels, frames, encoding, start }: WavLayout): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = ENCODING_BYTES[encoding]
  const read = READ[encoding]
  const out = new Float32Array(frames)
  for (let i = 0, at = start; i < frames; i++) {
    let sum = 0
    for (let c = 0; c < channels; c++, at += size) sum += read(view, at)
    out[i] = sum / channels
  }
  return out
}

const READ: Readonly<Record<Encoding, (view: DataView, at: number) => number>> = {
  u8: (view, at) => (view.getUint8(at) - 128) / 2 ** 7,
  s16: (view, at) => view.getInt16(at, true) / 2 ** 15,
  s24: (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 2 ** 16) / 2 ** 23,
  s32: (view, at) => view.getInt32(at, true) / 2 ** 31,
  f32: (view, at) => view.getFloat32(at, true),
  f64: (view, at) => view.getFloat64(at, true),
}

/** How many values there are at another rate. */
export const resampledLength = (frames: number, from: number, to: number): number =>
  Math.floor((frames * to) / from)

/** The first `length` values at another rate, as the header of this file says. */
export function resample(values: Float32Array, from: number, to: number, length: number): Float32Array {
  if (from === to) return values
  const step = from / to // input positions per output position
  const support = Math.max(1, step)
  const out = new Float32Array(length)
  for (let i = 0; i < out.length; i++) {
    const centre = i * step
    const end = Math.min(values.length - 1, Math.floor(centre + support))
    let sum = 0
    let weights = 0
    for (let j = Math.max(0, Math.ceil(centre - support)); j <= end; j++) {
      const weight = 1 - Math.abs(j - centre) / support
      sum += weight * values[j]!
      weights += weight
    }
    out[i] = sum / weights
  }
  return out
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
