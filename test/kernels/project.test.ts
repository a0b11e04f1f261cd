/**
 * assembly/project.ts against R = tril(G)·W and S = triu(G, 1)·W: exact on small integers, and within the bound of one
 * rounding a product and a sum on real numbers (blocks of 256 inputs from zero, then the diagonal block).
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { project } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { integers, reals } from '../random.js'
import { columnIndex, columnPanels, gramPanels, type Matrix, panelsOf } from './layout.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

interface Case {
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly triangular: boolean
}

interface Projections {
  readonly r: Float32Array
  readonly s: Float32Array | null
}

function run(c: Case, g: readonly Matrix[], weights: readonly Matrix[], step?: number): Projections {
  const panels = panelsOf(c.inputs)
  machine.reset()
  const w = machine.floats(columnPanels(weights, panels))
  const r = machine.floats(w.values.length)
  const s = c.triangular ? null : machine.floats(w.values.length)
  const task = project({
    g: machine.lastFloats(gramPanels(g, panels, c.triangular)).at, // the kernel reads ahead in it, but not beyond its end
    weights: w.at,
    r: r.at,
    s: s?.at ?? 0,
    panels,
    triangular: c.triangular,
    neuronPanels: panelsOf(c.neurons),
    groups: c.groups,
  })
  machine.run(step === undefined ? task : { ...task, step }, { seed: 1 })
  return { r: r.values.slice(), s: s?.values.slice() ?? null }
}

/** Sums Σ_s |…| or the products themselves over s ≤ t or s > t, (inputs, neurons). */
function twin(c: Case, g: Matrix, w: Matrix, upper: boolean, absolute = false): Matrix {
  const values = new Float64Array(c.inputs * c.neurons)
  for (let t = 0; t < c.inputs; t++) {
    for (let s = upper ? t + 1 : 0; s < (upper ? c.inputs : t + 1); s++) {
      for (let k = 0; k < c.neurons; k++) {
        const product = g.values[t * c.inputs + s]! * w.values[s * c.neurons + k]!
        values[t * c.neurons + k] = values[t * c.neurons + k]! + (absolute ? Math.abs(product) : product)
      }
    }
  }
  return { rows: c.inputs, columns: c.neurons, values }
}

function problem(
  c: Case,
  make: (length: number, seed: number) => Float32Array,
): { g: Matrix[]; w: Matrix[] } {
  const { inputs, neurons, groups } = c
  const all = Array.from({ length: groups }, (_, g) => g)
  return {
    g: all.map((g) => ({ rows: inputs, columns: inputs, values: make(inputs * inputs, 51 + g) })),
    w: all.map((g) => ({ rows: inputs, columns: neurons, values: make(inputs * neurons, 71 + g) })),
  }
}

const small = (length: number, seed: number): Float32Array => integers(length, 30, seed)
const shape = fc.record({
  inputs: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(64, 65, 130, 264)),
  neurons: fc.integer({ min: 1, max: 40 }),
  groups: fc.integer({ min: 1, max: 3 }),
  triangular: fc.boolean(),
})

describe('project', () => {
  it('is exact where float32 is, for any cut into tiles', () => {
    fc.assert(
      fc.property(shape, fc.option(fc.integer({ min: 1, max: 7 })), (c, step) => {
        const { g, w } = problem(c, small)
        const panels = panelsOf(c.inputs)
        const { r, s } = run(c, g, w, step ?? undefined)
        const expected = (upper: boolean): Float32Array =>
          columnPanels(
            g.map((matrix, group) => twin(c, matrix, w[group]!, upper)),
            panels,
          )
        expectSame(r, expected(false), 'R')
        if (s !== null) expectSame(s, expected(true), 'S')
      }),
      { seed: 6, numRuns: 50 },
    )
  })

  it('keeps its error bound on real numbers', () => {
    const c = { inputs: 600, neurons: 9, groups: 1, triangular: false }
    const { g, w } = problem(c, reals)
    const result = run(c, g, w)
    for (const upper of [false, true]) {
      const actual = upper ? result.s! : result.r
      const exact = twin(c, g[0]!, w[0]!, upper)
      const magnitude = twin(c, g[0]!, w[0]!, upper, true)
      const steps = 256 + Math.ceil(c.inputs / 256) + 8 + 1
      for (let t = 0; t < c.inputs; t++) {
        for (let k = 0; k < c.neurons; k++) {
          const at = t * c.neurons + k
          const error = Math.abs(actual[columnIndex(0, t, k, 2, 75)]! - exact.values[at]!)
          expect(error).toBeLessThanOrEqual(1.001 * steps * 2 ** -24 * magnitude.values[at]!)
        }
      }
    }
  })

  it('reads nothing above the diagonal blocks for R', () => {
    const c = { inputs: 100, neurons: 5, groups: 1, triangular: false }
    const { g, w } = problem(c, reals)
    const spoiled = Float32Array.from(g[0]!.values, (value, at) =>
      (at % 100) >> 3 > Math.floor(at / 100) >> 3 ? Number.NaN : value,
    )
    expectSame(run(c, [{ ...g[0]!, values: spoiled }], w).r, run(c, g, w).r)
  })
})
