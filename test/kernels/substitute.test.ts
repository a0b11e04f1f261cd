/**
 * assembly/substitute.ts against the float64 path: equal codes without exceptions (paths.ts gives the reason), and the
 * output error that the kernel computes along the path.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { gramPath } from '#src/reference/gram.js'
import { substitute, substituteScratch } from '#src/wasm/kernels.js'
import { Machine } from './machine.js'
import {
  type Column,
  columnsOf,
  cuts,
  layOut,
  type PathCase,
  type PathProblem,
  pathCases,
  pathProblem,
} from './paths.js'

const machine = await Machine.create()

interface Case extends PathCase {
  readonly follow: boolean
}

interface Outcome {
  readonly codes: Uint8Array
  readonly errors: Float64Array | null
}

interface Way {
  readonly strip: number
  /** Columns of a tile; by default those of a strip. */
  readonly step?: number
  readonly triangular?: boolean
  readonly projected?: boolean
  readonly withErrors?: boolean
  readonly workers?: number
}

function run(
  c: Case,
  p: PathProblem,
  { strip, step = strip, triangular = false, projected = true, withErrors = !triangular, workers = 1 }: Way,
): Outcome {
  const { args, columns } = layOut(machine, c, p, triangular, withErrors)
  const codes = machine.bytes(columns * args.panels * 64)
  const errors = withErrors ? machine.doubles(columns * 8) : null
  const task = substitute({
    ...args,
    r: projected ? args.r : 0,
    g: 0,
    codes: codes.at,
    errors: errors?.at ?? 0,
    scratch: machine.bytes(workers * substituteScratch(args.panels, strip)).at,
    follow: c.follow,
    strip,
  })
  machine.run({ ...task, step }, { seed: c.seed, workers })
  return { codes: codes.values.slice(), errors: errors?.values.slice() ?? null }
}

/** Compares every neuron of every candidate with gramPath. */
function compare(c: Case, p: PathProblem, outcome: Outcome): void {
  for (const column of columnsOf(c, p)) {
    const { h, g, w } = column
    const codes: number[] = []
    const path = gramPath(h, g, w, c.inputs, (t, v) => {
      codes[t] = column.code(t, c.follow ? v : w[t]!)
      return column.value(t, codes[t]!)
    })
    const actual = codes.map((_, t) => outcome.codes[column.at(t)])
    expect(actual, column.name).toEqual(codes)
    if (outcome.errors !== null) {
      const error = outcome.errors[column.lane]!
      expect(Math.abs(error - path.error2)).toBeLessThanOrEqual(errorBound(column, path.chosen))
    }
  }
}

/** The error is a float64 sum of N float32 terms |q|·(H|q| + 2|p + S|), four roundings each. */
function errorBound({ h, g, w }: Column, chosen: Float64Array): number {
  const inputs = w.length
  let bound = 0
  for (let t = 0; t < inputs; t++) {
    let most = 0
    for (let s = 0; s < inputs; s++) {
      most += 2 * Math.abs(g[t * inputs + s]! * w[s]!)
      if (s <= t) most += 2 * Math.abs(h[t * inputs + s]! * chosen[s]!)
    }
    bound += Math.abs(chosen[t]!) * most
  }
  return 4 * 2 ** -24 * bound
}

const shape: fc.Arbitrary<Case> = fc.tuple(pathCases, fc.boolean()).map(([c, follow]) => ({ ...c, follow }))

describe('substitute', () => {
  it('walks the float64 path of every neuron and candidate and sums its output error', () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 1, max: 8 }), (c, strip) => {
        const p = pathProblem(c)
        compare(c, p, run(c, p, { strip, workers: 2 }))
      }),
      { seed: 9, numRuns: 50 },
    )
  })

  it('needs only the lower triangles when no errors are wanted', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const p = pathProblem(c)
        compare(c, p, run(c, p, { strip: 3, triangular: true }))
      }),
      { seed: 10, numRuns: 25 },
    )
  })

  it('needs no projections where H = G', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const { h, ...rest } = pathProblem(c)
        const p = { ...rest, h, g: h }
        compare(c, p, run(c, p, { strip: 3, triangular: true, projected: false }))
      }),
      { seed: 16, numRuns: 25 },
    )
  })

  it('gives the same bytes for every strip, every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(shape, fc.boolean(), (c, projected) => {
        const p = pathProblem(c)
        const way = { projected, triangular: !projected }
        const alone = run(c, p, { strip: 1, ...way })
        for (const strip of [2, 3, 5, 8]) expect(run(c, p, { strip, workers: strip, ...way })).toEqual(alone)
        for (const step of cuts(c.groups * c.candidates * Math.ceil(c.neurons / 8)))
          expect(run(c, p, { strip: 2, step, workers: 2, ...way })).toEqual(alone)
      }),
      { seed: 11, numRuns: 15 },
    )
  })

  it('rounds the weight of a dead input, and every weight when it does not follow the path', () => {
    const inputs = 24
    const dead = (t: number): boolean => t % 5 === 0
    const live = { rows: inputs, columns: inputs, values: new Float64Array(inputs * inputs) }
    for (let t = 0; t < inputs; t++) {
      for (let s = 0; s < inputs; s++) if (!dead(t) && !dead(s)) live.values[t * inputs + s] = t === s ? 9 : 4
    }
    const weights = {
      rows: inputs,
      columns: 1,
      values: Float32Array.from({ length: inputs }, (_, t) => (dead(t) ? 3 : 1) / 8),
    }
    const p: PathProblem = { h: [live], g: [live], weights: [weights], scaleOf: () => 0.5 }
    const c: Case = {
      rows: 1,
      inputs,
      neurons: 1,
      groups: 1,
      candidates: 1,
      blockSize: inputs,
      levels: 5,
      follow: true,
      seed: 1,
    }
    const rounded = Array.from(weights.values, (w) => nearestEven(w / 0.5 + 2))
    const codesOf = (follow: boolean): number[] => {
      const { codes } = run({ ...c, follow }, p, { strip: 1 })
      return rounded.map((_, t) => codes[8 * t]!)
    }
    expect(codesOf(false)).toEqual(rounded)
    const followed = codesOf(true)
    expect(followed.filter((_, t) => dead(t))).toEqual(rounded.filter((_, t) => dead(t)))
    expect(followed).not.toEqual(rounded)
  })
})
