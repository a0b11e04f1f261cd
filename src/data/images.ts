/**
 * Decodes JPEG and PNG files to 8-bit pixels, the same bytes in every runtime.
 *
 * JPEG is decoded by @jsquash/jpeg, libjpeg in 166 KB of WebAssembly. It has the smooth chroma upsampling of training
 * pipelines, and is 3.5 times as fast as the pure JavaScript decoder we tried. PNG is decoded by fast-png. Neither needs
 * a canvas. Pixels are taken as stored, as PIL reads them: no EXIF rotation, no colour profile.
 */
import { jpegWasm } from '#jpegWasm'
import { GpfqError } from '../errors.js'
import type { DataFile } from './source.js'

/** A decoded image. */
export interface Pixels {
  readonly width: number
  readonly height: number
  /** 1 to 4: grey, grey and alpha, RGB, RGBA. */
  readonly channels: number
  /** (height, width, channels) */
  readonly data: Uint8Array | Uint8ClampedArray
}

/**
 * Whether a file is an image, by its name.
 * @param name of a file, with its ending
 * @example
 * isImageName('cat.JPG') // true
 */
export function isImageName(name: string): boolean {
  return /\.(jpe?g|png)$/i.test(name)
}

/**
 * Decodes one image. Its first bytes say which format it has, not its name.
 * @throws GpfqError INVALID_DATA if it is damaged or of another format; RUNTIME_MISSING if the JPEG decoder is missing
 */
export async function decodeImage(source: DataFile): Promise<Pixels> {
  const bytes = await source.bytes()
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return decodeJpeg(bytes, source.name)
  if (bytes[0] === 0x89 && bytes[1] === 0x50) return decodePng(bytes, source.name)
  throw new GpfqError('INVALID_DATA', {
    place: source.name,
    expected: 'a JPEG or PNG image',
    got: 'another kind of file',
  })
}

let readJpegWasm = jpegWasm

/**
 * Provides the file codec/dec/mozjpeg_dec.wasm of @jsquash/jpeg. A page that does not serve it beside the decoder needs
 * this; Node reads it from the package. Call it before the first JPEG is decoded.
 * @param read returns the bytes of the file
 * @example
 * provideJpegWasm(async () => new Uint8Array(await (await fetch('/assets/mozjpeg_dec.wasm')).arrayBuffer()))
 */
export function provideJpegWasm(read: () => Promise<Uint8Array>): void {
  readJpegWasm = read
}

type JpegDecoder = (bytes: Uint8Array, place: string) => Promise<Pixels>

let jpegDecoder: Promise<JpegDecoder> | undefined

async function decodeJpeg(bytes: Uint8Array, place: string): Promise<Pixels> {
  jpegDecoder ??= startJpegDecoder()
  try {
    return await (await jpegDecoder)(bytes, place)
  } catch (cause) {
    jpegDecoder = undefined // libjpeg ends its module at an error, so the next image starts another one
    throw cause
  }
}

async function startJpegDecoder(): Promise<JpegDecoder> {
  const { default: decode, init } = await import('@jsquash/jpeg/decode.js')
  let warning = ''
  let started = false
  const options = {
    noInitialRun: true,
    onRuntimeInitialized: () => {
      started = true
    },
    printErr: (line: string) => {
      warning = line
    },
  }
  try {
    const wasmBinary = await readJpegWasm?.()
    await init(wasmBinary === undefined ? options : { ...options, wasmBinary })
  } catch (cause) {
    throw notStarted(cause)
  }
  return async (bytes, place) => {
    warning = ''
    try {
      const { width, height, data } = await decode(new Uint8Array(bytes).buffer)
      if (!/premature end/i.test(warning)) return { width, height, channels: 4, data }
    } catch (cause) {
      if (!started) throw notStarted(cause)
      throw damaged(place, 'JPEG', warning || reasonOf(cause), cause)
    }
    throw damaged(place, 'JPEG', warning)
  }
}

async function decodePng(bytes: Uint8Array, place: string): Promise<Pixels> {
  const { convertIndexedToRgb, decode } = await import('fast-png')
  try {
    const png = decode(bytes)
    const { width, height, depth } = png
    if (png.palette !== undefined) {
      const data = convertIndexedToRgb(png)
      return { width, height, channels: data.length / (width * height), data }
    }
    if (depth === 16)
      return { width, height, channels: png.channels, data: Uint8Array.from(png.data, (v) => v >> 8) }
    if (depth < 8) return { width, height, channels: 1, data: unpackGrey(png.data, width, height, depth) }
    return { width, height, channels: png.channels, data: Uint8Array.from(png.data) }
  } catch (cause) {
    throw damaged(place, 'PNG', reasonOf(cause), cause)
  }
}

/** Unpacks grey levels of 1, 2 or 4 bits, whose rows are padded to whole bytes, and scales them to 0..255. */
function unpackGrey(packed: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const rowBytes = Math.ceil((width * depth) / 8)
  const largest = (1 << depth) - 1
  const out = new Uint8Array(width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const bit = x * depth
      const byte = packed[y * rowBytes + (bit >> 3)] ?? 0
      out[y * width + x] = (((byte >> (8 - depth - (bit & 7))) & largest) * 255) / largest
    }
  return out
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function notStarted(cause: unknown): GpfqError {
  const facts = {
    place: 'JPEG decoder',
    problem: `mozjpeg_dec.wasm did not load: ${reasonOf(cause)}`,
    hint: 'serve the file beside the decoder of @jsquash/jpeg, or provide it with provideJpegWasm',
  }
  return new GpfqError('RUNTIME_MISSING', facts, { cause })
}

function damaged(place: string, kind: string, reason: string, cause?: unknown): GpfqError {
  return new GpfqError('INVALID_DATA', { place, problem: `the ${kind} is damaged (${reason})` }, { cause })
}
