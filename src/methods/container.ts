/**
 * How values of this library travel as bytes: Observations and solutions, in files, messages and stores.
 *
 *     0     8 bytes      "GPFQ" and four letters for what it is
 *     8     uint32       version of the format
 *     12    uint32       checksum of all bytes after these 16
 *     16    30 float64   the header: whole numbers, 0 where there are fewer
 *     256   …            arrays one after the other, each padded with zeros to a multiple of 64 bytes
 *
 * Little-endian, as WebAssembly's memory is. The header says how long the arrays are: the reader computes their lengths from
 * checked numbers and refuses bytes that are shorter or longer.
 */
import { invalidData } from '../errors.js'
import { aligned } from '../wasm/arena.js'

const MAGIC = 'GPFQ'
const PREFIX = 16
const HEADER = 30
const START = PREFIX + 8 * HEADER

export type ContainerArray = Float32Array | Float64Array | Uint8Array

/** A kind of container: four letters and the version that this program writes and reads. */
export interface ContainerKind {
  readonly letters: string
  readonly version: number
  /** For messages: "observations", "a layer's solution". */
  readonly name: string
}

const letters = (bytes: Uint8Array): string => String.fromCharCode(...bytes.subarray(0, 8))

/** One value as bytes. @param header at most 30 whole numbers; true counts as 1 */
export function packContainer(
  kind: ContainerKind,
  header: readonly (number | boolean)[],
  arrays: readonly ContainerArray[],
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(arrays.reduce((sum, { byteLength }) => sum + aligned(byteLength), START))
  const view = new DataView(bytes.buffer)
  for (const [i, letter] of [...(MAGIC + kind.letters)].entries()) bytes[i] = letter.charCodeAt(0)
  view.setUint32(8, kind.version, true)
  for (const [i, value] of header.entries()) view.setFloat64(PREFIX + 8 * i, Number(value), true)
  let at = START
  for (const array of arrays) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at)
    at += aligned(array.byteLength)
  }
  view.setUint32(12, checksum(bytes), true)
  return bytes
}

/** Whether bytes begin like a container of some kind: for programs that take files of several kinds. */
export const isContainer = (bytes: Uint8Array): boolean => letters(bytes).startsWith(MAGIC)

/** Reads a container from its beginning to its end. Each call throws GpfqError INVALID_DATA for what cannot be. */
export interface ContainerReader {
  /** The next number of the header. */
  whole(name: string, least: number, most: number): number
  /** The next number of the header, which is 0 or 1. */
  flag(name: string): boolean
  floats(length: number): Float32Array
  doubles(length: number): Float64Array
  bytes(length: number): Uint8Array
  /** Refuses bytes that nothing has read. */
  end(): void
}

/**
 * Opens a container. The arrays are views of `given`, or of a copy where that is not aligned.
 * @throws GpfqError INVALID_DATA for bytes that are none, of another kind or version, truncated or damaged
 */
export function openContainer(place: string, kind: ContainerKind, given: Uint8Array): ContainerReader {
  if (given.length < PREFIX || letters(given) !== MAGIC + kind.letters) {
    throw invalidData(place, `${kind.name} of gpfq`, `${given.length} bytes of something else`)
  }
  // A view at an odd offset cannot be read as floats.
  const { buffer, byteOffset, length: total } = given.byteOffset % 8 === 0 ? given : new Uint8Array(given)
  const view = new DataView(buffer, byteOffset, total)
  const version = view.getUint32(8, true)
  if (version !== kind.version)
    throw invalidData(place, `${kind.name} of version ${kind.version}`, `version ${version}`)
  const sum = aligned(total) === total ? checksum(new Uint8Array(buffer, byteOffset, total)) : -1
  if (total < START || view.getUint32(12, true) !== sum) {
    throw invalidData(
      place,
      `${kind.name} with the checksum written in it`,
      'other bytes: it is damaged or truncated',
    )
  }
  let field = 0
  let at = START
  const whole = (name: string, least: number, most: number): number => {
    const value = view.getFloat64(PREFIX + 8 * field++, true)
    if (Number.isInteger(value) && value >= least && value <= most) return value
    throw invalidData(`${place}, ${name}`, `an integer from ${least} to ${most}`, value)
  }
  const take = (byteLength: number): number => {
    const start = at
    if (!(start + byteLength <= total)) throw invalidData(place, `${byteLength} more bytes`, total - start)
    at += aligned(byteLength)
    return byteOffset + start
  }
  return {
    whole,
    flag: (name) => whole(name, 0, 1) === 1,
    floats: (length) => new Float32Array(buffer, take(4 * length), length),
    doubles: (length) => new Float64Array(buffer, take(8 * length), length),
    bytes: (length) => new Uint8Array(buffer, take(length), length),
    end() {
      if (at !== total) throw invalidData(place, `${at} bytes`, total)
    },
  }
}

/** FNV-1a over the 32-bit words after the prefix: finds truncation and flipped bits, not malice. */
function checksum({ buffer, byteOffset, length }: Uint8Array): number {
  const words = new Uint32Array(buffer, byteOffset + PREFIX, (length - PREFIX) >> 2)
  let hash = 0x811c9dc5
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193)
  return hash >>> 0
}
