/**
 * assembly/error.ts: Σ (XW)² and Σ (XW − XqQ)² per neuron and sample block. The sums are exact on small integers. On
 * real numbers each element is a float32 sum of N products, one rounding a term, and the squares are summed in float64. The
 * same rows, each by itself: the mean of ‖e‖/‖y‖.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ERROR_SCRATCH, outputError, rowErrors } from '#src/wasm/kernels.js'
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

/** A task of one of the kernels with its operands in memory, and its sums. */
function prepared(
  { rows, inputs, neurons, groups, extraPanels }: Case,
  all: readonly Layer[],
  sums: number,
  workers: number,
) {
  const panels = panelsOf(inputs) + extraPanels
  const place = (pick: (layer: Layer) => Matrix): number =>
    machine.floats(samplePanels(all.map(pick), panels)).at
  machine.reset()
  const negated = all.map(({ q }) => ({ ...q, values: Array.from(q.values, (value) => -value) }))
  const w = columnPanels(
    all.map((layer) => layer.w),
    panels,
  )
  const out = machine.doubles(sums)
  const operands = {
    x: place(({ x }) => x),
    xq: place(({ xq }) => xq),
    w: machine.floats(w).at,
    n: machine.floats(columnPanels(negated, panels)).at,
    out: out.at,
    scratch: machine.floats((workers * ERROR_SCRATCH) / 4).at,
    rows,
    panels,
    groups,
    neuronPanels: panelsOf(neurons),
    neurons,
  }
  return { out, operands }
}

/** Sums [sample block][group][neuron panel][2][8], added to `start`. */
function run(c: Case, all: readonly Layer[], start: number, step = 1, workers = 2): Float64Array {
  const length = Math.ceil(c.rows / BLOCK) * c.groups * panelsOf(c.neurons) * 16
  const { out, operands } = prepared(c, all, length, workers)
  out.values.fill(start)
  machine.run({ ...outputError(operands), step }, { seed: c.rows, workers })
  return out.values.slice()
}

/** [32 rows][2]: rows that count, and the sum of ‖e‖/‖y‖. */
function runRows(c: Case, all: readonly Layer[], step = 1, workers = 2): Float64Array {
  const { out, operands } = prepared(c, all, 2 * Math.ceil(c.rows / 32), workers)
  out.values.fill(0)
  machine.run({ ...rowErrors(operands), step }, { seed: c.rows, workers })
  return out.values.slice()
}

/** ‖e‖/‖y‖ of every row, at most 1; null where both are zero. */
function relativeRows({ rows, inputs, neurons }: Case, all: readonly Layer[]): (number | null)[] {
  return Array.from({ length: rows }, (_, r) => {
    let [signal2, error2] = [0, 0]
    for (const { x, xq, w, q } of all) {
      for (let k = 0; k < neurons; k++) {
        let [y, z] = [0, 0]
        for (let t = 0; t < inputs; t++) {
          y += x.values[r * inputs + t]! * w.values[t * neurons + k]!
          z += xq.values[r * inputs + t]! * q.values[t * neurons + k]!
        }
        signal2 += y * y
        error2 += (y - z) ** 2
      }
    }
    return signal2 === 0 && error2 === 0 ? null : Math.min(1, Math.sqrt(error2 / signal2))
  })
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

const zeroed = (matrix: Matrix, rows: number): Matrix => ({
  ...matrix,
  values: Float32Array.from(matrix.values, (value, i) => (i < rows * matrix.columns ? 0 : value)),
})

describe('rowErrors', () => {
  it('adds up what float64 gives for each row, and counts the rows that are not zero', () => {
    fc.assert(
      fc.property(shape, fc.boolean(), (c, silent) => {
        let all = layers(c, (length, seed) => integers(length, 9, seed))
        // The first row is zero in both streams, the second in the float one alone.
        if (silent) all = all.map((layer) => ({ ...layer, x: zeroed(layer.x, 2), xq: zeroed(layer.xq, 1) }))
        const expected = relativeRows(c, all)
        const found = runRows(c, all)
        for (let item = 0; item < found.length / 2; item++) {
          const own = expected.slice(32 * item, 32 * item + 32).filter((error) => error !== null)
          expect(found[2 * item]).toBe(own.length)
          expect(found[2 * item + 1]).toBeCloseTo(
            own.reduce((sum, error) => sum + error, 0),
            10,
          )
        }
      }),
      { seed: 15, numRuns: 60 },
    )
  })

  it('gives the same bytes for every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const all = layers(c, reals)
        const alone = runRows(c, all, 1, 1)
        for (const step of cuts(Math.ceil(c.rows / 32))) expectSame(runRows(c, all, step, 3), alone)
      }),
      { seed: 16, numRuns: 20 },
    )
  })
})
