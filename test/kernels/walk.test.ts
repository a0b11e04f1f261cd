/**
 * assembly/walk.ts against the float64 path with the twins' thresholds (reference/sparse.ts) and draws
 * (reference/spfq.ts). Thresholds compare exact numbers, so their codes must be equal (paths.ts gives the reason). A
 * draw may be within rounding of the number it is compared with; such neurons are counted.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keepZero } from '#src/reference/gpfq.js'
import { gramPath } from '#src/reference/gram.js'
import { hardThreshold, softThreshold } from '#src/reference/sparse.js'
import { draw } from '#src/reference/spfq.js'
import { type CHOICES, sweepTarget, walk, walkScratch } from '#src/wasm/methodKernels.js'
import { expectSame } from '../arrays.js'
import { reals } from '../random.js'
import { Machine } from './machine.js'
import { columnsOf, cuts, layOut, type PathCase, type PathProblem, pathCases, pathProblem } from './paths.js'

const machine = await Machine.create()

interface Way {
  readonly choice: keyof typeof CHOICES
  readonly lambda?: number
  readonly draws?: number
  readonly triangular?: boolean
  readonly step?: number
  readonly workers?: number
}

interface Outcome {
  readonly codes: Uint8Array
  readonly values: Float32Array
}

function run(c: PathCase, p: PathProblem, way: Way): Outcome {
  const { choice, lambda = 0, draws = 0, triangular = false, step = 1, workers = 1 } = way
  const { args, columns } = layOut(machine, c, p, triangular)
  const length = columns * args.panels * 64
  const codes = machine.bytes(choice === 'exact' ? 0 : length)
  const values = machine.floats(choice === 'exact' ? length : 0)
  const scratch = machine.bytes(workers * walkScratch(args.panels)).at
  const task = walk({
    ...args,
    ...{ codes: codes.at, values: values.at, scratch, choice, lambda, seed: draws },
  })
  machine.run({ ...task, step }, { seed: c.seed, workers })
  return { codes: codes.values.slice(), values: values.values.slice() }
}

describe('walk', () => {
  it.each(['soft', 'hard'] as const)('takes the %s threshold of the twin at every step', (choice) => {
    const threshold = choice === 'soft' ? softThreshold : hardThreshold
    fc.assert(
      fc.property(
        pathCases,
        fc.constantFrom(0, 1 / 8, 1 / 2, 5 / 4),
        fc.boolean(),
        (c, lambda, triangular) => {
          const p = pathProblem(c)
          const { codes } = run(c, p, { choice, lambda, triangular, workers: 2 })
          for (const { name, h, g, w, code, value, at } of columnsOf(c, p)) {
            const expected: number[] = []
            gramPath(h, g, w, c.inputs, (t, v) => {
              expected[t] = code(t, threshold(v, lambda))
              return value(t, expected[t]!)
            })
            expect(
              expected.map((_, t) => codes[at(t)]),
              name,
            ).toEqual(expected)
          }
        },
      ),
      { seed: 131, numRuns: 30 },
    )
  })

  it('rounds by the twin’s draws, whatever the seed', () => {
    let [neurons, ties] = [0, 0]
    fc.assert(
      fc.property(pathCases, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (c, draws) => {
        const p = pathProblem(c)
        const { codes } = run(c, p, { choice: 'chance', draws, workers: 2 })
        for (const { name, group, neuron, h, g, w, scale, value, at } of columnsOf(c, p)) {
          const counted = 8 * group * Math.ceil(c.neurons / 8) + neuron
          let margin = 1
          const expected: number[] = []
          gramPath(h, g, w, c.inputs, (t, v) => {
            const zero = (c.levels - 1) / 2
            const steps = keepZero(w[t]!, zero, v) / scale(t) + zero
            const fraction = steps - Math.floor(steps)
            const dice = draw(draws, counted, t)
            const apart = Math.abs(dice - fraction)
            if (fraction > 0) margin = Math.min(margin, apart, 1 - apart)
            const code = Math.floor(steps) + (dice < fraction ? 1 : 0)
            expected[t] = Math.min(c.levels - 1, Math.max(0, code))
            return value(t, expected[t]!)
          })
          const actual = expected.map((_, t) => codes[at(t)])
          neurons++
          if (margin < 1e-5 && actual.some((code, t) => code !== expected[t])) ties++
          else expect(actual, `${name}, margin ${margin}`).toEqual(expected)
        }
      }),
      { seed: 132, numRuns: 30 },
    )
    expect(ties).toBeLessThan(0.02 * neurons)
  })

  it('solves tril(H) q = R without an alphabet; a dead input keeps its weight', () => {
    fc.assert(
      fc.property(pathCases, (given) => {
        const c = { ...given, candidates: 1 }
        const p = pathProblem(c)
        const { values } = run(c, p, { choice: 'exact' })
        for (const { name, h, g, w, at } of columnsOf(c, p)) {
          // Checks each row alone, with the kernel's own earlier values, so that only rounding differs.
          for (let t = 0; t < c.inputs; t++) {
            const q = (s: number): number => values[at(s)]!
            if (h[t * c.inputs + t] === 0) {
              expect(q(t), `${name} input ${t}`).toBe(w[t])
              continue
            }
            let [left, size] = [0, 0]
            for (let s = 0; s <= t; s++) {
              const [aim, taken] = [g[t * c.inputs + s]! * w[s]!, h[t * c.inputs + s]! * q(s)]
              left += aim - taken
              size += Math.abs(aim) + Math.abs(taken)
            }
            expect(Math.abs(left), `${name} input ${t}`).toBeLessThanOrEqual(
              2 * (c.inputs + 2) * 2 ** -24 * size,
            )
          }
        }
      }),
      { seed: 133, numRuns: 30 },
    )
  })

  it('gives the same bytes for every cut into tiles and every number of workers, draws included', () => {
    fc.assert(
      fc.property(pathCases, fc.constantFrom('soft', 'hard', 'chance', 'exact'), (given, choice) => {
        const c = choice === 'exact' ? { ...given, candidates: 1 } : given
        const p = pathProblem(c)
        const way: Way = { choice, lambda: 1 / 8, draws: c.seed }
        const alone = run(c, p, way)
        for (const step of cuts(c.groups * c.candidates * Math.ceil(c.neurons / 8))) {
          for (const workers of [1, 3]) expect(run(c, p, { ...way, step, workers })).toEqual(alone)
        }
      }),
      { seed: 134, numRuns: 15 },
    )
  })

  it('is unbiased: the mean of many draws is the value, between any two levels', () => {
    // With one live input and one sample there is no error to correct, so every neuron rounds its own weight.
    const neurons = 20_000
    const one = { rows: 1, columns: 1, values: [1] }
    for (const [i, w] of [-1, -0.84, -0.5, 0.01, 0.3, 0.75, 1].entries()) {
      const c = { rows: 1, inputs: 1, neurons, groups: 1, candidates: 1, blockSize: 1, levels: 5, seed: i }
      const weights = { rows: 1, columns: neurons, values: new Float64Array(neurons).fill(w) }
      const p: PathProblem = { h: [one], g: [one], weights: [weights], scaleOf: () => 0.5 }
      const { codes } = run(c, p, { choice: 'chance', draws: 1000 + i })
      const values = [...columnsOf(c, p)].map(({ at, value }) => value(0, codes[at(0)]!))
      const mean = values.reduce((sum, value) => sum + value, 0) / neurons
      const fraction = 2 * w - Math.floor(2 * w)
      // Five standard deviations of the mean of a choice between two values half a unit apart, and float32's w.
      const deviation = 0.5 * Math.sqrt((fraction * (1 - fraction)) / neurons)
      expect(Math.abs(mean - w), `weight ${w}`).toBeLessThanOrEqual(5 * deviation + 1e-7)
      for (const value of values) expect(Math.abs(value - w)).toBeLessThan(0.5)
    }
  })
})

describe('sweepTarget', () => {
  it('is b + s − u, one rounding an operation, for every cut into tiles', () => {
    const runs = 7
    const [b, s, u] = [1, 2, 3].map((seed) => reals(64 * runs, seed)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    const expected = b.map((value, i) => Math.fround(value + s[i]!) - u[i]!)
    for (const step of cuts(runs)) {
      machine.reset()
      const r = machine.floats(64 * runs)
      const [bAt, sAt, uAt] = [b, s, u].map((values) => machine.floats(values).at) as [number, number, number]
      const task = sweepTarget({ b: bAt, s: sAt, u: uAt, r: r.at, bytes: 256 * runs })
      machine.run({ ...task, step }, { seed: step })
      expectSame(r.values, expected)
    }
  })
})
