/**
 * A source of bytes has two members, so that a file of Node (files.ts), a File of a page and a buffer all fit. Its bytes
 * hold one array, or several with names. The first bytes say which format it is, not the name of the file. Of a gzipped file
 * as much is unpacked as is asked for.
 */

import { untilAborted } from '../aborts.js'
import { checkWhole, typeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { createPauses } from '../platform/pauses.js'
import type { Tensor, TensorType } from '../tensor/tensor.js'
import { ARRAY_BYTES, HEADER_BYTES, tooLarge } from './bound.js'
import { idxLayout, isIdx } from './idx.js'
import { type Extent, gunzip } from './inflate.js'
import {
  type ArrayLayout,
  bytesTo,
  decodeArray,
  extentTo,
  isNpy,
  npyLayout,
  rowsToRead,
  startOf,
} from './npy.js'
import { isZip, type NpzArchive, type OpenNpz, openNpz } from './npz.js'
import { cut, listed } from './quote.js'
import { withPauses } from './steps.js'

/** A file of data: a name, and a way to read it. */
export interface DataFile {
  /** Its name in errors. The endings .jpg, .jpeg and .png mean an image, all others an array file. */
  readonly name: string
  /** The folder of a class that it is in, for images whose folders are their labels. */
  readonly folder?: string | undefined
  /** Reads all of it. */
  bytes(): Promise<Uint8Array>
}

/** The contents of an array file: one array, or an archive of arrays with names. */
export type ArrayFile =
  | { readonly kind: 'one'; readonly tensor: Tensor }
  | { readonly kind: 'named'; readonly archive: NpzArchive }

/** Options of readArrays. */
export interface ReadOptions {
  /** Most bytes that one array may take once unpacked. Default: 1 GiB. */
  readonly maxBytes?: number | undefined
}

/** An array whose header is read. */
export interface ArrayEntry {
  readonly type: TensorType
  readonly dims: readonly number[]
  /**
   * The array, or its first samples.
   * @param samples at most as many
   * @param bound most bytes to unpack
   * @param signal aborts between pieces
   */
  read(samples: number, bound: number, signal?: AbortSignal): Promise<Tensor>
}

/** An array file of which headers alone are read. */
export type OpenFile =
  | { readonly kind: 'one'; readonly entry: ArrayEntry }
  | { readonly kind: 'named'; readonly archive: OpenNpz }

/**
 * Reads an array file: .npy, .npz or IDX, each also gzipped.
 * @param source its name in errors, and its bytes
 * @param options how much memory it may take
 * @throws GpfqError INVALID_DATA for other formats, damaged files, and arrays larger than `maxBytes` once unpacked
 * @example
 * const arrays = await readArrays({ name: file.name, bytes: async () => new Uint8Array(await file.arrayBuffer()) })
 * const tensor = arrays.kind === 'one' ? arrays.tensor : arrays.archive.get('x')
 */
export async function readArrays(source: DataFile, options: ReadOptions = {}): Promise<ArrayFile> {
  const { maxBytes = ARRAY_BYTES } = options
  checkWhole('maxBytes', maxBytes, 1)
  const file = await openArrays(source, maxBytes)
  if (file.kind === 'named') return file
  return { kind: 'one', tensor: await file.entry.read(Number.POSITIVE_INFINITY, maxBytes) }
}

/**
 * Opens an array file and reads headers alone.
 * @param bound most bytes of a gzipped archive, and of an array that its `get` gives
 * @throws {GpfqError} INVALID_DATA
 */
export async function openArrays(source: DataFile, bound: number, signal?: AbortSignal): Promise<OpenFile> {
  const place = source.name
  const bytes = await bytesOf(source, signal)
  const isPacked = isGzip(bytes)
  const beginning = isPacked ? await readPacked(bytes, place, { need: HEADER_BYTES }, signal) : bytes
  if (isZip(beginning)) {
    const extent = { need: bound + 1, through: bound }
    const whole = isPacked ? await readPacked(bytes, place, extent, signal) : bytes
    if (whole.length > bound && isPacked) throw tooLarge(place, 'the unpacked archive', bound, null)
    return { kind: 'named', archive: openNpz(whole, place, bound) }
  }
  const layout = layoutOf(beginning, place)
  return {
    kind: 'one',
    entry: {
      type: layout.type,
      dims: layout.dims,
      async read(samples, most, own) {
        const rows = rowsToRead(layout, samples)
        const need = bytesTo(layout, rows)
        if (!isPacked) return decodeArray(layout, bytes, place, rows)
        if (!(need <= most)) throw tooLarge(place, 'the unpacked array', most, need)
        const content = await readPacked(bytes, place, extentTo(layout, rows, most), own)
        return decodeArray(layout, content, place, rows)
      },
    },
  }
}

function layoutOf(bytes: Uint8Array, place: string): ArrayLayout {
  if (isNpy(bytes)) return npyLayout(bytes, place)
  if (isIdx(bytes)) return idxLayout(bytes, place)
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: '.npy, .npz or IDX (each also gzipped), or a folder of JPEG or PNG images',
    got: `a file that starts with ${startOf(bytes)}`,
  })
}

/**
 * One array of a file: the one named `name`, or the file's only one.
 * @throws GpfqError INVALID_DATA if an archive holds several and none has that name
 */
export function pickEntry(file: OpenFile, name: string | undefined, place: string): ArrayEntry {
  if (file.kind === 'one') return file.entry
  const { archive } = file
  const found = pickName(archive.names, name, place)
  const layout = archive.layout(found)
  const read: ArrayEntry['read'] = (samples, bound, signal) =>
    withPauses(archive.read(found, layout, samples, bound), createPauses(signal))
  return { type: layout.type, dims: layout.dims, read }
}

function pickName(names: readonly string[], name: string | undefined, place: string): string {
  if (name !== undefined && names.includes(name)) return name
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return only
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: name === undefined ? 'one array' : `an array named ${JSON.stringify(cut(name))}`,
    got: listed(names),
    hint: HINTS['choose-array'],
  })
}

/** All bytes of a file, as they lie there. */
export async function bytesOf(source: DataFile, signal?: AbortSignal): Promise<Uint8Array> {
  const bytes: unknown = await untilAborted(signal, source.bytes())
  if (bytes instanceof Uint8Array) return bytes
  throw typeError({ place: source.name, expected: 'bytes() to give a Uint8Array', got: typeof bytes })
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

/** The first bytes of a gzipped file. @throws GpfqError INVALID_DATA if the stream is damaged */
async function readPacked(
  bytes: Uint8Array,
  place: string,
  extent: Extent,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  try {
    return (await gunzip(bytes, extent, createPauses(signal))).bytes
  } catch (cause) {
    signal?.throwIfAborted()
    const problem = 'the gzip data is damaged or cut short'
    throw new GpfqError('INVALID_DATA', { place, problem }, { cause })
  }
}
