/**
 * Unpacks deflate and zlib streams in pieces, and gzip through the runtime's own decoder. Each stops where enough is
 * unpacked, so that a stream never takes more memory than was asked for, whatever its headers say.
 */
import { Inflate, Unzlib } from 'fflate'
import { atOnce, type Steps } from './steps.js'

/** No deflate stream grows by more than this factor (zlib's technical notes). */
const LARGEST_RATIO = 1032

/** Packed bytes per piece: they unpack to 16 MiB at most. */
const PIECE = 2 ** 14

/** Bytes that the first `need` of a stream can be, by the length of the stream. */
const capacity = (packed: number, need: number): number => Math.min(need, LARGEST_RATIO * packed + 1024)

/** Collects the first bytes of a stream, and counts the others. */
class Collector {
  readonly #bytes: Uint8Array
  /** Bytes that came. */
  count = 0

  constructor(length: number) {
    this.#bytes = new Uint8Array(length)
  }

  add(chunk: Uint8Array): void {
    const room = this.#bytes.length - this.count
    if (room > 0) this.#bytes.set(chunk.length > room ? chunk.subarray(0, room) : chunk, this.count)
    this.count += chunk.length
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, Math.min(this.count, this.#bytes.length))
  }
}

/** What a stream gave. */
export interface Unpacked {
  /** Its first bytes. */
  readonly bytes: Uint8Array
  /** Whether it was read to its end. */
  readonly ended: boolean
}

/** How much of a stream is unpacked. */
export interface Extent {
  /** The first bytes to keep. */
  readonly need: number
  /** Go on to the end, for the sake of a checksum, where the stream is not longer than this. Default: `need`. */
  readonly through?: number
  /** Gets every piece. */
  readonly onPiece?: (piece: Uint8Array) => void
}

/**
 * Unpacks a deflate stream, with zlib's frame around it or without.
 * @throws the decoder's error for a damaged stream
 */
export const inflate = (packed: Uint8Array, frame: 'none' | 'zlib', extent: Extent): Unpacked =>
  atOnce(inflateSteps(packed, frame, extent))

/** The same, a piece at each step. */
export function* inflateSteps(packed: Uint8Array, frame: 'none' | 'zlib', extent: Extent): Steps<Unpacked> {
  const { need, through = need, onPiece } = extent
  const out = new Collector(capacity(packed.length, need))
  const take = (piece: Uint8Array): void => {
    out.add(piece)
    onPiece?.(piece)
  }
  const stream = frame === 'zlib' ? new Unzlib(take) : new Inflate(take)
  for (let at = 0; at < packed.length; at += PIECE) {
    if (out.count > Math.max(need, through)) return { bytes: out.bytes, ended: false }
    stream.push(packed.subarray(at, at + PIECE), at + PIECE >= packed.length)
    yield
  }
  return { bytes: out.bytes, ended: out.count <= Math.max(need, through) }
}

/**
 * Unpacks gzip.
 * @param pause is called between pieces
 * @throws the decoder's error for a damaged stream
 */
export async function gunzip(
  packed: Uint8Array,
  { need, through = need }: Extent,
  pause: () => Promise<void> | undefined = () => undefined,
): Promise<Unpacked> {
  const out = new Collector(capacity(packed.length, need))
  let at = 0
  const pieces = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (at >= packed.length) return controller.close()
      controller.enqueue(new Uint8Array(packed.subarray(at, at + PIECE))) // streams refuse shared memory
      at += PIECE
    },
  })
  const reader = pieces.pipeThrough(new DecompressionStream('gzip')).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    await pause()
    if (done) return { bytes: out.bytes, ended: true }
    out.add(value)
    if (out.count <= Math.max(need, through)) continue
    await reader.cancel()
    return { bytes: out.bytes, ended: false }
  }
}
