/**
 * The header of a JPEG (ITU-T T.81, B.2): its size and its colours, known before a pixel is decoded. The decoder knows grey,
 * YCbCr and RGB of 8 bits; what it cannot decode is named in the error and is no damage.
 */

/** What a frame header says. */
export interface JpegHeader {
  readonly width: number
  readonly height: number
  /** Components: 1 grey, 3 colours, 4 CMYK or YCCK. */
  readonly components: number
  /** Why the decoder does not take it; null if it does. */
  readonly unsupported: string | null
}

/** Frames that are no Huffman-coded DCT, by the marker. */
const PROCESSES: ReadonlyMap<number, string> = new Map([
  [0xc3, 'lossless JPEG'],
  [0xc5, 'hierarchical JPEG'],
  [0xc6, 'hierarchical JPEG'],
  [0xc7, 'hierarchical JPEG'],
  [0xc9, 'JPEG with arithmetic coding'],
  [0xca, 'JPEG with arithmetic coding'],
  [0xcb, 'lossless JPEG'],
  [0xcd, 'hierarchical JPEG'],
  [0xce, 'hierarchical JPEG'],
  [0xcf, 'hierarchical JPEG'],
])

/** Markers C4, C8 and CC are tables and a reserved one, not frames. */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc

/** Markers without a length: RST0 to RST7, SOI and TEM. */
const isBare = (marker: number): boolean => (marker >= 0xd0 && marker <= 0xd8) || marker === 0x01

/** @throws RangeError if there is no frame header */
export function readJpegHeader(bytes: Uint8Array): JpegHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 2
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) {
      at++ // bytes between segments are skipped, as libjpeg does
      continue
    }
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) at++
    else if (isFrame(marker) && at + 10 <= bytes.length) return frame(view, at, marker)
    else if (isBare(marker) || marker === 0) at += 2
    else if (marker === 0xda || marker === 0xd9) break
    else at += 2 + view.getUint16(at + 2)
  }
  throw new RangeError('it has no frame header')
}

function frame(view: DataView, at: number, marker: number): JpegHeader {
  const bits = view.getUint8(at + 4)
  const components = view.getUint8(at + 9)
  const process = PROCESSES.get(marker)
  const unsupported =
    process ??
    (bits !== 8
      ? `JPEG of ${bits} bits`
      : components === 4
        ? 'JPEG in CMYK'
        : components !== 1 && components !== 3
          ? `JPEG of ${components} components`
          : null)
  return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components, unsupported }
}
