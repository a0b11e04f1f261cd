/**
 * A source of bytes has two members, so that a file of Node (files.ts), a File of a page and a buffer all fit. Its bytes
 * hold one array, or several with names. The first bytes say which format it is, not the name of the file. Files that are
 * gzipped are unpacked first.
 */

import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import type { Tensor } from '../tensor/tensor.js'
import { isIdx, parseIdx } from './idx.js'
import { isNpy, parseNpy, startOf } from './npy.js'
import { isZip, type NpzArchive, openNpz } from './npz.js'

/** A file of data: a name, and a way to read it. */
export interface DataFile {
  /** Its name in errors. The endings .jpg, .jpeg and .png mean an image, all others an array file. */
  readonly name: string
  /** Reads all of it. */
  bytes(): Promise<Uint8Array>
}

/** The contents of an array file: one array, or an archive of arrays with names. */
export type ArrayFile =
  | { readonly kind: 'one'; readonly tensor: Tensor }
  | { readonly kind: 'named'; readonly archive: NpzArchive }

/**
 * Reads an array file: .npy, .npz or IDX, each also gzipped.
 * @param source its name in errors, and its bytes
 * @throws GpfqError INVALID_DATA for other formats and damaged files
 * @example
 * const arrays = await readArrays({ name: file.name, bytes: async () => new Uint8Array(await file.arrayBuffer()) })
 * const tensor = arrays.kind === 'one' ? arrays.tensor : arrays.archive.get('x')
 */
export async function readArrays(source: DataFile): Promise<ArrayFile> {
  const bytes = await gunzip(await source.bytes(), source.name)
  if (isNpy(bytes)) return { kind: 'one', tensor: parseNpy(bytes, source.name) }
  if (isZip(bytes)) return { kind: 'named', archive: openNpz(bytes, source.name) }
  if (isIdx(bytes)) return { kind: 'one', tensor: parseIdx(bytes, source.name) }
  throw new GpfqError('INVALID_DATA', {
    place: source.name,
    expected: '.npy, .npz or IDX (each also gzipped), or a folder of JPEG or PNG images',
    got: `a file that starts with ${startOf(bytes)}`,
  })
}

/**
 * One array of a file: the one named `name`, or the file's only one.
 * @throws GpfqError INVALID_DATA if an archive holds several and none has that name
 */
export function pickArray(file: ArrayFile, name: string | undefined, place: string): Tensor {
  if (file.kind === 'one') return file.tensor
  const { names } = file.archive
  if (name !== undefined && names.includes(name)) return file.archive.get(name)
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return file.archive.get(only)
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: name === undefined ? 'one array' : `an array named ${JSON.stringify(name)}`,
    got: names.join(', '),
    hint: HINTS['choose-array'],
  })
}

/**
 * Unpacks bytes that are gzip, and returns other bytes unchanged.
 * @throws GpfqError INVALID_DATA if the stream is damaged
 */
async function gunzip(bytes: Uint8Array, place: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    const packed = new Blob([ownBytes(bytes)]).stream()
    const unpacked = packed.pipeThrough(new DecompressionStream('gzip'))
    return new Uint8Array(await new Response(unpacked).arrayBuffer())
  } catch (cause) {
    const problem = 'the gzip data is damaged or cut short'
    throw new GpfqError('INVALID_DATA', { place, problem }, { cause })
  }
}

/** The bytes in memory that is not shared: Blob refuses shared memory, so bytes in it are copied. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, bytes.byteOffset, bytes.length)
    : new Uint8Array(bytes)
}
