/**
 * assembly/integers.ts and the sums of integers in assembly/gram.ts against sums of BigInt. The sums of segments have to be
 * equal, not close: for any scale, any rows, in calls with and without the end of a segment, and at the largest values that
 * they promise to hold.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gram, MOST_INTEGER_ROWS, pairRows } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { randomFrom } from '../random.js'
import {
  BLOCK,
  gramIndex,
  type Matrix,
  matrixLength,
  PANEL_FLOATS,
  panelsOf,
  samplePanels,
} from './layout.js'
import { type Floats, Machine } from './machine.js'

const machine = await Machine.create()

/** Integers of one group (rows, inputs), code − zero point. */
function samples(rows: number, inputs: number, zeroPoint: number, seed: number): Matrix {
  const random = randomFrom(seed)
  const values = Array.from({ length: rows * inputs }, () => Math.floor(random() * 256) - zeroPoint)
  return { rows, columns: inputs, values }
}

/** As DequantizeLinear computes them. */
const dequantized = ({ values, ...shape }: Matrix, scale: number): Matrix => ({
  ...shape,
  values: Float32Array.from(values, (value) => scale * value),
})

/** The lower triangle, diagonal blocks whole, of the sum over a part, in the kernels' order. */
function exactSums(part: readonly Matrix[], panels: number): BigInt64Array {
  const length = matrixLength(panels, true)
  const out = new BigInt64Array(part.length * length)
  part.forEach(({ rows, columns, values }, g) => {
    const integers = BigInt64Array.from(values, BigInt)
    for (let r = 0; r < rows; r++) {
      const row = integers.subarray(r * columns, (r + 1) * columns)
      for (let i = 0; i < columns; i++) {
        const last = Math.min(columns, 8 * (i >> 3) + 8)
        for (let s = 0; s < last; s++) {
          const at = g * length + gramIndex(i, s, panels, true)
          out[at] = out[at]! + row[i]! * row[s]!
        }
      }
    }
  })
  return out
}

/** total + s²·sum, rounded to float32 as the end of a segment does. */
const plus = (
  total: Float32Array<ArrayBuffer>,
  sums: BigInt64Array,
  scale: number,
): Float32Array<ArrayBuffer> =>
  total.map((value, i) => value + Math.fround(Number(sums[i]!) * (scale * scale)))

/** Packs and sums a part; with `total`, its last row ends a segment. */
function add(part: readonly Matrix[], scale: number, edge: number, c: Floats, total: Floats | null): void {
  const [groups, rows] = [part.length, part[0]!.rows]
  const panels = panelsOf(part[0]!.columns)
  const columns = groups * panels
  const from = machine.floats(
    samplePanels(
      part.map((matrix) => dequantized(matrix, scale)),
      panels,
    ),
  )
  const to = machine.floats(Math.ceil(rows / (2 * BLOCK)) * columns * PANEL_FLOATS).at
  machine.run({ ...pairRows({ from: from.at, to, rows, panels: columns, scale }), step: 3 }, { seed: rows })
  const size = { rows, panels, groups, edge, factor: scale * scale, triangular: true, lower: true }
  machine.run(gram({ ...size, a: to, b: to, c: c.at, total: total?.at ?? 0 }), { seed: rows + 1 })
}

/** The total of parts, each a segment if `ends`, otherwise one segment that a call without rows ends. */
function sum(parts: readonly (readonly Matrix[])[], scale: number, edge: number, ends: boolean) {
  const groups = parts[0]!.length
  const panels = panelsOf(parts[0]![0]!.columns)
  const length = groups * matrixLength(panels, true)
  machine.reset()
  const c = machine.floats(new Float32Array(length)) // bits of zero are the same for i32
  const total = machine.floats(new Float32Array(length))
  for (const part of parts) add(part, scale, edge, c, ends ? total : null)
  if (!ends) {
    const none = { a: 0, b: 0, rows: 0, panels, groups, edge, factor: scale * scale }
    machine.run(gram({ ...none, c: c.at, total: total.at, triangular: true, lower: true }), { seed: 1 })
  }
  return { total, c }
}

const shape = {
  rows: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(255, 256, 257, 511, 512, 513, 770, 1025)),
  inputs: fc.integer({ min: 1, max: 36 }),
  groups: fc.integer({ min: 1, max: 3 }),
  edge: fc.constantFrom(1, 2, 4, 8),
  scale: fc.double({ min: 1e-30, max: 1e30, noNaN: true, noDefaultInfinity: true }).map(Math.fround),
  zeroPoint: fc.integer({ min: 0, max: 255 }),
  ends: fc.boolean(),
}

describe('gram of integers', () => {
  it('gives the exact sums of segments, for any scale, rows, groups, tiling and segments', () => {
    fc.assert(
      fc.property(fc.record(shape), ({ rows, inputs, groups, edge, scale, zeroPoint, ends }) => {
        const parts = [rows, 1 + (rows % 7)].map((count, part) =>
          Array.from({ length: groups }, (_, g) => samples(count, inputs, zeroPoint, 10 * part + g)),
        )
        const { total, c } = sum(parts, scale, edge, ends)
        const [first, second] = parts.map((part) => exactSums(part, panelsOf(inputs)))
        const segments = ends ? [first!, second!] : [first!.map((value, i) => value + second![i]!)]
        let expected = new Float32Array(total.values.length)
        for (const segment of segments) expected = plus(expected, segment, scale)
        expectSame(total.values, expected)
        expect(c.values.every((value) => Object.is(value, 0))).toBe(true)
      }),
      { seed: 6, numRuns: 60 },
    )
  })

  it('holds the largest values: 33,025 rows in i32', () => {
    const values = new Array<number>(MOST_INTEGER_ROWS * 2).fill(-255)
    const part = [{ rows: MOST_INTEGER_ROWS, columns: 2, values }]
    const { total } = sum([part], 1, 1, true)
    const most = MOST_INTEGER_ROWS * 255 ** 2
    expect(most).toBeLessThan(2 ** 31)
    for (const [i, s] of [
      [0, 0],
      [1, 0],
      [1, 1],
    ] as const)
      expect(total.values[gramIndex(i, s, 1, true)]).toBe(Math.fround(most))
  })
})

describe('pairRows', () => {
  it('finds every integer again, at scales whose products round up and down', () => {
    fc.assert(
      fc.property(shape.scale, (scale) => {
        const values = Array.from({ length: 511 }, (_, i) => i - 255)
        const matrix: Matrix = { rows: 511, columns: 1, values }
        machine.reset()
        const from = machine.floats(samplePanels([dequantized(matrix, scale)], 1)).at
        const to = machine.floats(PANEL_FLOATS)
        machine.run(pairRows({ from, to: to.at, rows: 511, panels: 1, scale }))
        const pairs = new Int16Array(to.values.buffer, to.at, 16 * BLOCK)
        const found = Array.from({ length: 512 }, (_, r) => pairs[16 * (r >> 1) + (r & 1)])
        expect(found).toEqual([...values, 0])
      }),
      { seed: 7, numRuns: 200 },
    )
  })
})
