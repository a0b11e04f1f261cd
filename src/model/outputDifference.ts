/**
 * How the outputs of two networks differ, in the terms that fit an output: the class with the largest score, the side of a
 * threshold, the overlap of masks, the angle between embeddings. What an output is follows from its name, its shape and its
 * values in the float network, and is always said. The signal-to-noise ratio goes with every kind.
 */
import { isFloatType, numbersOf } from '../tensor/elements.js'
import type { Tensor } from '../tensor/tensor.js'

/**
 * What an output is taken for:
 * `classes`: agreement is the share of rows whose largest score is of the same class; `threshold`, one column: the share of
 * values on the same side of 0.5, where all are in 0..1, or else of 0; `mask`: planes of values in 0..1, the intersection of
 * those above 0.5 over their union; `embedding`: the mean cosine of rows; `integers`: the share of equal values.
 */
export type OutputKind = 'classes' | 'threshold' | 'mask' | 'embedding' | 'integers'

/** How one output differs between two networks. */
export interface OutputDifference {
  readonly output: string
  readonly kind: OutputKind
  /** 0..1, for a cosine −1..1, as the kind says. */
  readonly agreement: number
  /** 10·log10(Σ y² / Σ (y − ỹ)²) over the output; null if the two are equal. */
  readonly sqnrDb: number | null
  /** max |y − ỹ| */
  readonly largestDifference: number
}

/** Adds tensors of one output up. */
export interface OutputDifferences {
  /** @param y of the float network, and z of the same shape of the other one */
  add(y: Tensor, z: Tensor): void
  result(): OutputDifference
}

/** @param output its name */
export function sumDifferences(output: string): OutputDifferences {
  let kind: OutputKind | undefined
  let middle = 0
  const sums = { agreeing: 0, counted: 0, signal: 0, noise: 0, largest: 0 }
  return {
    add(first, second) {
      const [y, z] = [numbersOf(first), numbersOf(second)]
      kind ??= kindOf(output, first, y)
      if (kind === 'threshold') middle = isShare(y) ? 0.5 : 0
      for (let i = 0; i < y.length; i++) {
        const [u, v] = [y[i]!, z[i]!]
        if (u === v && !Number.isFinite(u)) continue // values that both mask
        sums.signal += u * u
        sums.noise += (u - v) * (u - v)
        sums.largest = Math.max(sums.largest, Math.abs(u - v))
      }
      const [agreeing, counted] = agreementOf(kind, y, z, Math.max(1, first.dims.at(-1) ?? 1), middle)
      sums.agreeing += agreeing
      sums.counted += counted
    },
    result: () => ({
      output,
      kind: kind ?? 'classes',
      agreement: sums.counted === 0 ? 1 : sums.agreeing / sums.counted,
      sqnrDb: sums.noise === 0 ? null : 10 * Math.log10(sums.signal / sums.noise),
      largestDifference: sums.largest,
    }),
  }
}

const isShare = (values: ArrayLike<number>): boolean => {
  for (let i = 0; i < values.length; i++) if (!(values[i]! >= 0 && values[i]! <= 1)) return false
  return true
}

function kindOf(name: string, { type, dims }: Tensor, values: ArrayLike<number>): OutputKind {
  if (!isFloatType(type)) return 'integers'
  const columns = dims.at(-1) ?? 1
  if (dims.length >= 4 && columns > 1 && (dims.at(-2) ?? 1) > 1 && isShare(values)) return 'mask'
  if (dims.length < 2 || columns === 1) return 'threshold'
  if (/embed|hidden|feature|pool/i.test(name) || hasUnitRows(values, columns)) return 'embedding'
  return 'classes'
}

/** Rows of length 1, some of whose values are negative: no probabilities. */
function hasUnitRows(values: ArrayLike<number>, columns: number): boolean {
  let negative = false
  for (let start = 0; start < values.length; start += columns) {
    let norm2 = 0
    for (let i = start; i < start + columns; i++) {
      negative ||= values[i]! < 0
      norm2 += values[i]! * values[i]!
    }
    if (Math.abs(norm2 - 1) > 1e-3) return false
  }
  return negative
}

/** What agrees, and how much could. */
function agreementOf(
  kind: OutputKind,
  y: ArrayLike<number>,
  z: ArrayLike<number>,
  columns: number,
  middle: number,
): readonly [agreeing: number, counted: number] {
  switch (kind) {
    case 'classes':
      return overRows(y, columns, (from) =>
        Number(largestAt(y, from, columns) === largestAt(z, from, columns)),
      )
    case 'embedding':
      return overRows(y, columns, (from) => cosine(y, z, from, columns))
    case 'threshold':
      return overRows(y, 1, (i) => Number(y[i]! > middle === z[i]! > middle))
    case 'integers':
      return overRows(y, 1, (i) => Number(y[i] === z[i]))
    case 'mask': {
      const [both] = overRows(y, 1, (i) => Number(y[i]! > 0.5 && z[i]! > 0.5))
      const [either] = overRows(y, 1, (i) => Number(y[i]! > 0.5 || z[i]! > 0.5))
      return [both, either]
    }
  }
}

function overRows(
  values: ArrayLike<number>,
  columns: number,
  each: (from: number) => number,
): readonly [sum: number, rows: number] {
  let sum = 0
  let rows = 0
  for (let from = 0; from < values.length; from += columns, rows++) sum += each(from)
  return [sum, rows]
}

function largestAt(values: ArrayLike<number>, from: number, columns: number): number {
  let best = 0
  for (let c = 1; c < columns; c++) if (values[from + c]! > values[from + best]!) best = c
  return best
}

function cosine(y: ArrayLike<number>, z: ArrayLike<number>, from: number, columns: number): number {
  let [dot, y2, z2] = [0, 0, 0]
  for (let i = from; i < from + columns; i++) {
    dot += y[i]! * z[i]!
    y2 += y[i]! * y[i]!
    z2 += z[i]! * z[i]!
  }
  return y2 === z2 && dot === y2 ? 1 : dot / Math.max(Number.MIN_VALUE, Math.sqrt(y2 * z2))
}
