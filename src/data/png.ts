/**
 * Decodes PNG. fast-png undoes the filters and the interlacing. It gets a file that is written anew: its pixels unpacked
 * here, no further than their size says, and nothing else but the palette. So no chunk of a hostile file unpacks to more
 * than its image (a colour profile would, too), and the size itself is compared with a bound first.
 */
import { zlibSync } from 'fflate'
import type { Pixels } from './images.js'
import { inflateSteps } from './inflate.js'
import { type Steps, withPauses } from './steps.js'

/** Width, height and kind of pixels, as the first chunk says. */
interface PngHeader {
  readonly width: number
  readonly height: number
  readonly depth: number
  /** 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA. */
  readonly colour: number
  readonly isInterlaced: boolean
}

/** Channels of each colour type. */
const CHANNELS: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [2, 3],
  [3, 1],
  [4, 2],
  [6, 4],
])

/** The seven passes of Adam7: the first column and row, and their steps. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

const SIGNATURE = 8
const HEADER_LENGTH = 13

/** @throws RangeError for a header that is none */
export function readPngHeader(bytes: Uint8Array): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(SIGNATURE) !== HEADER_LENGTH || chunkName(bytes, SIGNATURE + 4) !== 'IHDR')
    throw new RangeError('its header is missing')
  const at = SIGNATURE + 8
  const [depth = 0, colour = 0, , , interlace = 0] = bytes.subarray(at + 8, at + HEADER_LENGTH)
  const header = { width: view.getUint32(at), height: view.getUint32(at + 4), depth, colour }
  const depths = colour === 0 ? [1, 2, 4, 8, 16] : colour === 3 ? [1, 2, 4, 8] : [8, 16]
  if (!CHANNELS.has(colour) || !depths.includes(depth))
    throw new RangeError(`colour type ${colour} of ${depth} bits is none of PNG's`)
  if (interlace > 1) throw new RangeError(`interlace method ${interlace} is none of PNG's`)
  return { ...header, isInterlaced: interlace === 1 }
}

/**
 * Decodes an image whose size was checked.
 * @throws the reason why it cannot be decoded
 */
export async function decodePngPixels(
  bytes: Uint8Array,
  pause: () => Promise<void> | undefined,
): Promise<Pixels> {
  const { convertIndexedToRgb, decode } = await import('fast-png')
  const png = decode(await withPauses(rewrite(bytes, readPngHeader(bytes)), pause))
  await pause()
  const { width, height, depth } = png
  if (png.palette !== undefined) {
    const data = convertIndexedToRgb(png)
    return { width, height, channels: data.length / (width * height), data }
  }
  if (depth === 16)
    return { width, height, channels: png.channels, data: Uint8Array.from(png.data, (v) => v >> 8) }
  if (depth < 8) return { width, height, channels: 1, data: unpackGrey(png.data, width, height, depth) }
  const { channels, data } = png
  return { width, height, channels, data: data instanceof Uint8Array ? data : Uint8Array.from(data) }
}

/** The image as the chunks that pixels need, its pixels unpacked. */
function* rewrite(bytes: Uint8Array, header: PngHeader): Steps<Uint8Array> {
  const kept = new Map<string, Uint8Array>()
  const parts: Uint8Array[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = SIGNATURE; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at)
    const name = chunkName(bytes, at + 4)
    if (name === 'IEND') break
    const content = bytes.subarray(at + 8, at + 8 + length)
    if (name === 'IDAT') parts.push(content)
    else if (name === 'PLTE' || (name === 'tRNS' && header.colour === 3)) kept.set(name, content)
    at += 12 + length
  }
  const palette = kept.get('PLTE')
  if (header.colour === 3 && palette === undefined) throw new RangeError('its palette is missing')
  const need = rawBytes(header)
  const raw = (yield* inflateSteps(concatenate(parts), 'zlib', { need })).bytes
  if (raw.length < need) throw new RangeError(`${raw.length} of ${need} bytes of pixels`)
  return concatenate([
    bytes.subarray(0, SIGNATURE),
    chunk('IHDR', bytes.subarray(SIGNATURE + 8, SIGNATURE + 8 + HEADER_LENGTH)),
    ...(header.colour === 3 ? [...kept].map(([name, content]) => chunk(name, content)) : []),
    chunk('IDAT', zlibSync(raw, { level: 0 })),
    chunk('IEND', new Uint8Array(0)),
  ])
}

/** Bytes of the rows with their filters' bytes, before compression. */
function rawBytes({ width, height, depth, colour, isInterlaced }: PngHeader): number {
  const bits = depth * (CHANNELS.get(colour) ?? 1)
  const rows = (w: number, h: number): number => (w === 0 ? 0 : h * (1 + Math.ceil((w * bits) / 8)))
  if (!isInterlaced) return rows(width, height)
  return PASSES.reduce((sum, [x, y, dx, dy]) => {
    const w = Math.max(0, Math.ceil((width - x) / dx))
    return sum + rows(w, Math.max(0, Math.ceil((height - y) / dy)))
  }, 0)
}

/** A chunk without its checksum, which fast-png does not compare. */
function chunk(name: string, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + content.length)
  new DataView(out.buffer).setUint32(0, content.length)
  for (let i = 0; i < 4; i++) out[4 + i] = name.charCodeAt(i)
  out.set(content, 8)
  return out
}

const chunkName = (bytes: Uint8Array, at: number): string =>
  String.fromCharCode(...bytes.subarray(at, at + 4))

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
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
