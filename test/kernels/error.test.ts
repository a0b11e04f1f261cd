/**
 * assembly/error.ts: Σ (XW)² and Σ (XW − XqQ)² per neuron and sample block. The sums are exact on small integers. On
 * real numbers each element is a float32 sum of N products, one rounding a term, and the squares are summed in float64.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outputError } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { integers, reals } from '../random.js'
import { BLOCK, columnPanels, type Matrix, panelsOf, samplePanels } from './layout.js'
import { Machine } from './machine.js'
import { cuts } from './paths.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly extraPanels: number
}

interface Layer {
  readonly x: Matrix
  readonly xq: Matrix
  readonly w: Matrix
  readonly q: Matrix
}

/** Sums [sample block][group][neuron panel][2][8], added to `start`. */
function run(
  { rows, inputs, neurons, groups, extraPanels }: Case,
  all: readonly Layer[],
  start: number,
  step = 1,
  workers = 2,
): Float64Array {
  const panels = panelsOf(inputs) + extraPanels
  const place = (pick: (layer: Layer) => Matrix): number =>
    machine.floats(samplePanels(all.map(pick), panels)).at
  machine.reset()
  const negated = all.map(({ q }) => ({ ...q, values: Array.from(q.values, (value) => -value) }))
  const w = columnPanels(
    all.map((layer) => layer.w),
    panels,
  )
  const out = machine.doubles(Math.ceil(rows / BLOCK) * groups * panelsOf(neurons) * 16)
  out.values.fill(start)
  const task = outputError({
    x: place(({ x }) => x),
    xq: place(({ xq }) => xq),
    w: machine.floats(w).at,
    n: machine.floats(columnPanels(negated, panels)).at,
    out: out.at,
    scratch: machine.floats(workers * 32).at,
    rows,
    panels,
    groups,
    neuronPanels: panelsOf(neurons),
  })
  machine.run({ ...task, step }, { seed: rows, workers })
  return out.values.slice()
}

/** The same sums in float64, and the bound of the error that float32 elements cause. */
function twin(
  { rows, inputs, neurons, groups }: Case,
  all: readonly Layer[],
  start: number,
): { sums: Float64Array; bounds: Float64Array } {
  const perGroup = panelsOf(neurons)
  const sums = new Float64Array(Math.ceil(rows / BLOCK) * groups * perGroup * 16).fill(start)
  const bounds = new Float64Array(sums.length)
  all.forEach(({ x, xq, w, q }, g) => {
    for (let r = 0; r < rows; r++) {
      for (let k = 0; k < neurons; k++) {
        const at = ((Math.floor(r / BLOCK) * groups + g) * perGroup + (k >> 3)) * 16 + (k & 7)
        let signal = 0
        let residual = 0
        let magnitude = 0
        for (let t = 0; t < inputs; t++) {
          const wx = x.values[r * inputs + t]! * w.values[t * neurons + k]!
          const qx = xq.values[r * inputs + t]! * q.values[t * neurons + k]!
          signal += wx
          residual += wx - qx
          magnitude += Math.abs(wx) + Math.abs(qx)
        }
        const off = 1.001 * (2 * inputs + 1) * 2 ** -24 * magnitude
        sums[at] = sums[at]! + signal * signal
        sums[at + 8] = sums[at + 8]! + residual * residual
        bounds[at] = bounds[at]! + off * (2 * Math.abs(signal) + off)
        bounds[at + 8] = bounds[at + 8]! + off * (2 * Math.abs(residual) + off)
      }
    }
  })
  return { sums, bounds }
}

function layers(c: Case, make: (length: number, seed: number) => Float32Array): Layer[] {
  const { rows, inputs, neurons } = c
  return Array.from({ length: c.groups }, (_, g) => ({
    x: { rows, columns: inputs, values: make(rows * inputs, 10 * g + 1) },
    xq: { rows, columns: inputs, values: make(rows * inputs, 10 * g + 2) },
    w: { rows: inputs, columns: neurons, values: make(inputs * neurons, 10 * g + 3) },
    q: { rows: inputs, columns: neurons, values: make(inputs * neurons, 10 * g + 4) },
  }))
}

const shape = fc.record({
  rows: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(254, 256, 259, 515)),
  inputs: fc.integer({ min: 1, max: 40 }),
  neurons: fc.integer({ min: 1, max: 20 }),
  groups: fc.integer({ min: 1, max: 3 }),
  extraPanels: fc.integer({ min: 0, max: 2 }),
})

describe('outputError', () => {
  it('is exact where float32 is, and adds to what is there', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const all = layers(c, (length, seed) => integers(length, 9, seed))
        expectSame(run(c, all, 5), twin(c, all, 5).sums)
      }),
      { seed: 13, numRuns: 60 },
    )
  })

  it('keeps its error bound on real numbers', () => {
    const c = { rows: 300, inputs: 100, neurons: 5, groups: 2, extraPanels: 1 }
    const all = layers(c, reals)
    const { sums, bounds } = twin(c, all, 0)
    run(c, all, 0).forEach((value, at) => {
      expect(Math.abs(value - sums[at]!)).toBeLessThanOrEqual(bounds[at]!)
    })
  })

  it('gives the same bytes for every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const all = layers(c, reals)
        const alone = run(c, all, 0, 1, 1)
        for (const step of cuts(Math.ceil(c.rows / BLOCK) * c.groups)) {
          expectSame(run(c, all, 0, step, 3), alone)
        }
      }),
      { seed: 14, numRuns: 20 },
    )
  })
})
