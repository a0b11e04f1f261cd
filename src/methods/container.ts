/**
 * How values of this library travel as bytes: Observations and LayerSolutions, in files, messages and stores.
 *
 *     0   8 bytes   "GPFQ" and four letters for what it is
 *     8   uint32    version of the format
 *     12  uint32    bytes of the header
 *     16  uint32    checksum of everything behind these 64 bytes
 *     20  …         zeros up to byte 64
 *     64  header    JSON in UTF-8, padded with spaces to a multiple of 64 bytes
 *     …   arrays    one behind the other, each padded with zeros to a multiple of 64 bytes
 *
 * Little-endian, as WebAssembly's memory is. The header says how long the arrays are; the reader computes the lengths from
 * checked fields and refuses bytes that are shorter or longer.
 */
import { GpfqError } from '../errors.js'

const ALIGN = 64
const MAGIC = 'GPFQ'
const PREFIX = 64
/** Headers are small: some names and numbers. */
const MOST_HEADER_BYTES = 2 ** 20

export type ContainerArray = Float32Array | Float64Array | Uint8Array

/** A kind of container: four letters and the version that this program writes and reads. */
export interface ContainerKind {
  readonly letters: string
  readonly version: number
  /** For messages: "observations", "a layer's solution". */
  readonly name: string
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN

/** Whether bytes are a container of any kind. */
export const isContainer = (bytes: Uint8Array): boolean =>
  new TextDecoder('latin1').decode(bytes.subarray(0, MAGIC.length)) === MAGIC

/** One value as bytes. */
export function packContainer(
  { letters, version }: ContainerKind,
  header: object,
  arrays: readonly ContainerArray[],
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(header))
  const headerBytes = padded(text.length)
  const total = arrays.reduce((sum, { byteLength }) => sum + padded(byteLength), PREFIX + headerBytes)
  const bytes = new Uint8Array(total)
  bytes.set(new TextEncoder().encode(MAGIC + letters))
  bytes.fill(0x20, PREFIX, PREFIX + headerBytes).set(text, PREFIX)
  let at = PREFIX + headerBytes
  for (const array of arrays) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at)
    at += padded(array.byteLength)
  }
  const view = new DataView(bytes.buffer)
  view.setUint32(8, version, true)
  view.setUint32(12, headerBytes, true)
  view.setUint32(16, checksum(bytes), true)
  return bytes
}

/** Reads the arrays of a container one after another. */
export interface ContainerReader {
  readonly header: Readonly<Record<string, unknown>>
  floats(length: number): Float32Array
  doubles(length: number): Float64Array
  bytes(length: number): Uint8Array
  /** @throws GpfqError INVALID_DATA unless everything was read */
  end(): void
}

/**
 * Opens a container. The arrays are views of a copy of `bytes` where alignment asks for one, else of `bytes` itself.
 * @throws GpfqError INVALID_DATA for bytes that are none, of another kind or version, truncated or damaged
 */
export function openContainer(place: string, kind: ContainerKind, given: Uint8Array): ContainerReader {
  const fail = (expected: string, got: string): GpfqError =>
    new GpfqError('INVALID_DATA', { place, expected, got })
  const magic = new TextDecoder('latin1').decode(given.subarray(0, 8))
  if (given.length < PREFIX || magic !== MAGIC + kind.letters) {
    throw fail(`${kind.name} of gpfq`, `${given.length} bytes of something else`)
  }
  // A view at an odd offset cannot be read as floats.
  const bytes = given.byteOffset % 8 === 0 ? given : new Uint8Array(given)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(8, true)
  if (version !== kind.version) throw fail(`${kind.name} of version ${kind.version}`, `version ${version}`)
  const headerBytes = view.getUint32(12, true)
  if (headerBytes > MOST_HEADER_BYTES || PREFIX + headerBytes > bytes.length || bytes.length % ALIGN > 0) {
    throw fail(`all bytes of ${kind.name}`, 'truncated ones')
  }
  if (view.getUint32(16, true) !== checksum(bytes)) {
    throw fail(
      `${kind.name} with the checksum written beside`,
      'other bytes: the file is damaged or truncated',
    )
  }
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(PREFIX, PREFIX + headerBytes)))
  } catch (cause) {
    throw new GpfqError('INVALID_DATA', { place, problem: 'its header is not JSON' }, { cause })
  }
  if (!isRecord(header)) throw fail('a header of named fields', 'another value')
  let at = PREFIX + headerBytes
  const take = (byteLength: number): number => {
    const start = at
    if (!Number.isSafeInteger(byteLength) || byteLength < 0 || start + byteLength > bytes.length) {
      throw fail(`${byteLength} more bytes`, `${bytes.length - start}`)
    }
    at += padded(byteLength)
    return bytes.byteOffset + start
  }
  return {
    header,
    floats: (length) => new Float32Array(bytes.buffer, take(4 * length), length),
    doubles: (length) => new Float64Array(bytes.buffer, take(8 * length), length),
    bytes: (length) => new Uint8Array(bytes.buffer, take(length), length),
    end() {
      if (at !== bytes.length) throw fail(`${at} bytes`, `${bytes.length}`)
    },
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** FNV-1a over the 32-bit words behind the prefix: finds truncation and flipped bits, not malice. */
function checksum(bytes: Uint8Array): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + PREFIX, (bytes.length - PREFIX) >> 2)
  let hash = 0x811c9dc5
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193)
  return hash >>> 0
}

/** Reads checked fields of a header; each throws GpfqError INVALID_DATA with the field's name. */
export interface HeaderFields {
  whole(name: string, least: number, most: number): number
  flag(name: string): boolean
  word<const T extends string>(name: string, allowed: readonly T[]): T
  field(name: string): unknown
}

export function headerFields(place: string, header: Readonly<Record<string, unknown>>): HeaderFields {
  const fail = (name: string, expected: string): GpfqError =>
    new GpfqError('INVALID_DATA', {
      place: `${place}, '${name}'`,
      expected,
      got: String(JSON.stringify(header[name])).slice(0, 60),
    })
  return {
    whole(name, least, most) {
      const value = header[name]
      if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most)
        return value
      throw fail(name, `an integer from ${least} to ${most}`)
    },
    flag(name) {
      const value = header[name]
      if (typeof value === 'boolean') return value
      throw fail(name, 'true or false')
    },
    word(name, allowed) {
      const found = allowed.find((word) => word === header[name])
      if (found !== undefined) return found
      throw fail(name, `one of ${allowed.join(', ')}`)
    },
    field: (name) => header[name],
  }
}
