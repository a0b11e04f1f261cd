/**
 * Where bytes come from, as two members: Node's files (files.ts), a browser's File, a buffer in a test all fit.
 * And what the bytes hold: one array, or several by name, told apart by their first bytes and not by the file's
 * name, gzip unwrapped on the way.
 */

import { GpfqError } from '../errors.js'
import type { Tensor } from '../tensor/tensor.js'
import { isIdx, parseIdx } from './idx.js'
import { isNpy, parseNpy, startOf } from './npy.js'
import { isZip, type NpzArchive, openNpz } from './npz.js'

export interface ByteSource {
  /** What errors call it; also tells images (.jpg, .jpeg, .png) from arrays. */
  readonly name: string
  bytes(): Promise<Uint8Array>
}

export type ArrayFile =
  | { readonly kind: 'one'; readonly tensor: Tensor }
  | { readonly kind: 'named'; readonly archive: NpzArchive }

/**
 * Reads an array file: .npy, .npz or IDX, each also gzipped.
 * @throws {GpfqError} INVALID_DATA
 */
export async function readArrays(source: ByteSource): Promise<ArrayFile> {
  const bytes = await gunzip(await source.bytes(), source.name)
  if (isNpy(bytes)) return { kind: 'one', tensor: parseNpy(bytes, source.name) }
  if (isZip(bytes)) return { kind: 'named', archive: openNpz(bytes, source.name) }
  if (isIdx(bytes)) return { kind: 'one', tensor: parseIdx(bytes, source.name) }
  throw new GpfqError(
    'INVALID_DATA',
    `${source.name}: expected .npy, .npz or IDX (each also gzipped), or a folder of JPEG or PNG images, got a file that starts with ${startOf(bytes)}`,
  )
}

/**
 * One array of a file: the one named `name`, or the file's only one.
 * @throws {GpfqError} INVALID_DATA if an archive holds several and none has that name
 */
export function pickArray(file: ArrayFile, name: string | undefined, place: string): Tensor {
  if (file.kind === 'one') return file.tensor
  const { names } = file.archive
  if (name !== undefined && names.includes(name)) return file.archive.get(name)
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return file.archive.get(only)
  throw new GpfqError(
    'INVALID_DATA',
    `${place}: expected an array named ${JSON.stringify(name ?? '?')}, got ${names.join(', ')}; choose one as NAME=${place}`,
  )
}

/** `bytes` unpacked if they are gzip, else `bytes` themselves. */
export async function gunzip(bytes: Uint8Array, place: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    const packed = new Blob([ownBytes(bytes)]).stream()
    const unpacked = packed.pipeThrough(new DecompressionStream('gzip'))
    return new Uint8Array(await new Response(unpacked).arrayBuffer())
  } catch (cause) {
    throw new GpfqError('INVALID_DATA', `${place}: expected gzip data, got a damaged or cut-off stream`, {
      cause,
    })
  }
}

/** Blob refuses bytes in shared memory: those are copied. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, bytes.byteOffset, bytes.length)
    : new Uint8Array(bytes)
}
