/**
 * assembly/factor.ts against reference/nearestPlane.ts: the factor H + λI = LᵀΔL in blocks, and Qronos' target by its
 * triangular solve. Both are float64; they sum in different orders, so agreement is to 10⁻⁶ of the size of L (float32).
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { multiplyVector } from '#src/reference/descend.js'
import { gramMatrix } from '#src/reference/gram.js'
import { damped, factorUnitLower, gptqTarget, qronosTarget } from '#src/reference/nearestPlane.js'
import { factorBlock, reduce, retarget, reverse, solveBlock, unitLower } from '#src/wasm/familyKernels.js'
import { project } from '#src/wasm/kernels.js'
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

let machine: Machine
beforeAll(async () => {
  machine = await Machine.create()
})

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

/** Gram matrices as the kernels have them, rounded to float32. */
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

/** @param lambda of each group */
function factor(c: Case, { h }: Sums, lambda: readonly number[]): Factored {
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
  const run = (task: Parameters<Machine['run']>[0]): void => machine.run(task, { seed })
  run(reverse({ h: source.at, a: a.at, damping: damping.at, inputs, panels, triangular, groups }))
  for (let from = 0; from < n; from += width) {
    const block = { a: a.at, n, from, to: Math.min(n, from + width), groups }
    if (from > 0) run(reduce(block))
    run(factorBlock({ ...block, least: least.at, failed: failed.at }))
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

describe('factor', () => {
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

  it('says of which group a pivot is not positive', () => {
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
        machine.run(
          retarget({
            ...common,
            ...{ c: a.at, h: h.at, u: u.at, v: v.at, r: r.at, scratch: scratch.at, triangular: false },
          }),
          { seed, workers: 2 },
        )
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
