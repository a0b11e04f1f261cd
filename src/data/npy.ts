/**
 * NumPy's .npy arrays (numpy.lib.format): a magic string, a version, the length of a header, a header that is a Python
 * dict literal, and the raw elements.
 *
 * Versions 1 to 3 are read, in little and big endian, C and Fortran order. An array in little-endian C order, NumPy's
 * default, is a view of the file's bytes and not a copy. Version 1 is written.
 */
import { GpfqError } from '../errors.js'
import { allocateElements, ELEMENT_BYTES, elementCount, elementsIn } from '../tensor/elements.js'
import type { Tensor, TensorData, TensorType } from '../tensor/tensor.js'
import { HEADER_BYTES } from './bound.js'
import type { Extent } from './inflate.js'
import { cut, shapeText } from './quote.js'

const MAGIC = '\x93NUMPY'

/** Element types by NumPy's kind and size, without byte order. */
const TYPE_OF_DESCR: ReadonlyMap<string, TensorType> = new Map([
  ['f2', 'float16'],
  ['f4', 'float32'],
  ['f8', 'float64'],
  ['i1', 'int8'],
  ['u1', 'uint8'],
  ['b1', 'bool'],
  ['i2', 'int16'],
  ['u2', 'uint16'],
  ['i4', 'int32'],
  ['u4', 'uint32'],
  ['i8', 'int64'],
  ['u8', 'uint64'],
])

/** Whether a file starts with the magic string of .npy. */
export function isNpy(bytes: Uint8Array): boolean {
  return bytes.length >= 6 && latin1(bytes.subarray(0, 6)) === MAGIC
}

/** Where and how the elements of an array file lie. */
export interface ArrayLayout {
  readonly type: TensorType
  readonly dims: readonly number[]
  /** Offset of the first element in bytes. */
  readonly start: number
  readonly bigEndian: boolean
  /** The first axis is fastest. */
  readonly fortranOrder: boolean
}

/**
 * Reads one array.
 * @param place the name of the file in errors
 * @throws {GpfqError} INVALID_DATA
 */
export function parseNpy(bytes: Uint8Array, place = 'npy'): Tensor {
  return decodeArray(npyLayout(bytes, place), bytes, place)
}

/**
 * Reads the header of an array.
 * @param bytes the file, or its first HEADER_BYTES
 * @throws {GpfqError} INVALID_DATA
 */
export function npyLayout(bytes: Uint8Array, place: string): ArrayLayout {
  if (!isNpy(bytes)) throw invalid(place, 'a NumPy .npy file', `one that starts with ${startOf(bytes)}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = bytes[6] ?? 0
  if (version < 1 || version > 3) throw invalid(place, '.npy format version 1, 2 or 3', `version ${version}`)
  const fieldEnd = version === 1 ? 10 : 12
  if (bytes.length < fieldEnd) throw invalid(place, 'a complete header', `${bytes.length} bytes`)
  const start = fieldEnd + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true))
  if (start > HEADER_BYTES) throw invalid(place, `a header of at most ${HEADER_BYTES} bytes`, String(start))
  if (start > bytes.length) throw invalid(place, `a header of ${start} bytes`, `${bytes.length} bytes`)
  return { ...parseHeader(latin1(bytes.subarray(fieldEnd, start)), place), start }
}

/** Samples of an array to read: at most `wanted`, and all of them in Fortran order, where samples do not lie together. */
export function rowsToRead({ dims, fortranOrder }: ArrayLayout, wanted: number): number {
  const rows = dims[0] ?? 1
  return fortranOrder ? rows : Math.min(rows, wanted)
}

/** Bytes from the beginning of an array file to the end of its sample number `rows`. */
export function bytesTo({ type, dims, start }: ArrayLayout, rows: number): number {
  return start + rows * elementCount(dims.slice(1)) * ELEMENT_BYTES[type]
}

/** How far an array is unpacked that is packed: to the end, for its checksum, if all of it is within the bound. */
export function extentTo(layout: ArrayLayout, rows: number, bound: number): Extent {
  const all = bytesTo(layout, layout.dims[0] ?? 1)
  const need = bytesTo(layout, rows)
  return { need, through: all <= bound ? all + TRAILING : need }
}

/** Bytes behind the elements that a file may have. */
const TRAILING = 2 ** 16

/**
 * The elements of an array, or of its first samples.
 * @param bytes from the beginning of the file
 * @param rows samples to read; all of them in Fortran order
 * @throws {GpfqError} INVALID_DATA if the bytes end before
 */
export function decodeArray(
  layout: ArrayLayout,
  bytes: Uint8Array,
  place: string,
  rows: number = layout.dims[0] ?? 1,
): Tensor {
  const { type, start, bigEndian, fortranOrder } = layout
  const end = bytesTo(layout, rows)
  if (!(end <= bytes.length))
    throw invalid(
      place,
      `${end - start} bytes for ${type} of shape ${shapeText(layout.dims)}`,
      String(bytes.length - start),
      'the file is cut short',
    )
  const data = decodeElements(bytes.subarray(start, end), type, bigEndian)
  const dims = layout.dims.length === 0 ? [] : [rows, ...layout.dims.slice(1)]
  return { type, dims, data: fortranOrder ? toRowMajor(type, dims, data) : data }
}

/** Writes one array as a version 1 .npy file, its elements little endian in C order. */
export function formatNpy(tensor: Tensor): Uint8Array {
  const descr = [...TYPE_OF_DESCR].find(([, type]) => type === tensor.type)?.[0]
  const order = ELEMENT_BYTES[tensor.type] === 1 ? '|' : '<'
  const shape = tensor.dims.length === 1 ? `${tensor.dims[0]},` : tensor.dims.join(', ')
  const dict = `{'descr': '${order}${descr}', 'fortran_order': False, 'shape': (${shape}), }`
  const headerLength = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10 // elements start at a multiple of 64
  const out = new Uint8Array(10 + headerLength + tensor.data.byteLength)
  const text = `${MAGIC}\x01\x00${String.fromCharCode(headerLength & 0xff, headerLength >> 8)}${dict.padEnd(headerLength - 1)}\n`
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i)
  out.set(
    new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength),
    10 + headerLength,
  )
  return out
}

/** The elements of `raw`: a view if they are little endian and aligned, a copy otherwise. */
export function decodeElements(raw: Uint8Array, type: TensorType, bigEndian: boolean): TensorData {
  const size = ELEMENT_BYTES[type]
  const length = raw.length / size
  if (bigEndian && size > 1) {
    const swapped = new Uint8Array(raw.length)
    for (let i = 0; i < raw.length; i += size)
      for (let b = 0; b < size; b++) swapped[i + b] = raw[i + size - 1 - b] ?? 0
    return elementsIn(type, swapped.buffer, 0, length)
  }
  if (raw.byteOffset % size === 0) return elementsIn(type, raw.buffer, raw.byteOffset, length)
  return elementsIn(type, new Uint8Array(raw).buffer, 0, length) // slice() of a Buffer would not copy
}

/** Most axes of an array, as in NumPy. */
const MOST_AXES = 64

function parseHeader(text: string, place: string): Omit<ArrayLayout, 'start'> {
  const descr = /['"]descr['"]\s*:\s*(['"])([^'"]*)\1/.exec(text)?.[2]
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1]
  const shape = /['"]shape['"]\s*:\s*\(([\d\sL,]*)\)/.exec(text)?.[1]
  if (/['"]descr['"]\s*:\s*\[/.test(text))
    throw invalid(place, 'an array of plain numbers', 'a structured array', 'save its fields one by one')
  if (descr === undefined || order === undefined || shape === undefined)
    throw invalid(place, 'a header with descr, fortran_order and shape', JSON.stringify(cut(text)))
  const type = TYPE_OF_DESCR.get(descr.slice(1))
  if (type === undefined || !'<>|='.includes(descr.charAt(0)))
    throw invalid(
      place,
      'integers, floats or booleans',
      `NumPy type ${JSON.stringify(cut(descr))}`,
      'convert it with astype',
    )
  const dims = shape
    .split(',')
    .map((dim) => dim.replace('L', '').trim())
    .filter((dim) => dim !== '')
    .map(Number)
  if (!dims.every(Number.isSafeInteger)) throw invalid(place, 'a shape of whole numbers', `(${cut(shape)})`)
  if (dims.length > MOST_AXES) throw invalid(place, `at most ${MOST_AXES} axes`, String(dims.length))
  return { type, bigEndian: descr.startsWith('>'), fortranOrder: order === 'True', dims }
}

/** Reorders elements from Fortran order (the first axis is fastest) to C order (the last axis is). */
function toRowMajor(type: TensorType, dims: readonly number[], data: TensorData): TensorData {
  const out = allocateElements(type, data.length)
  const strides: number[] = []
  let stride = 1
  for (const dim of dims) {
    strides.push(stride)
    stride *= dim
  }
  const index = new Array<number>(dims.length).fill(0)
  let source = 0
  for (let target = 0; target < data.length; target++) {
    out[target] = data[source] ?? 0
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const next = (index[axis] ?? 0) + 1
      const step = strides[axis] ?? 0
      if (next < (dims[axis] ?? 0)) {
        index[axis] = next
        source += step
        break
      }
      index[axis] = 0
      source -= step * (next - 1)
    }
  }
  return out
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** The first bytes of a file in hexadecimal, for errors. */
export function startOf(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'nothing (it is empty)'
  return Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

function invalid(place: string, expected: string, got: string, hint?: string): GpfqError {
  return new GpfqError('INVALID_DATA', { place, expected, got, ...(hint !== undefined && { hint }) })
}
