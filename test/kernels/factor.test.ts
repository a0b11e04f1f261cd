/**
 * assembly/factor.ts against reference/nearestPlane.ts: the factor H + λI = LᵀΔL in blocks, and the target of Qronos by
 * its triangular solve. Both are float64 and sum in different orders, so they agree to 10⁻⁶ of the size of L (float32).
 * The reversed matrix and its Cholesky factor have no twin; they are compared with their definitions.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Task } from '#src/engine/job.js'
import { multiplyVector } from '#src/reference/descend.js'
import { gramMatrix } from '#src/reference/gram.js'
import { damped, factorUnitLower, gptqTarget, qronosTarget } from '#src/reference/nearestPlane.js'
import { project } from '#src/wasm/kernels.js'
import { factorBlock, reduce, retarget, reverse, solveBlock, unitLower } from '#src/wasm/methodKernels.js'
import { expectSame } from '../arrays.js'
import { activations, disturbed, reals } from '../random.js'
import {
  columnIndex,
  columnPanels,
  gramIndex,
  gramPanels,
  type Matrix,
  matrixLength,
  panelsOf,
} from './layout.js'
import { type Doubles, type Floats, Machine } from './machine.js'
import { cuts } from './paths.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly groups: number
  readonly triangular: boolean
  readonly width: number
  readonly seed: number
}

const shape: fc.Arbitrary<Case> = fc.record({
  rows: fc.integer({ min: 1, max: 80 }),
  inputs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(64, 65, 130)),
  groups: fc.integer({ min: 1, max: 2 }),
  triangular: fc.boolean(),
  width: fc.constantFrom(8, 16, 64),
  seed: fc.integer({ min: 0, max: 2 ** 30 }),
})

interface Sums {
  readonly h: readonly Matrix[]
  readonly g: readonly Matrix[]
}

/** Gram matrices rounded to float32, like those of the kernels. */
function sums({ rows, inputs, groups, seed }: Case): Sums {
  const samples = Array.from({ length: groups }, (_, i) => activations(rows * inputs, seed + 7 * i))
  const square = (values: Float64Array): Matrix => ({
    rows: inputs,
    columns: inputs,
    values: Float32Array.from(values),
  })
  return {
    h: samples.map((x, i) => {
      const xq = disturbed(x, 0.1, seed + 3 + i)
      return square(gramMatrix(xq, xq, rows, inputs))
    }),
    g: samples.map((x, i) => square(gramMatrix(disturbed(x, 0.1, seed + 3 + i), x, rows, inputs))),
  }
}

interface Factored {
  readonly c: Doubles
  readonly l: Floats
  readonly failed: Uint8Array
}

/**
 * @param lambda of each group
 * @param step items of every tile; by default each task's own
 */
function factor(c: Case, { h }: Sums, lambda: readonly number[], step?: number): Factored {
  const panels = panelsOf(c.inputs)
  const n = 8 * panels
  const { groups, width, seed } = c
  const a = machine.doubles(groups * n * n)
  const damping = machine.doubles(groups)
  damping.values.set(lambda)
  const least = machine.doubles(groups)
  least.values.fill(1e-12)
  const failed = machine.bytes(4 * groups)
  failed.values.fill(0)
  const { inputs, triangular } = c
  const source = machine.floats(gramPanels(h, panels, triangular))
  const run = (task: Task): void => machine.run({ ...task, step: step ?? task.step }, { seed })
  run(reverse({ h: source.at, a: a.at, damping: damping.at, inputs, panels, triangular, groups }))
  for (let from = 0; from < n; from += width) {
    const block = { a: a.at, n, from, to: Math.min(n, from + width), groups }
    if (from > 0) run(reduce(block))
    run(factorBlock({ ...block, inputs, least: least.at, failed: failed.at }))
    if (block.to < n) run(solveBlock(block))
  }
  const l = machine.floats(groups * matrixLength(panels, true))
  run(unitLower({ c: a.at, l: l.at, panels, groups }))
  return { c: a, l, failed: failed.values }
}

const lambdaOf = ({ values, rows }: Matrix, share: number): number => {
  let trace = 0
  for (let t = 0; t < rows; t++) trace += values[t * rows + t]!
  return trace > 0 ? (share * trace) / rows : share
}

/** (H + λI) with inputs in reversed order and the identity in the padding, which comes first; (n, n) of one group. */
function reversed({ rows: inputs, values }: Matrix, lambda: number): Float64Array {
  const n = 8 * panelsOf(inputs)
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, s] = [n - 1 - Math.floor(at / n), n - 1 - (at % n)]
    const own = i < inputs && s < inputs ? values[i * inputs + s]! : i === s ? 1 : 0
    return i === s && i < inputs ? own + lambda : own
  })
}

describe('reverse', () => {
  it('writes the lower triangle of H + λI with the last input first, for every cut into tiles', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const { h } = sums(c)
        const { inputs, groups, triangular } = c
        const panels = panelsOf(inputs)
        const n = 8 * panels
        const lambda = h.map((matrix) => lambdaOf(matrix, 0.01))
        for (const step of cuts(groups * n)) {
          machine.reset()
          const a = machine.doubles(groups * n * n)
          const damping = machine.doubles(groups)
          damping.values.set(lambda)
          const source = machine.floats(gramPanels(h, panels, triangular)).at
          const task = reverse({
            h: source,
            a: a.at,
            damping: damping.at,
            inputs,
            panels,
            triangular,
            groups,
          })
          machine.run({ ...task, step }, { seed: c.seed })
          for (const [g, matrix] of h.entries()) {
            const expected = reversed(matrix, lambda[g]!)
            for (let i = 0; i < n; i++) {
              const row = (values: Float64Array, from: number): Float64Array =>
                values.subarray(from + i * n, from + i * n + i + 1)
              expectSame(row(a.values, g * n * n), row(expected, 0), `group ${g} row ${i}`)
            }
          }
        }
      }),
      { seed: 33, numRuns: 15 },
    )
  })
})

describe('factor', () => {
  it('is C with CCᵀ = the reversed H + λI, blocked in any width', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const given = sums(c)
        const lambda = given.h.map((h) => lambdaOf(h, 0.01))
        machine.reset()
        const { values } = factor(c, given, lambda).c
        const n = 8 * panelsOf(c.inputs)
        for (const [g, h] of given.h.entries()) {
          const expected = reversed(h, lambda[g]!)
          const size = Math.max(...expected.map(Math.abs))
          for (let i = 0; i < n; i++) {
            for (let j = 0; j <= i; j++) {
              let sum = 0
              for (let k = 0; k <= j; k++)
                sum += values[g * n * n + i * n + k]! * values[g * n * n + j * n + k]!
              expect(Math.abs(sum - expected[i * n + j]!), `${i}, ${j}`).toBeLessThan(1e-13 * n * size)
            }
          }
        }
      }),
      { seed: 34, numRuns: 20 },
    )
  })

  it('gives the same bytes for every cut into tiles', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const given = sums(c)
        const lambda = given.h.map((h) => lambdaOf(h, 0.01))
        const n = 8 * panelsOf(c.inputs)
        const bytesOf = (step?: number): { c: Float64Array; l: Float32Array } => {
          machine.reset()
          const { c: factored, l } = factor(c, given, lambda, step)
          // The kernels write nothing above the diagonal.
          const lower = factored.values.map((v, at) => (at % n <= Math.floor(at / n) % n ? v : 0))
          return { c: lower, l: l.values.slice() }
        }
        const whole = bytesOf()
        for (const step of [1, 3, 10_000]) {
          const cut = bytesOf(step)
          expectSame(cut.c, whole.c, 'C')
          expectSame(cut.l, whole.l, 'L')
        }
      }),
      { seed: 35, numRuns: 10 },
    )
  })

  it('is the factor LᵀΔL of the float64 twin, blocked in any width', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const given = sums(c)
        machine.reset()
        const { l, failed } = factor(
          c,
          given,
          given.h.map((h) => lambdaOf(h, 0.01)),
        )
        expect(failed.every((flag) => flag === 0)).toBe(true)
        const panels = panelsOf(c.inputs)
        given.h.forEach((h, g) => {
          const twin = factorUnitLower(damped(h.values, c.inputs, 0.01), c.inputs)
          const size = Math.max(...twin.l.map(Math.abs))
          for (let t = 0; t < c.inputs; t++) {
            for (let s = 0; s < c.inputs; s++) {
              if (s > 8 * (t >> 3) + 7) continue // not stored
              const actual = l.values[g * matrixLength(panels, true) + gramIndex(t, s, panels, true)]!
              expect(Math.abs(actual - twin.l[t * c.inputs + s]!), `${t}, ${s}`).toBeLessThan(1e-6 * size)
            }
          }
        })
      }),
      { seed: 31, numRuns: 40 },
    )
  })

  it('reports the groups in which a pivot is not positive', () => {
    const c: Case = { rows: 3, inputs: 20, groups: 2, triangular: true, width: 8, seed: 4 }
    const given = sums(c)
    machine.reset()
    const lambda = [-10 * lambdaOf(given.h[0]!, 1), lambdaOf(given.h[1]!, 0.01)]
    const { failed } = factor(c, given, lambda)
    expect([...new Uint32Array(failed.slice().buffer)]).toEqual([1, 0])
  })

  it("finds Qronos' target: Lw + Δ⁻¹L⁻ᵀ(G − H)w, the first input by itself", () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 1, max: 20 }), (given, neurons) => {
        const c = { ...given, triangular: false }
        const matrices = sums(c)
        const { inputs, groups, seed } = c
        const panels = panelsOf(inputs)
        const difference = matrices.g.map((g, i) => ({
          ...g,
          values: Float32Array.from(g.values, (value, at) => value - matrices.h[i]!.values[at]!),
        }))
        const weights = matrices.h.map((_, g) => ({
          rows: inputs,
          columns: neurons,
          values: reals(inputs * neurons, seed + 50 + g),
        }))
        machine.reset()
        const lambda = matrices.h.map((h) => lambdaOf(h, 0.01))
        const { c: a, l } = factor(c, matrices, lambda)
        const w = machine.floats(columnPanels(weights, panels))
        const [r, u, v] = [0, 0, 0].map(() => machine.floats(w.values.length)) as [Floats, Floats, Floats]
        const common = { weights: w.at, panels, neuronPanels: panelsOf(neurons), groups }
        machine.run(project({ ...common, g: l.at, r: r.at, s: 0, triangular: true }))
        const d = machine.floats(gramPanels(difference, panels, false))
        machine.run(project({ ...common, g: d.at, r: u.at, s: v.at, triangular: false }))
        const scratch = machine.bytes(2 * panels * 512)
        const h = machine.floats(gramPanels(matrices.h, panels, false))
        const task = retarget({
          ...common,
          ...{ c: a.at, h: h.at, u: u.at, v: v.at, r: r.at, scratch: scratch.at, triangular: false },
        })
        const before = r.values.slice()
        machine.run(task, { seed, workers: 2 })
        const after = r.values.slice()
        for (const step of cuts(groups * panelsOf(neurons))) {
          r.values.set(before)
          machine.run({ ...task, step }, { seed, workers: 2 })
          expectSame(r.values, after, `tiles of ${step}`)
        }
        for (let g = 0; g < groups; g++) {
          const twin = factorUnitLower(damped(matrices.h[g]!.values, inputs, 0.01), inputs)
          for (let k = 0; k < neurons; k++) {
            const own = Float64Array.from({ length: inputs }, (_, t) => weights[g]!.values[t * neurons + k]!)
            const moved = multiplyVector(difference[g]!.values, own)
            const target = qronosTarget(twin, matrices.h[g]!.values, moved, own)
            const plain = gptqTarget(twin, own)
            // (G − H)w is a float32 sum; the solve can enlarge its error by 1/λ.
            const size = Math.max(...target.map(Math.abs), ...plain.map(Math.abs))
            const sum = multiplyVector(difference[g]!.values.map(Math.abs), own.map(Math.abs))
            const bound = 2e-6 * size + (2e-6 * Math.max(...sum)) / lambda[g]!
            target.forEach((value, t) => {
              const actual = r.values[columnIndex(g, t, k, panelsOf(neurons), panels)]!
              expect(Math.abs(actual - value), `group ${g} input ${t} neuron ${k}`).toBeLessThan(bound)
            })
          }
        }
      }),
      { seed: 32, numRuns: 25 },
    )
  })
})
