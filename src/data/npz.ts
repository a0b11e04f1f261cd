/**
 * NumPy's .npz archives: a zip file of .npy members, stored or deflated. Members are unpacked one at a time and
 * only when asked for, so labels or unused arrays in the same archive cost nothing.
 */
import { unzipSync, zipSync } from 'fflate'
import type { Tensor } from '../calibration/runner.js'
import { GpfqError } from '../errors.js'
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
  unzip(place, () =>
    unzipSync(bytes, {
      filter: ({ name }) => {
        if (name.endsWith('.npy')) members.push(name)
        return false
      },
    }),
  )
  const names = members.map((name) => name.slice(0, -'.npy'.length))
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

function unzip(place: string, read: () => Record<string, Uint8Array>): Record<string, Uint8Array> {
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
