/**
 * NumPy's .npz archives: a zip file of .npy members, stored or deflated. A member is unpacked when it is read, so unused
 * arrays cost nothing. Checksums are compared here, because fflate does not compare them.
 */
import { unzipSync, zipSync } from 'fflate'
import { GpfqError } from '../errors.js'
import type { Tensor } from '../tensor/tensor.js'
import { crc32 } from './crc32.js'
import { formatNpy, parseNpy } from './npy.js'

/** An open .npz archive. */
export interface NpzArchive {
  /** Names of the arrays, without the .npy of the member, in the archive's order. */
  readonly names: readonly string[]
  /**
   * Unpacks one array.
   * @param name one of `names`
   * @throws GpfqError INVALID_DATA if there is no such array or it is damaged
   */
  get(name: string): Tensor
}

/** Whether a file starts as a zip archive. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5)
}

/**
 * Opens an archive: reads its directory and unpacks nothing.
 * @param place the name of the file in errors
 * @throws GpfqError INVALID_DATA if it is damaged or has no .npy members
 */
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
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'an .npz with .npy members',
      got: 'a zip without any',
    })
  return {
    names,
    get(name) {
      const member = `${name}.npy`
      const files = unzip(place, () => unzipSync(bytes, { filter: (file) => file.name === member }))
      const content = files[member]
      if (content === undefined)
        throw new GpfqError('INVALID_DATA', {
          place,
          expected: `an array named ${JSON.stringify(name)}`,
          got: `only ${names.join(', ')}`,
        })
      const [expected, got] = [sums.get(member), crc32(content)]
      if (got !== expected)
        throw new GpfqError('INVALID_DATA', {
          place: `${place}: ${member}`,
          expected: `bytes with CRC-32 ${hex(expected)}`,
          got: hex(got),
          hint: 'the archive is damaged, fetch or write it again',
        })
      return parseNpy(content, `${place}: ${member}`)
    },
  }
}

/** Packs arrays into a deflated .npz. The same arrays give the same bytes. */
export function formatNpz(arrays: Readonly<Record<string, Tensor>>): Uint8Array {
  const members: Record<string, Uint8Array> = {}
  for (const [name, tensor] of Object.entries(arrays)) members[`${name}.npy`] = formatNpy(tensor)
  return zipSync(members, { level: 9, mtime: new Date('1980-01-01T00:00:00') })
}

const END = 0x06054b50
const MEMBER = 0x02014b50

/** The CRC-32 of each member out of the central directory, in its order (PKWARE's APPNOTE, 4.3.12 to 4.3.16). */
function checksums(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (at: number): number => view.getUint32(at, true)
  const half = (at: number): number => view.getUint16(at, true)
  let end = bytes.length - 22
  while (word(end) !== END) end--
  let at = word(end + 16)
  if (at === 0xffffffff) at = word(word(end - 12) + 48) // zip64 has an end record of its own before this one
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
    const problem = `the zip archive is damaged (${reason})`
    throw new GpfqError('INVALID_DATA', { place, problem }, { cause })
  }
}
