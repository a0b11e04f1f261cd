/**
 * assembly/gram.ts against the float64 product. On small integers every sum is exact in float32 and the kernel must be
 * too. On real numbers its error is bounded by what tile.ts promises: each block of 256 samples is summed from zero, one
 * rounding a product and one a sum, then added: (256 + blocks + 1)·2⁻²⁴ of the sum of magnitudes.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gramMatrix } from '#src/reference/gram.js'
import { gram, mirror } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { integers, reals } from '../random.js'
import {
  BLOCK,
  gramIndex,
  gramPanels,
  type Matrix,
  matrixLength,
  PANEL_FLOATS,
  panelsOf,
  samplePanels,
} from './layout.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly groups: number
  readonly edge: number
  readonly triangular: boolean
  readonly lower: boolean
}

/** Runs the kernel on a (columns s) and b (columns i), one matrix a group, into `start` floats. */
function run(c: Case, a: readonly Matrix[], b: readonly Matrix[], start = 0, split?: number): Float32Array {
  const { rows, inputs, groups, edge, triangular, lower } = c
  const panels = panelsOf(inputs)
  machine.reset()
  const out = machine.floats(new Float32Array(groups * matrixLength(panels, triangular)).fill(start))
  const left = machine.floats(samplePanels(a, panels)).at
  const right = a === b ? left : machine.floats(samplePanels(b, panels)).at
  const cuts = split === undefined ? [0, rows] : [0, split, rows]
  for (let i = 0; i + 1 < cuts.length; i++) {
    const skip = (cuts[i]! / BLOCK) * groups * panels * 4 * PANEL_FLOATS
    const task = gram({
      a: left + skip,
      b: right + skip,
      c: out.at,
      total: 0,
      rows: cuts[i + 1]! - cuts[i]!,
      panels,
      groups,
      triangular,
      lower,
      edge,
    })
    machine.run({ ...task, step: 1 + (i % 2) }, { seed: rows })
  }
  return out.values
}

const matrices = (
  { rows, inputs, groups }: Case,
  seed: number,
  make: (length: number, seed: number) => Float32Array,
): Matrix[] =>
  Array.from({ length: groups }, (_, g) => ({ rows, columns: inputs, values: make(rows * inputs, seed + g) }))

const shape = {
  rows: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(255, 256, 257, 300, 513, 770)),
  inputs: fc.integer({ min: 1, max: 45 }),
  groups: fc.integer({ min: 1, max: 3 }),
  edge: fc.constantFrom(1, 2, 4, 8),
}
const kinds = fc.constantFrom(
  { triangular: true, lower: true },
  { triangular: false, lower: true },
  { triangular: false, lower: false },
)

describe('gram', () => {
  it('is exact where float32 is: H and G, triangles and whole matrices, any tiling', () => {
    fc.assert(
      fc.property(fc.record(shape), kinds, fc.boolean(), (dims, kind, same) => {
        const c = { ...dims, ...kind }
        const panels = panelsOf(c.inputs)
        const x = matrices(c, 11, (length, seed) => integers(length, 20, seed))
        const xq = same ? x : matrices(c, 23, (length, seed) => integers(length, 20, seed))
        const products = xq.map(
          ({ values }, g): Matrix => ({
            rows: c.inputs,
            columns: c.inputs,
            values: gramMatrix(values, x[g]!.values, c.rows, c.inputs),
          }),
        )
        const start = 7
        const expected = gramPanels(products, panels, c.triangular).map((value) => value + start)
        const actual = run(c, x, xq, start)
        if (c.lower && !c.triangular) {
          // Tiles beyond the diagonal blocks are not touched.
          for (let g = 0; g < c.groups; g++) {
            for (let i = 0; i < 8 * panels; i++) {
              for (let s = 8 * (i >> 3) + 8; s < 8 * panels; s++) {
                expected[g * matrixLength(panels, false) + gramIndex(i, s, panels, false)] = start
              }
            }
          }
        }
        expectSame(actual, expected)
      }),
      { seed: 4, numRuns: 60 },
    )
  })

  it('keeps its error bound on real numbers', () => {
    for (const rows of [3, 255, 256, 700, 2000]) {
      const c = { rows, inputs: 21, groups: 1, edge: 4, triangular: true, lower: true }
      const x = matrices(c, 31, reals)
      const xq = matrices(c, 37, reals)
      const absolute = ({ values }: Matrix): number[] => Array.from(values, Math.abs)
      const exact = gramMatrix(xq[0]!.values, x[0]!.values, rows, 21)
      const magnitude = gramMatrix(absolute(xq[0]!), absolute(x[0]!), rows, 21)
      const actual = run(c, x, xq)
      const steps = Math.min(rows, BLOCK) + Math.ceil(rows / BLOCK) + 1
      for (let i = 0; i < 21; i++) {
        for (let s = 0; s <= i; s++) {
          const error = Math.abs(actual[gramIndex(i, s, 3, true)]! - exact[i * 21 + s]!)
          expect(error).toBeLessThanOrEqual(1.001 * steps * 2 ** -24 * magnitude[i * 21 + s]!)
        }
      }
    }
  })

  it('gives the same bytes whether blocks of samples come at once or in turns, and for any edge', () => {
    const c = { rows: 700, inputs: 40, groups: 2, edge: 4, triangular: true, lower: true }
    const x = matrices(c, 41, reals)
    const whole = run(c, x, x).slice()
    for (const split of [256, 512]) expectSame(run(c, x, x, 0, split), whole)
    for (const edge of [1, 2, 8]) expectSame(run({ ...c, edge }, x, x), whole)
  })
})

describe('segments', () => {
  it('are summed from zero and added to the total when they end, which leaves zeros', () => {
    fc.assert(
      fc.property(fc.record(shape), kinds, fc.integer({ min: 1, max: 3 }), (c, kind, segments) => {
        const { rows, inputs, groups, edge } = c
        const panels = panelsOf(inputs)
        const length = groups * matrixLength(panels, kind.triangular)
        const parts = Array.from({ length: segments }, (_, i) =>
          matrices({ ...c, ...kind }, 40 + 7 * i, reals),
        )
        machine.reset()
        const segment = machine.floats(new Float32Array(length))
        const total = machine.floats(new Float32Array(length))
        const expected = new Float32Array(length)
        for (const part of parts) {
          const at = machine.floats(samplePanels(part, panels)).at
          const task = { a: at, b: at, c: segment.at, panels, groups, edge, ...kind }
          // Half of the segments are ended by a call without rows.
          const apart = part === parts[0]
          machine.run(gram({ ...task, rows, total: apart ? 0 : total.at }), { seed: rows })
          if (apart) machine.run(gram({ ...task, rows: 0, total: total.at }), { seed: 1 })
        }
        const [found, left] = [total.values.slice(), segment.values.slice()]
        // The sums of the segments by themselves, added in order.
        for (const part of parts) {
          const own = run({ ...c, ...kind }, part, part)
          for (let i = 0; i < length; i++) expected[i] = expected[i]! + own[i]!
        }
        expectSame(found, expected)
        expect(left.every((value) => value === 0)).toBe(true)
      }),
      { seed: 16, numRuns: 60 },
    )
  })
})

describe('mirror', () => {
  it('fills the upper triangle from the lower one', () => {
    fc.assert(
      fc.property(fc.record(shape), (dims) => {
        const c = { ...dims, triangular: false, lower: false }
        const panels = panelsOf(c.inputs)
        const x = matrices(c, 43, reals)
        const whole = run(c, x, x).slice()
        const half = whole.slice()
        for (let i = 0; i < c.groups * panels * panels; i++) {
          const [row, column] = [Math.floor(i / panels) % panels, i % panels]
          if (column > row) half.fill(Number.NaN, 64 * i, 64 * i + 64)
        }
        const matrix = machine.floats(half)
        const task = mirror({ matrix: matrix.at, panels, groups: c.groups })
        machine.run({ ...task, step: 3 }, { seed: 1 })
        expectSame(matrix.values, whole)
      }),
      { seed: 5, numRuns: 30 },
    )
  })
})
