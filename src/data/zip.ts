/**
 * Members of a zip file (PKWARE's APPNOTE, 4.3 and 4.5), stored or deflated, zip64 too. The central directory is what
 * counts. Its sizes are compared with the file, or not believed: a member is unpacked in pieces. fflate unpacks, but its
 * own reader of zip files allocates what the directory declares and compares no checksums.
 */
import { GpfqError, reasonOf } from '../errors.js'
import { crc32 } from './crc32.js'
import { type Extent, inflateSteps } from './inflate.js'
import { cut } from './quote.js'
import type { Steps } from './steps.js'

/** An entry of the central directory. */
export interface ZipMember {
  readonly name: string
  readonly method: 'stored' | 'deflated' | 'other'
  readonly isEncrypted: boolean
  readonly crc: number
  /** Bytes in the archive. */
  readonly packed: number
  /** Offset of the local header. */
  readonly header: number
  /** The member in errors. */
  place(archive: string): string
}

/** Whether a file starts as a zip archive. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5)
}

const END = 0x06054b50
const END_64_LOCATOR = 0x07064b50
const END_64 = 0x06064b50
const MEMBER = 0x02014b50
const LOCAL = 0x04034b50
const END_BYTES = 22
const MOST_COMMENT = 0xffff

/**
 * Reads the directory, and unpacks nothing.
 * @throws {GpfqError} INVALID_DATA if there is none
 */
export function readDirectory(bytes: Uint8Array, place: string): readonly ZipMember[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    const { offset, count } = findDirectory(view)
    const members: ZipMember[] = []
    let at = offset
    while (members.length < count) {
      if (view.getUint32(at, true) !== MEMBER) throw new RangeError('an entry of the directory is missing')
      const lengths = [28, 30, 32].map((field) => view.getUint16(at + field, true))
      const [nameLength = 0, extraLength = 0, commentLength = 0] = lengths
      members.push(readEntry(bytes, view, at, nameLength, extraLength))
      at += 46 + nameLength + extraLength + commentLength
    }
    return members
  } catch (cause) {
    throw damaged(place, cause)
  }
}

/** Where the directory begins and how many entries it has. */
function findDirectory(view: DataView): { readonly offset: number; readonly count: number } {
  const length = view.byteLength
  let end = length - END_BYTES
  const first = Math.max(0, end - MOST_COMMENT)
  while (end >= first && view.getUint32(end, true) !== END) end--
  if (end < first) throw new RangeError('its end is missing')
  const offset = view.getUint32(end + 16, true)
  const count = view.getUint16(end + 10, true)
  const locator = end - 20
  const has64 = locator >= 0 && view.getUint32(locator, true) === END_64_LOCATOR
  if (!has64 || (offset !== 0xffffffff && count !== 0xffff)) return { offset, count }
  const end64 = wide(view, locator + 8)
  if (view.getUint32(end64, true) !== END_64) throw new RangeError('its zip64 end is missing')
  return { offset: wide(view, end64 + 48), count: wide(view, end64 + 32) }
}

function readEntry(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  nameLength: number,
  extraLength: number,
): ZipMember {
  const flags = view.getUint16(at + 8, true)
  const method = view.getUint16(at + 10, true)
  const raw = bytes.subarray(at + 46, at + 46 + nameLength)
  const name = (flags & 0x800) === 0 ? latin1(raw) : new TextDecoder().decode(new Uint8Array(raw))
  const unpacked = view.getUint32(at + 24, true)
  let packed = view.getUint32(at + 20, true)
  let header = view.getUint32(at + 42, true)
  let field = findZip64(view, at + 46 + nameLength, extraLength)
  if (field !== null) {
    if (unpacked === 0xffffffff) field += 8
    if (packed === 0xffffffff) {
      packed = wide(view, field)
      field += 8
    }
    if (header === 0xffffffff) header = wide(view, field)
  }
  return {
    name,
    method: method === 0 ? 'stored' : method === 8 ? 'deflated' : 'other',
    isEncrypted: (flags & 1) !== 0,
    crc: view.getUint32(at + 16, true),
    packed,
    header,
    place: (archive) => `${archive}: ${cut(name)}`,
  }
}

/** Where the zip64 sizes of an entry lie, or null. */
function findZip64(view: DataView, start: number, length: number): number | null {
  for (let at = start; at + 4 <= start + length; at += 4 + view.getUint16(at + 2, true))
    if (view.getUint16(at, true) === 1) return at + 4
  return null
}

/**
 * The first bytes of a member. Its checksum is compared where it was read to its end.
 * @param place the name of the archive in errors
 * @throws {GpfqError} INVALID_DATA
 */
export function* unpackMember(
  bytes: Uint8Array,
  member: ZipMember,
  place: string,
  extent: Extent,
): Steps<Uint8Array> {
  const own = member.place(place)
  if (member.isEncrypted) throw new GpfqError('INVALID_DATA', { place: own, problem: 'it is encrypted' })
  if (member.method === 'other')
    throw new GpfqError('INVALID_DATA', {
      place: own,
      expected: 'a member that is stored or deflated',
      got: 'another compression',
      hint: 'write it again with numpy.savez or numpy.savez_compressed',
    })
  const packed = packedBytes(bytes, member, place)
  if (member.method === 'stored') {
    // A header alone is no reason to read all of the member.
    const whole = packed.length <= (extent.through ?? extent.need)
    if (whole) compare(own, member.crc, yield* crcSteps(packed))
    return packed
  }
  let sum = 0
  try {
    const { bytes: content, ended } = yield* inflateSteps(packed, 'none', {
      ...extent,
      onPiece: (piece) => {
        sum = crc32(piece, sum)
      },
    })
    if (ended) compare(own, member.crc, sum)
    return content
  } catch (cause) {
    throw cause instanceof GpfqError ? cause : damaged(own, cause)
  }
}

/** Bytes of a step of a checksum. */
const CRC_STEP = 2 ** 20

function* crcSteps(bytes: Uint8Array): Steps<number> {
  let sum = 0
  for (let at = 0; at < bytes.length; at += CRC_STEP) {
    sum = crc32(bytes.subarray(at, at + CRC_STEP), sum)
    yield
  }
  return sum
}

function packedBytes(bytes: Uint8Array, { header, packed }: ZipMember, place: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    if (view.getUint32(header, true) !== LOCAL) throw new RangeError('a member is missing')
    const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true)
    if (start + packed > bytes.length) throw new RangeError('a member is cut short')
    return bytes.subarray(start, start + packed)
  } catch (cause) {
    throw damaged(place, cause)
  }
}

function compare(place: string, expected: number, got: number): void {
  if (got === expected) return
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: `bytes with CRC-32 ${hex(expected)}`,
    got: hex(got),
    hint: 'the archive is damaged, fetch or write it again',
  })
}

/** A 64-bit number. Offsets beyond 2^53 are beyond any file, rounded or not. */
const wide = (view: DataView, at: number): number => Number(view.getBigUint64(at, true))

const hex = (sum: number): string => sum.toString(16).padStart(8, '0')

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

function damaged(place: string, cause: unknown): GpfqError {
  const problem = `the zip archive is damaged (${reasonOf(cause)})`
  return new GpfqError('INVALID_DATA', { place, problem }, { cause })
}
