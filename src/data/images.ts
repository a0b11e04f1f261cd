/**
 * Decodes JPEG and PNG files to 8-bit pixels, the same bytes in every runtime.
 *
 * JPEG is decoded by @jsquash/jpeg, libjpeg in 166 KB of WebAssembly. It has the smooth chroma upsampling of training
 * pipelines, and is 3.5 times as fast as the pure JavaScript decoder we tried. PNG is decoded by fast-png. Neither needs
 * a canvas. Pixels are taken as stored, as PIL reads them: no EXIF rotation, no colour profile.
 */
import { jpegWasm } from '#jpegWasm'
import { GpfqError, reasonOf } from '../errors.js'
import { createPauses } from '../platform/pauses.js'
import { IMAGE_BYTES, tooLarge } from './bound.js'
import { readJpegHeader } from './jpeg.js'
import { decodePngPixels, readPngHeader } from './png.js'
import { bytesOf, type DataFile } from './source.js'

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
 * @param maxBytes most bytes of its pixels, 4 a pixel
 * @param signal aborts between pieces of it
 * @throws GpfqError INVALID_DATA if it is damaged, too large or of another format; RUNTIME_MISSING if the JPEG decoder is
 * missing
 */
export async function decodeImage(
  source: DataFile,
  maxBytes = IMAGE_BYTES,
  signal?: AbortSignal,
): Promise<Pixels> {
  const bytes = await bytesOf(source, signal)
  const place = source.name
  if (checkImage(bytes, place, maxBytes) === 'JPEG') return decodeJpeg(bytes, place)
  try {
    return await decodePngPixels(bytes, createPauses(signal))
  } catch (cause) {
    signal?.throwIfAborted()
    throw damaged(place, 'PNG', reasonOf(cause), cause)
  }
}

/**
 * Checks what the header of an image says, and that the file has an end. Nothing is decoded.
 * @throws {GpfqError} INVALID_DATA
 */
export function checkImage(bytes: Uint8Array, place: string, maxBytes: number): 'JPEG' | 'PNG' {
  return checkHeader(bytes, place, maxBytes).kind
}

/**
 * Width and height of an image, from its header.
 * @throws {GpfqError} INVALID_DATA as checkImage
 */
export function imageSizeOf(
  bytes: Uint8Array,
  place: string,
  maxBytes: number,
): Pick<Pixels, 'width' | 'height'> {
  return checkHeader(bytes, place, maxBytes)
}

function checkHeader(bytes: Uint8Array, place: string, maxBytes: number) {
  const kind = kindOf(bytes)
  if (kind === null)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'a JPEG or PNG image',
      got: bytes.length === 0 ? 'an empty file' : 'another kind of file',
    })
  const { width, height, unsupported } = headerOf(bytes, kind, place)
  if (unsupported !== null)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'a PNG, or a JPEG in grey, YCbCr or RGB of 8 bits',
      got: unsupported,
      hint: 'convert it to RGB',
    })
  if (width === 0 || height === 0)
    throw new GpfqError('INVALID_DATA', { place, expected: 'pixels', got: `${width} × ${height} of them` })
  if (4 * width * height > maxBytes)
    throw tooLarge(place, `the pixels of an image, ${width} × ${height} here`, maxBytes, 4 * width * height)
  return { kind, width, height }
}

/**
 * Checks that a file is not cut short: that the mark at the end of an image is there.
 * @throws {GpfqError} INVALID_DATA
 */
export function checkEnd(bytes: Uint8Array, kind: 'JPEG' | 'PNG', place: string): void {
  const end = kind === 'JPEG' ? [0xff, 0xd9] : [0x49, 0x45, 0x4e, 0x44]
  for (let at = bytes.length - end.length; at >= 0; at--)
    if (end.every((byte, i) => bytes[at + i] === byte)) return
  throw damaged(place, kind, 'its end is missing')
}

function kindOf(bytes: Uint8Array): 'JPEG' | 'PNG' | null {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'JPEG'
  return bytes[0] === 0x89 && bytes[1] === 0x50 ? 'PNG' : null
}

function headerOf(bytes: Uint8Array, kind: 'JPEG' | 'PNG', place: string) {
  try {
    return kind === 'JPEG' ? readJpegHeader(bytes) : { ...readPngHeader(bytes), unsupported: null }
  } catch (cause) {
    throw damaged(place, kind, reasonOf(cause), cause)
  }
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
