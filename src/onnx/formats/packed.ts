/**
 * Format `packed`: codes are digits of a number to base M, in bytes or 32-bit words. The operators that unpack them exist
 * in every opset from 7 on, and ONNX Runtime folds them into a float initializer once, at load. The file is the smallest
 * of all formats and runs at float speed. Digits to base M waste less than whole bits: M = 3 takes 1.6 bits a weight,
 * M = 7 takes 2.91, M = 15 takes 4.
 *
 *   table (Mᵏ, k)                 row r holds the k digits of r, minus the zero; one per M for the whole model
 *   part j of word w = ⌊w / Mᵏʲ⌋ − Mᵏ·⌊⌊w / Mᵏʲ⌋ / Mᵏ⌋      (words are not negative, so Div rounds down)
 *   value = scale · table[part]
 *
 * A byte is one part. ONNX Runtime keeps every intermediate tensor until the whole graph is folded. With the table there
 * are few of them: 25 million weights of 15 levels load in 1.6 s at a peak of 630 MB (float: 0.8 s, 240 MB; arithmetic on
 * single digits: 4 s, 1.4 GB) in onnxruntime-web 1.30.
 */
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { intAttr, intsAttr } from '../attributes.js'
import { type GraphEdit, makeNode } from '../edit.js'
import type { QuantizedWeight } from '../layer.js'
import { makeFloats, makeInts, makeTensor } from '../tensor.js'
import { type Emitted, signedCodes, type WeightWriter } from './weightWriter.js'

/** From this opset on, the bounds of Slice are inputs; before, they are attributes. */
const SLICE_BY_INPUTS = 10
/** Most rows of a digit table: it adds at most 3 KB to a small model. */
const LARGEST_TABLE = 1024

/** How codes are packed into words. */
export interface Packing {
  readonly wordBytes: 1 | 4
  /** Digits in one word. */
  readonly digits: number
}

/** The word size that stores `count` codes in the fewest bytes; single bytes if both are equal. */
export function planPacking(levels: number, count: number): Packing {
  const bytes: Packing = { wordBytes: 1, digits: digitsWithin(levels, 2 ** 8) }
  const words: Packing = { wordBytes: 4, digits: digitsWithin(levels, 2 ** 31 - 1) }
  return packedBytes(words, count) < packedBytes(bytes, count) ? words : bytes
}

/** Bytes of `count` packed codes. */
export function packedBytes({ wordBytes, digits }: Packing, count: number): number {
  return Math.ceil(count / digits) * wordBytes
}

/** Mean size of nodes and tensor headers, measured on resnet20, a mobilenet, an MLP and a llama (±60 with the names). */
const OVERHEAD = { singles: 160, bytes: 240, words: 355, overshoot: 125, cut: 115 } as const

/** Bytes of the nodes that unpack one weight, without the digit table. */
export function unpackingBytes(levels: number, count: number): number {
  const { wordBytes, digits } = planPacking(levels, count)
  if (digits === 1) return OVERHEAD.singles
  const cut = count % digits === 0 ? 0 : OVERHEAD.cut
  if (wordBytes === 1) return OVERHEAD.bytes + cut
  const { partDigits, parts } = planParts(levels, digits)
  return OVERHEAD.words + cut + (partDigits * parts === digits ? 0 : OVERHEAD.overshoot)
}

/** Bytes of a digit table. All weights of a model with the same levels and packing share one. */
export function digitTableBytes(levels: number, { wordBytes, digits }: Packing): number {
  if (digits === 1) return 0
  const partDigits = wordBytes === 1 ? digits : planParts(levels, digits).partDigits
  return levels ** partDigits * partDigits
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

/** Packed codes and scales of a weight, and the nodes that unpack them. */
export function emitPacked(writer: WeightWriter, quantized: QuantizedWeight): Emitted {
  const scales = writer.scales(quantized)
  if (scales.per !== 'block') {
    const scaleDims = scales.per === 'layer' ? [] : writer.scaleDims
    return writer.done(
      scaled(
        writer,
        unpack(writer, writer.codes(quantized), quantized, writer.dims),
        scales.values,
        scaleDims,
      ),
    )
  }
  // One axis for the blocks and one for the inputs of a block. A last block that is not full is padded, then sliced off.
  const { blocks, size } = scales
  const padded = blocks * size
  const codes = padRows(writer, writer.codes(quantized), padded)
  const dims = writer.neuronsFirst ? [writer.neurons, blocks, size] : [blocks, size, writer.neurons]
  const scaleDims = writer.neuronsFirst ? [writer.neurons, blocks, 1] : [blocks, 1, writer.neurons]
  const values = scaled(writer, unpack(writer, codes, quantized, dims), scales.values, scaleDims)
  if (padded === writer.inputs) return writer.done(writer.reshape(values, writer.dims))
  const matrix = writer.reshape(
    values,
    writer.neuronsFirst ? [writer.neurons, padded] : [padded, writer.neurons],
  )
  const cut = slice(writer, matrix, writer.neuronsFirst ? 1 : 0, writer.inputs)
  return writer.done(writer.dims.length === 2 ? cut : writer.reshape(cut, writer.dims))
}

/** The integers of `signedCodes` as int8, in the layout and the dims of the writer's node. */
export function unpackIntegers(writer: WeightWriter, quantized: QuantizedWeight): string {
  const { levels } = quantized
  const codes = writer.codes(quantized)
  if (planPacking(levels, codes.length).digits > 1)
    return unpackDigits(writer, codes, levels, writer.dims, (digits) =>
      integerTable(writer.edit, levels, digits),
    )
  const signed = Int8Array.from(codes, signedCodes(levels).of)
  return writer.constant(makeTensor(writer.name('codes'), DataType.INT8, writer.dims, signed))
}

/** Nodes that compute code − zero as floats of shape `dims`. */
function unpack(
  writer: WeightWriter,
  codes: Uint8Array,
  { levels, zero }: QuantizedWeight,
  dims: readonly number[],
): string {
  if (planPacking(levels, codes.length).digits === 1) return unpackSingles(writer, codes, zero, dims)
  return unpackDigits(writer, codes, levels, dims, (digits) => digitTable(writer.edit, levels, zero, digits))
}

/**
 * Nodes that look up the digits of packed codes, as a tensor of shape `dims`.
 * @param table of all parts of so many digits, (levels^digits, digits)
 */
function unpackDigits(
  writer: WeightWriter,
  codes: Uint8Array,
  levels: number,
  dims: readonly number[],
  table: (partDigits: number) => string,
): string {
  const packing = planPacking(levels, codes.length)
  const { wordBytes, digits } = packing
  const words = packDigits(codes, levels, packing)
  const { edit } = writer
  const wordType = wordBytes === 1 ? DataType.UINT8 : DataType.INT32
  const { partDigits, parts } = wordBytes === 1 ? { partDigits: digits, parts: 1 } : planParts(levels, digits)
  const stored = writer.constant(makeTensor(writer.name('codes'), wordType, [words.length, 1], words))
  let index = wordBytes === 1 ? writer.cast(stored, DataType.INT32) : stored
  if (parts > 1) {
    const base = levels ** partDigits
    const powers = edit.shared(`gpfq:powers:${base}:${parts}`, (name) =>
      makeTensor(
        name,
        DataType.INT32,
        [parts],
        Int32Array.from({ length: parts }, (_, j) => base ** j),
      ),
    )
    const divisor = edit.shared(`gpfq:base:${base}`, (name) =>
      makeTensor(name, DataType.INT32, [], Int32Array.of(base)),
    )
    const shifted = writer.emit('Div', [index, powers]) // (words, parts)
    index = writer.emit('Sub', [
      shifted,
      writer.emit('Mul', [writer.emit('Div', [shifted, divisor]), divisor]),
    ])
  }
  let flat = writer.emit('Gather', [table(partDigits), index]) // (words, parts, partDigits)
  if (parts * partDigits !== digits)
    flat = slice(writer, writer.reshape(flat, [words.length, parts * partDigits]), 1, digits)
  if (words.length * digits !== codes.length)
    flat = slice(writer, writer.reshape(flat, [words.length * digits]), 0, codes.length)
  return writer.reshape(flat, dims)
}

/** One code in each byte: code − zero if that is an integer, the code itself otherwise. */
function unpackSingles(
  writer: WeightWriter,
  codes: Uint8Array,
  zero: number,
  dims: readonly number[],
): string {
  const name = writer.name('codes')
  if (Number.isInteger(zero)) {
    const signed = Int8Array.from(codes, (code) => code - zero)
    return writer.cast(writer.constant(makeTensor(name, DataType.INT8, dims, signed)), DataType.FLOAT)
  }
  const offset = writer.edit.shared(`gpfq:zero:${zero}`, (fresh) =>
    makeFloats(fresh, DataType.FLOAT, [], Float32Array.of(zero)),
  )
  const digits = writer.cast(writer.constant(makeTensor(name, DataType.UINT8, dims, codes)), DataType.FLOAT)
  return writer.emit('Sub', [digits, offset])
}

/** How the digits of a 32-bit word are looked up: in equal parts, if a small table allows it. */
function planParts(levels: number, digits: number): { partDigits: number; parts: number } {
  const sizes = Array.from({ length: digits }, (_, i) => i + 1).filter((k) => levels ** k <= LARGEST_TABLE)
  const partDigits = sizes.findLast((k) => digits % k === 0 && k > 1) ?? sizes.at(-1) ?? 1
  return { partDigits, parts: Math.ceil(digits / partDigits) }
}

/** (Mᵏ, k) floats: the digits of every possible part, least significant first, minus the zero. Stored as bytes. */
function digitTable(edit: GraphEdit, levels: number, zero: number, partDigits: number): string {
  return edit.sharedNodes(`table:${levels}:${zero}:${partDigits}`, (append) => {
    const digits = digitsOfParts(levels, partDigits)
    const stored = edit.add(
      makeTensor(
        edit.fresh(`gpfq:digits:${levels}`),
        DataType.UINT8,
        [levels ** partDigits, partDigits],
        digits,
      ),
    )
    const offset = edit.shared(`gpfq:zero:${zero}`, (name) =>
      makeFloats(name, DataType.FLOAT, [], Float32Array.of(zero)),
    )
    const [floats, table] = [edit.temporary(), edit.temporary()]
    append(makeNode('Cast', [stored], floats, [intAttr('to', DataType.FLOAT)]))
    append(makeNode('Sub', [floats, offset], table))
    return table
  })
}

/** (Mᵏ, k) int8: the integers of `signedCodes` for the digits of every possible part. */
function integerTable(edit: GraphEdit, levels: number, partDigits: number): string {
  return edit.shared(`gpfq:int8:${levels}:${partDigits}`, (name) =>
    makeTensor(
      name,
      DataType.INT8,
      [levels ** partDigits, partDigits],
      Int8Array.from(digitsOfParts(levels, partDigits), signedCodes(levels).of),
    ),
  )
}

/** (Mᵏ, k): the digits of every number below Mᵏ, least significant first. */
function digitsOfParts(levels: number, partDigits: number): Uint8Array {
  return Uint8Array.from(
    { length: levels ** partDigits * partDigits },
    (_, i) => Math.floor(Math.floor(i / partDigits) / levels ** (i % partDigits)) % levels,
  )
}

function scaled(
  writer: WeightWriter,
  values: string,
  scales: Float32Array,
  scaleDims: readonly number[],
): string {
  const scale = writer.constant(makeFloats(writer.name('scale'), DataType.FLOAT, scaleDims, scales))
  return writer.emit('Mul', [values, scale])
}

/** The first `end` entries along an axis. */
function slice(writer: WeightWriter, tensor: string, axis: number, end: number): string {
  if (writer.opset < SLICE_BY_INPUTS)
    return writer.emit(
      'Slice',
      [tensor],
      [intsAttr('axes', [axis]), intsAttr('starts', [0]), intsAttr('ends', [end])],
    )
  const bound = (n: number) => writer.edit.shared(`gpfq:shape:${n}`, (name) => makeInts(name, [1], [n]))
  return writer.emit('Slice', [tensor, bound(0), bound(end), bound(axis)])
}

/** Zero codes after each neuron's inputs, up to `padded`. */
function padRows(writer: WeightWriter, codes: Uint8Array, padded: number): Uint8Array {
  if (padded === writer.inputs) return codes
  const result = new Uint8Array(writer.neurons * padded)
  if (!writer.neuronsFirst) result.set(codes)
  else
    for (let n = 0; n < writer.neurons; n++)
      result.set(codes.subarray(n * writer.inputs, (n + 1) * writer.inputs), n * padded)
  return result
}
