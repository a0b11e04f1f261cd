/**
 * NumPy's .npz archives: a zip file of .npy members, stored or deflated. A member is unpacked when it is read, so unused
 * arrays cost nothing, and never further than is asked for, whatever sizes the directory declares (zip.ts).
 */
import { zipSync } from 'fflate'
import { GpfqError } from '../errors.js'
import type { Tensor } from '../tensor/tensor.js'
import { ARRAY_BYTES, HEADER_BYTES, tooLarge } from './bound.js'
import { type ArrayLayout, bytesTo, decodeArray, extentTo, formatNpy, npyLayout, rowsToRead } from './npy.js'
import { listed } from './quote.js'
import { atOnce, type Steps } from './steps.js'
import { readDirectory, unpackMember, type ZipMember } from './zip.js'

export { isZip } from './zip.js'

/** An open .npz archive. */
export interface NpzArchive {
  /** Names of the arrays, without the .npy of the member, in the archive's order. */
  readonly names: readonly string[]
  /**
   * Unpacks one array.
   * @param name one of `names`
   * @throws GpfqError INVALID_DATA if there is no such array, it is damaged or takes more memory than allowed
   */
  get(name: string): Tensor
}

/** An archive whose arrays can be read in part. */
export interface OpenNpz extends NpzArchive {
  /** The header of an array. */
  layout(name: string): ArrayLayout
  /**
   * The first samples of an array.
   * @param bound most bytes to unpack
   */
  read(name: string, layout: ArrayLayout, samples: number, bound: number): Steps<Tensor>
}

/**
 * Opens an archive: reads its directory and unpacks nothing.
 * @param place the name of the file in errors
 * @param maxBytes most bytes that `get` unpacks
 * @throws GpfqError INVALID_DATA if it is damaged or has no .npy members
 */
export function openNpz(bytes: Uint8Array, place = 'npz', maxBytes = ARRAY_BYTES): OpenNpz {
  const members = new Map<string, ZipMember>()
  for (const member of readDirectory(bytes, place))
    if (member.name.endsWith('.npy')) members.set(member.name.slice(0, -'.npy'.length), member)
  const names = [...members.keys()]
  if (names.length === 0)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'an .npz with .npy members',
      got: 'a zip without any',
    })
  const memberOf = (name: string): ZipMember => {
    const member = members.get(name)
    if (member !== undefined) return member
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: `an array named ${JSON.stringify(name)}`,
      got: `only ${listed(names)}`,
    })
  }
  const layout = (name: string): ArrayLayout => {
    const member = memberOf(name)
    const start = atOnce(unpackMember(bytes, member, place, { need: HEADER_BYTES }))
    return npyLayout(start, member.place(place))
  }
  function* read(name: string, header: ArrayLayout, samples: number, bound: number): Steps<Tensor> {
    const member = memberOf(name)
    const own = member.place(place)
    const rows = rowsToRead(header, samples)
    const need = bytesTo(header, rows)
    if (!(need <= bound) && member.method !== 'stored') throw tooLarge(own, 'the unpacked array', bound, need)
    const content = yield* unpackMember(bytes, member, place, extentTo(header, rows, bound))
    return decodeArray(header, content, own, rows)
  }
  return {
    names,
    layout,
    read,
    get: (name) => atOnce(read(name, layout(name), Number.POSITIVE_INFINITY, maxBytes)),
  }
}

/** Packs arrays into a deflated .npz. The same arrays give the same bytes. */
export function formatNpz(arrays: Readonly<Record<string, Tensor>>): Uint8Array {
  const members: Record<string, Uint8Array> = {}
  for (const [name, tensor] of Object.entries(arrays)) members[`${name}.npy`] = formatNpy(tensor)
  return zipSync(members, { level: 9, mtime: new Date('1980-01-01T00:00:00') })
}
