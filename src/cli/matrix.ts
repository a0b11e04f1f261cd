/** Matrices of the command line: arrays of two axes out of .npy and .npz files. */
import { typeError } from '../checks.js'
import { ARRAY_BYTES } from '../data/bound.js'
import { openData } from '../data/files.js'
import { shapeText } from '../data/quote.js'
import { openArrays, pickEntry } from '../data/source.js'
import { GpfqError } from '../errors.js'
import { convertElements } from '../tensor/elements.js'

export interface Matrix {
  readonly dims: readonly [rows: number, columns: number]
  readonly data: Float32Array
}

/**
 * @param argument PATH, NAME=PATH or PATH:NAME
 * @param maxBytes most bytes of the unpacked array
 * @throws {GpfqError} FILE_ACCESS, INVALID_DATA
 */
export async function readMatrix(argument: string, maxBytes = ARRAY_BYTES): Promise<Matrix> {
  const source = await openData(argument)
  const [file] = source.files
  if (file === undefined || source.files.length > 1)
    throw new GpfqError('INVALID_DATA', { place: source.name, expected: 'a .npy file', got: 'a folder' })
  const entry = pickEntry(await openArrays(file, maxBytes), source.array ?? source.input, source.name)
  const [rows, columns] = entry.dims
  if (entry.dims.length !== 2 || rows === undefined || columns === undefined)
    throw mismatch(source.name, 'a matrix', entry.dims)
  if (rows * columns === 0) throw mismatch(source.name, 'a matrix with elements', entry.dims)
  const array = await entry.read(Number.POSITIVE_INFINITY, maxBytes)
  const data = convertElements(source.name, array.data, array.type, 'float32')
  if (!(data instanceof Float32Array))
    throw typeError({ place: source.name, expected: 'float32 elements', got: array.type })
  return { dims: [rows, columns], data }
}

/** Samples X, and Xq where a file is given, which must have the shape of X. */
export async function readSamples(
  inputs: string,
  quantizedInputs: string | undefined,
  maxBytes?: number,
): Promise<{ readonly x: Matrix; readonly xq: Matrix | undefined }> {
  const x = await readMatrix(inputs, maxBytes)
  const xq = quantizedInputs === undefined ? undefined : await readMatrix(quantizedInputs, maxBytes)
  if (xq !== undefined && xq.dims.join() !== x.dims.join())
    throw mismatch(quantizedInputs ?? '', `(${x.dims.join(', ')}) as of the inputs`, xq.dims)
  return { x, xq }
}

export function mismatch(place: string, expected: string, dims: readonly number[]): GpfqError {
  return new GpfqError('INVALID_DATA', { place, expected, got: `shape ${shapeText(dims)}` })
}
