/**
 * NumPy's .npz archives: a zip file of .npy members, stored or deflated. Members are unpacked one at a time and
 * only when asked for, so labels or unused arrays in the same archive cost nothing. Their checksums are compared here,
 * for fflate does not.
 */
import { unzipSync, zipSync } from 'fflate'
import { GpfqError } from '../errors.js'
import type { Tensor } from '../tensor/tensor.js'
import { crc32 } from './crc32.js'
import { formatNpy, parseNpy } from './npy.js'

export interface NpzArchive {
  /** Names of the arrays, without the .npy of the member, in the archive's order. */
  readonly names: readonly string[]
  /** @throws {GpfqError} INVALID_DATA if there is no such array or it is damaged */
  get(name: string): Tensor
}

export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5)
}

/** Opens an archive: reads its directory, unpacks nothing yet. */
export function openNpz(bytes: Uint8Array, place = 'npz'): NpzArchive {
  const members: string[] = []
  const sums = unzip(place, () => {
    unzipSync(bytes, {
      filter: ({ name }) => {
        members.push(name)
        return false
      },
    })
    return new Map(checksums(bytes).map((sum, i) => [members[i], sum]))
  })
  const names = members.filter((name) => name.endsWith('.npy')).map((name) => name.slice(0, -'.npy'.length))
  if (names.length === 0)
    throw new GpfqError('INVALID_DATA', `${place}: expected an .npz with .npy members, got a zip without any`)
  return {
    names,
    get(name) {
      const member = `${name}.npy`
      const files = unzip(place, () => unzipSync(bytes, { filter: (file) => file.name === member }))
      const content = files[member]
      if (content === undefined)
        throw new GpfqError(
          'INVALID_DATA',
          `${place}: expected an array named ${JSON.stringify(name)}, got only ${names.join(', ')}`,
        )
      const [expected, got] = [sums.get(member), crc32(content)]
      if (got !== expected)
        throw new GpfqError(
          'INVALID_DATA',
          `${place}: ${member}: expected bytes with CRC-32 ${hex(expected)}, got ${hex(got)}; the archive is damaged, fetch or write it again`,
        )
      return parseNpy(content, `${place}: ${member}`)
    },
  }
}

/** Packs arrays into a deflated .npz, the same bytes for the same arrays. */
export function formatNpz(arrays: Readonly<Record<string, Tensor>>): Uint8Array {
  const members: Record<string, Uint8Array> = {}
  for (const [name, tensor] of Object.entries(arrays)) members[`${name}.npy`] = formatNpy(tensor)
  return zipSync(members, { level: 9, mtime: new Date('1980-01-01T00:00:00') })
}

const END = 0x06054b50
const MEMBER = 0x02014b50

/** CRC-32 of each member as the central directory has it, in its order (PKWARE's APPNOTE, 4.3.12 to 4.3.16). */
function checksums(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (at: number): number => view.getUint32(at, true)
  const half = (at: number): number => view.getUint16(at, true)
  let end = bytes.length - 22
  while (word(end) !== END) end--
  let at = word(end + 16)
  if (at === 0xffffffff) at = word(word(end - 12) + 48) // zip64 has another end before this one
  const sums: number[] = []
  while (word(at) === MEMBER) {
    sums.push(word(at + 16))
    at += 46 + half(at + 28) + half(at + 30) + half(at + 32)
  }
  return sums
}

const hex = (sum: number | undefined): string => sum?.toString(16).padStart(8, '0') ?? 'none'

function unzip<T>(place: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new GpfqError(
      'INVALID_DATA',
      `${place}: expected a readable zip archive, got a damaged one (${reason})`,
      {
        cause,
      },
    )
  }
}
