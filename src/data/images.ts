/**
 * Decodes JPEG and PNG files to 8-bit pixels, the same bytes in every runtime.
 *
 * JPEG goes through @jsquash/jpeg (libjpeg in 166 KB of WebAssembly: the smooth chroma upsampling that training
 * pipelines use, and 3.5 times as fast as the pure JavaScript decoder we tried), PNG through fast-png. Neither
 * needs a canvas. Pixels are taken as stored: no EXIF rotation, no colour profile, as PIL reads them.
 */
import { jpegWasm } from '#jpegWasm'
import { GpfqError } from '../errors.js'
import type { ByteSource } from './source.js'

/** data is (height, width, channels), 1 to 4 channels: grey, grey + alpha, RGB, RGBA. */
export interface Pixels {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly data: Uint8Array | Uint8ClampedArray
}

/** Whether a file is an image, by its name. */
export function isImageName(name: string): boolean {
  return /\.(jpe?g|png)$/i.test(name)
}

/** @throws {GpfqError} INVALID_DATA */
export async function decodeImage(source: ByteSource): Promise<Pixels> {
  const bytes = await source.bytes()
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return decodeJpeg(bytes, source.name)
  if (bytes[0] === 0x89 && bytes[1] === 0x50) return decodePng(bytes, source.name)
  throw new GpfqError(
    'INVALID_DATA',
    `${source.name}: expected a JPEG or PNG image, got another kind of file`,
  )
}

let readJpegWasm = jpegWasm

/**
 * Says how to read @jsquash/jpeg's codec/dec/mozjpeg_dec.wasm where it can neither be fetched from beside the decoder nor, as in
 * Node, be read from its package. Call it before the first JPEG.
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
    jpegDecoder = undefined // libjpeg has ended its module, or it never began: the next image starts another
    throw cause
  }
}

async function startJpegDecoder(): Promise<JpegDecoder> {
  const { default: decode, init } = await import('@jsquash/jpeg/decode.js')
  let complaint = ''
  let started = false
  const options = {
    noInitialRun: true,
    onRuntimeInitialized: () => {
      started = true
    },
    printErr: (line: string) => {
      complaint = line
    },
  }
  try {
    const wasmBinary = await readJpegWasm?.()
    await init(wasmBinary === undefined ? options : { ...options, wasmBinary })
  } catch (cause) {
    throw notStarted(cause)
  }
  return async (bytes, place) => {
    complaint = ''
    try {
      const { width, height, data } = await decode(new Uint8Array(bytes).buffer)
      if (!/premature end/i.test(complaint)) return { width, height, channels: 4, data }
    } catch (cause) {
      if (!started) throw notStarted(cause)
      throw damaged(place, 'JPEG', complaint || reasonOf(cause), cause)
    }
    throw damaged(place, 'JPEG', complaint)
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

/** Grey levels of 1, 2 or 4 bits, rows padded to whole bytes, spread over 0..255. */
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
  return new GpfqError(
    'RUNTIME_MISSING',
    `JPEG decoder: expected its mozjpeg_dec.wasm, got ${reasonOf(cause)}; serve the file beside the decoder of @jsquash/jpeg, or hand it in with provideJpegWasm`,
    { cause },
  )
}

function damaged(place: string, kind: string, reason: string, cause?: unknown): GpfqError {
  return new GpfqError(
    'INVALID_DATA',
    `${place}: expected a readable ${kind}, got a damaged one (${reason})`,
    { cause },
  )
}
