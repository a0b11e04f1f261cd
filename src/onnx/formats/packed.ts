/**
 * `packed`: codes as digits of base M in bytes or 32-bit words, unpacked by plain integer operators that every
 * opset from 7 on has and that ONNX Runtime folds to a float initializer once, at load: the smallest download, at
 * float speed and float memory.
 *
 *   digit j of word w = ⌊w / Mʲ⌋ − M·⌊⌊w / Mʲ⌋ / M⌋        (words are not negative, so Div rounds down)
 *   value = scale · (digit − zero)
 *
 * M digits to a base waste less than bits do: M = 3 takes 1.6 bits a weight, M = 7 2.91, M = 15 4.
 */
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { intsAttr } from '../attributes.js'
import type { QuantizedWeight } from '../layer.js'
import { makeFloats, makeInts, makeTensor } from '../tensor.js'
import type { Emitted, Site } from './site.js'

/** Slice takes its bounds as inputs from here on, as attributes before. */
const SLICE_BY_INPUTS = 10

export interface Packing {
  readonly wordBytes: 1 | 4
  /** Digits in one word. */
  readonly digits: number
}

/** The word size that stores `count` codes in the fewest bytes; bytes win a tie. */
export function planPacking(levels: number, count: number): Packing {
  const bytes: Packing = { wordBytes: 1, digits: digitsWithin(levels, 2 ** 8) }
  const words: Packing = { wordBytes: 4, digits: digitsWithin(levels, 2 ** 31 - 1) }
  return packedBytes(words, count) < packedBytes(bytes, count) ? words : bytes
}

export function packedBytes({ wordBytes, digits }: Packing, count: number): number {
  return Math.ceil(count / digits) * wordBytes
}

/** The largest d with levels^d ≤ limit. */
function digitsWithin(levels: number, limit: number): number {
  let digits = 1
  while (levels ** (digits + 1) <= limit) digits++
  return digits
}

/** Words (⌈count/digits⌉), least significant digit first. */
export function packDigits(
  codes: Uint8Array,
  levels: number,
  { wordBytes, digits }: Packing,
): Uint8Array | Int32Array {
  const length = Math.ceil(codes.length / digits)
  const words = wordBytes === 1 ? new Uint8Array(length) : new Int32Array(length)
  for (let i = 0; i < length; i++) {
    let word = 0
    for (let j = Math.min(digits, codes.length - i * digits) - 1; j >= 0; j--)
      word = word * levels + (codes[i * digits + j] as number)
    words[i] = word
  }
  return words
}

export function emitPacked(site: Site, quantized: QuantizedWeight): Emitted {
  const scales = site.scales(quantized)
  const { levels, zero } = quantized
  if (scales.per !== 'block') {
    const ones = new Array<number>(site.neuronsFirst ? site.dims.length - 1 : 0).fill(1)
    const scaleDims = scales.per === 'layer' ? [] : [site.neurons, ...ones]
    const digits = unpack(site, site.codes(quantized), levels, site.dims)
    return site.done(scaled(site, digits, zero, scales.values, scaleDims))
  }
  // One axis for the blocks, one within: a last block that is not full is padded, and cut off at the end.
  const { blocks, size } = scales
  const padded = blocks * size
  const codes = padRows(site, site.codes(quantized), padded)
  const dims = site.neuronsFirst ? [site.neurons, blocks, size] : [blocks, size, site.neurons]
  const scaleDims = site.neuronsFirst ? [site.neurons, blocks, 1] : [blocks, 1, site.neurons]
  const values = scaled(site, unpack(site, codes, levels, dims), zero, scales.values, scaleDims)
  if (padded === site.inputs) return site.done(site.reshape(values, site.dims))
  const matrix = site.reshape(values, site.neuronsFirst ? [site.neurons, padded] : [padded, site.neurons])
  const cut = slice(site, matrix, site.neuronsFirst ? 1 : 0, site.inputs)
  return site.done(site.dims.length === 2 ? cut : site.reshape(cut, site.dims))
}

/** Nodes that make the codes, as floats of shape `dims`. */
function unpack(site: Site, codes: Uint8Array, levels: number, dims: readonly number[]): string {
  const packing = planPacking(levels, codes.length)
  const { wordBytes, digits } = packing
  const words = packDigits(codes, levels, packing)
  const wordType = wordBytes === 1 ? DataType.UINT8 : DataType.INT32
  if (digits === 1)
    return site.cast(site.constant(makeTensor(site.name('codes'), wordType, dims, words)), DataType.FLOAT)
  const stored = site.constant(makeTensor(site.name('codes'), wordType, [words.length, 1], words))
  const wide = wordBytes === 1 ? site.cast(stored, DataType.INT32) : stored
  const { edit } = site
  const powers = edit.shared(`gpfq:powers:${levels}:${digits}`, (name) =>
    makeTensor(
      name,
      DataType.INT32,
      [digits],
      Int32Array.from({ length: digits }, (_, j) => levels ** j),
    ),
  )
  const base = edit.shared(`gpfq:levels:${levels}`, (name) =>
    makeTensor(name, DataType.INT32, [], Int32Array.of(levels)),
  )
  const shifted = site.emit('Div', [wide, powers]) // (words, digits)
  const higher = site.emit('Mul', [site.emit('Div', [shifted, base]), base])
  let flat = site.emit('Sub', [shifted, higher])
  if (words.length * digits !== codes.length)
    flat = slice(site, site.reshape(flat, [words.length * digits]), 0, codes.length)
  return site.cast(site.reshape(flat, dims), DataType.FLOAT)
}

function scaled(
  site: Site,
  digits: string,
  zero: number,
  scales: Float32Array,
  scaleDims: readonly number[],
): string {
  const offset = site.edit.shared(`gpfq:zero:${zero}`, (name) =>
    makeFloats(name, DataType.FLOAT, [], Float32Array.of(zero)),
  )
  const scale = site.constant(makeFloats(site.name('scale'), DataType.FLOAT, scaleDims, scales))
  return site.emit('Mul', [site.emit('Sub', [digits, offset]), scale])
}

/** The first `end` entries along an axis. */
function slice(site: Site, tensor: string, axis: number, end: number): string {
  if (site.opset < SLICE_BY_INPUTS)
    return site.emit(
      'Slice',
      [tensor],
      [intsAttr('axes', [axis]), intsAttr('starts', [0]), intsAttr('ends', [end])],
    )
  const bound = (n: number) => site.edit.shared(`gpfq:shape:${n}`, (name) => makeInts(name, [1], [n]))
  return site.emit('Slice', [tensor, bound(0), bound(end), bound(axis)])
}

/** Zero codes after each neuron's inputs, up to `padded`. */
function padRows(site: Site, codes: Uint8Array, padded: number): Uint8Array {
  if (padded === site.inputs) return codes
  const result = new Uint8Array(site.neurons * padded)
  if (!site.neuronsFirst) result.set(codes)
  else
    for (let n = 0; n < site.neurons; n++)
      result.set(codes.subarray(n * site.inputs, (n + 1) * site.inputs), n * padded)
  return result
}
