/**
 * assembly/descend.ts against reference/descend.ts: equal codes without exceptions (paths.ts gives the reason), and
 * errors that are those of the codes.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { descend as descendTwin, multiplyVector, quadraticError } from '#src/reference/descend.js'
import { descend, descendScratch } from '#src/wasm/methodKernels.js'
import { randomFrom } from '../random.js'
import { Machine } from './machine.js'
import { columnsOf, cuts, layOut, type PathCase, type PathProblem, pathCases, pathProblem } from './paths.js'

const machine = await Machine.create()

interface Case extends PathCase {
  readonly sparse: boolean
}

interface Problem extends PathProblem {
  /** Codes (inputs) to start from, of every column in the order of columnsOf. */
  readonly start: readonly Uint8Array[]
}

/** Random codes, but those of zero for weights that stay zero, as every method chooses them. */
function problem(c: Case): Problem {
  const random = randomFrom(c.seed + 1)
  const p = pathProblem(c)
  const start = [...columnsOf(c, p)].map(({ w, code }) =>
    Uint8Array.from(w, (v, t) =>
      v === 0 && c.levels % 2 === 1 ? code(t, 0) : Math.floor(random() * c.levels),
    ),
  )
  return { ...p, start }
}

interface Outcome {
  readonly codes: Uint8Array
  readonly errors: Float64Array
}

interface Way {
  readonly passes: number
  readonly strip: number
  /** Columns of a tile; by default those of a strip. */
  readonly step?: number
  readonly workers?: number
}

function run(c: Case, p: Problem, { passes, strip, step = strip, workers = 1 }: Way): Outcome {
  const { args, columns } = layOut(machine, c, p)
  const codes = machine.bytes(columns * args.panels * 64)
  for (const [i, { at }] of [...columnsOf(c, p)].entries()) {
    p.start[i]!.forEach((code, t) => {
      codes.values[at(t)] = code
    })
  }
  const errors = machine.doubles(columns * 8)
  const task = descend({
    ...args,
    weights: c.sparse ? 0 : args.weights,
    codes: codes.at,
    errors: errors.at,
    scratch: machine.bytes(workers * descendScratch(args.panels, strip)).at,
    passes,
    strip,
  })
  machine.run({ ...task, step }, { seed: c.seed, workers })
  return { codes: codes.values.slice(), errors: errors.values.slice() }
}

function compare(c: Case, p: Problem, passes: number, outcome: Outcome): void {
  for (const [i, column] of [...columnsOf(c, p)].entries()) {
    const { h, g, w, code, value, at } = column
    const start = w.map((_, t) => value(t, p.start[i]![t]!))
    const target = multiplyVector(g, w)
    const keeps = (t: number): boolean => c.sparse || w[t] === 0
    const q = descendTwin(h, target, start, passes, (t, v) => value(t, code(t, v)), keeps)
    const actual = q.map((_, t) => value(t, outcome.codes[at(t)]!))
    expect(actual, column.name).toEqual(q)
    const error = outcome.errors[column.lane]!
    const exact = quadraticError(h, target, q)
    const before = quadraticError(h, target, start)
    expect(exact).toBeLessThanOrEqual(before)
    expect(Math.abs(error - exact)).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(before) + Math.abs(exact)))
  }
}

const shape: fc.Arbitrary<Case> = fc.tuple(pathCases, fc.boolean()).map(([c, sparse]) => ({ ...c, sparse }))

describe('descend', () => {
  it('makes the passes of the float64 twin; the error it reports is exact and never above the start', () => {
    fc.assert(
      fc.property(
        shape,
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        (c, passes, strip) => {
          const p = problem(c)
          compare(c, p, passes, run(c, p, { passes, strip, workers: 2 }))
        },
      ),
      { seed: 21, numRuns: 40 },
    )
  })

  it('gives the same bytes for every strip, every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const p = problem(c)
        const alone = run(c, p, { passes: 2, strip: 1 })
        for (const strip of [2, 3, 8]) expect(run(c, p, { passes: 2, strip, workers: strip })).toEqual(alone)
        for (const step of cuts(c.groups * c.candidates * Math.ceil(c.neurons / 8))) {
          expect(run(c, p, { passes: 2, strip: 2, step, workers: 2 })).toEqual(alone)
        }
      }),
      { seed: 22, numRuns: 10 },
    )
  })

  it('changes nothing where no single change helps, and keeps zeros if `sparse` is set', () => {
    const c: Case = {
      ...{ rows: 40, inputs: 30, neurons: 8, groups: 1, candidates: 1, blockSize: 30, levels: 5 },
      ...{ sparse: true, seed: 5 },
    }
    const p = problem(c)
    const codesOf = ({ codes }: Outcome): Uint8Array[] =>
      [...columnsOf(c, p)].map(({ at }) => Uint8Array.from({ length: c.inputs }, (_, t) => codes[at(t)]!))
    const settled = run({ ...c, sparse: false }, p, { passes: 100, strip: 1 })
    const again: Problem = { ...p, start: codesOf(settled) }
    expect(run({ ...c, sparse: false }, again, { passes: 1, strip: 1 }).codes).toEqual(settled.codes)
    const sparse = codesOf(run(c, p, { passes: 100, strip: 1 }))
    const zeros = p.start.flatMap((codes, i) =>
      [...codes.keys()].filter((t) => codes[t] === 2).map((t) => [i, t] as const),
    )
    expect(zeros.length).toBeGreaterThan(0)
    for (const [i, t] of zeros) expect(sparse[i]![t]).toBe(2)
    expect(sparse).not.toEqual(p.start)
  })
})
