/**
 * assembly/substitute.ts against the float64 path. Samples are small integers, weights and scales dyadic, so that every
 * sum is exact in float32 and no quotient comes nearer to a rounding boundary than float32 can tell: the codes must be
 * equal, without exceptions. Sums stay below 2²⁴ sixteenths, boundaries are 1/(8·H_tt) away, H_tt ≤ 540.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { gramMatrix, gramPath } from '#src/reference/gram.js'
import { project, substitute, substituteScratch } from '#src/wasm/kernels.js'
import { integers, randomFrom } from '../random.js'
import { columnIndex, columnPanels, gramPanels, type Matrix, panelsOf, scalePanels } from './layout.js'
import { Machine } from './machine.js'

let machine: Machine
beforeAll(async () => {
  machine = await Machine.create()
})

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly candidates: number
  readonly blockSize: number
  readonly levels: number
  readonly follow: boolean
  readonly seed: number
}

interface Problem {
  readonly h: readonly Matrix[]
  readonly g: readonly Matrix[]
  readonly weights: readonly Matrix[] // eighths
  readonly scaleOf: (group: number, candidate: number, block: number, neuron: number) => number
}

/** About one input in seven is dead. */
function problem({ rows, inputs, neurons, groups, seed }: Case): Problem {
  const random = randomFrom(seed)
  const dead = Array.from({ length: inputs }, () => random() < 1 / 7)
  const samples = Array.from({ length: groups }, (_, g) => {
    const x = integers(rows * inputs, 3, seed + 2 * g)
    const xq = integers(rows * inputs, 3, seed + 2 * g + 1).map((v, i) => (dead[i % inputs] ? 0 : v))
    return { x, xq }
  })
  const square = (values: Float64Array): Matrix => ({ rows: inputs, columns: inputs, values })
  return {
    h: samples.map(({ xq }) => square(gramMatrix(xq, xq, rows, inputs))),
    g: samples.map(({ x, xq }) => square(gramMatrix(xq, x, rows, inputs))),
    weights: samples.map((_, g) => ({
      rows: inputs,
      columns: neurons,
      values: integers(inputs * neurons, 8, seed + 99 + g).map((w) => w / 8),
    })),
    scaleOf: (g, c, b, k) => 2 ** -(1 + ((g + 2 * c + b + k) % 3)),
  }
}

interface Outcome {
  readonly codes: Uint8Array
  readonly errors: Float64Array | null
}

interface Way {
  readonly strip: number
  readonly triangular?: boolean
  readonly withErrors?: boolean
  readonly workers?: number
}

function run(
  c: Case,
  p: Problem,
  { strip, triangular = false, withErrors = !triangular, workers = 1 }: Way,
): Outcome {
  const { inputs, neurons, groups, candidates, blockSize, levels } = c
  const panels = panelsOf(inputs)
  const neuronPanels = panelsOf(neurons)
  const scaleBlocks = Math.ceil(inputs / blockSize)
  const columns = groups * candidates * neuronPanels
  machine.reset()
  const weights = machine.floats(columnPanels(p.weights, panels))
  const r = machine.floats(weights.values.length)
  const s = withErrors ? machine.floats(weights.values.length) : null
  const common = { weights: weights.at, r: r.at, s: s?.at ?? 0, panels, triangular, neuronPanels, groups }
  machine.run(project({ ...common, g: machine.floats(gramPanels(p.g, panels, triangular)).at }))
  const scales = machine.floats(scalePanels({ groups, candidates, blocks: scaleBlocks, neurons }, p.scaleOf))
  const codes = machine.bytes(columns * panels * 64)
  const errors = withErrors ? machine.doubles(columns * 8) : null
  const task = substitute({
    ...common,
    h: machine.floats(gramPanels(p.h, panels, triangular)).at,
    scales: scales.at,
    zeros: machine.floats(new Float32Array(scales.values.length).fill((levels - 1) / 2)).at,
    codes: codes.at,
    errors: errors?.at ?? 0,
    scratch: machine.bytes(workers * substituteScratch(panels, strip)).at,
    inputs,
    candidates,
    scaleBlocks,
    scaleBlockSize: blockSize,
    top: levels - 1,
    follow: c.follow,
    strip,
  })
  machine.run(task, { seed: c.seed, workers })
  return { codes: codes.values.slice(), errors: errors?.values.slice() ?? null }
}

/** Every neuron of every candidate against gramPath, which asks `choose` for the alphabet. */
function compare(c: Case, p: Problem, outcome: Outcome): void {
  const { inputs, neurons, groups, candidates, blockSize, levels } = c
  const zero = (levels - 1) / 2
  const perGroup = candidates * panelsOf(neurons)
  for (let column = 0; column < groups * candidates * neurons; column++) {
    const k = column % neurons
    const candidate = Math.floor(column / neurons) % candidates
    const g = Math.floor(column / (neurons * candidates))
    const w = Float64Array.from({ length: inputs }, (_, t) => p.weights[g]!.values[t * neurons + k]!)
    const codes: number[] = []
    const path = gramPath(p.h[g]!.values, p.g[g]!.values, w, inputs, (t, value) => {
      const scale = p.scaleOf(g, candidate, Math.floor(t / blockSize), k)
      const code = nearestEven((c.follow ? value : w[t]!) / scale + zero)
      codes[t] = Math.min(levels - 1, Math.max(0, code))
      return scale * (codes[t]! - zero)
    })
    const panelColumn = candidate * panelsOf(neurons) * 8 + k
    const actual = codes.map(
      (_, t) => outcome.codes[columnIndex(g, t, panelColumn, perGroup, panelsOf(inputs))],
    )
    expect(actual, `group ${g} candidate ${candidate} neuron ${k}`).toEqual(codes)
    if (outcome.errors !== null) {
      const error = outcome.errors[(g * perGroup + (panelColumn >> 3)) * 8 + (k & 7)]!
      expect(Math.abs(error - path.error2)).toBeLessThanOrEqual(errorBound(c, p, g, w, path.chosen))
    }
  }
}

/** The error is a float64 sum of N float32 terms |q|·(H|q| + 2|p + S|), four roundings each. */
function errorBound({ inputs }: Case, p: Problem, g: number, w: Float64Array, chosen: Float64Array): number {
  let bound = 0
  for (let t = 0; t < inputs; t++) {
    let most = 0
    for (let s = 0; s < inputs; s++) {
      most += 2 * Math.abs(p.g[g]!.values[t * inputs + s]! * w[s]!)
      if (s <= t) most += 2 * Math.abs(p.h[g]!.values[t * inputs + s]! * chosen[s]!)
    }
    bound += Math.abs(chosen[t]!) * most
  }
  return 4 * 2 ** -24 * bound
}

const shape = fc
  .record({
    rows: fc.integer({ min: 1, max: 60 }),
    inputs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(127, 128, 129, 136, 260)),
    neurons: fc.integer({ min: 1, max: 20 }),
    groups: fc.integer({ min: 1, max: 2 }),
    candidates: fc.integer({ min: 1, max: 3 }),
    blockSize: fc.integer({ min: 1, max: 260 }),
    levels: fc.integer({ min: 2, max: 16 }),
    follow: fc.boolean(),
    seed: fc.integer({ min: 0, max: 2 ** 30 }),
  })
  .map((c): Case => ({ ...c, blockSize: Math.min(c.blockSize, c.inputs) }))

describe('substitute', () => {
  it('walks the float64 path of every neuron and candidate and sums its output error', () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 1, max: 8 }), (c, strip) => {
        const p = problem(c)
        compare(c, p, run(c, p, { strip, workers: 2 }))
      }),
      { seed: 9, numRuns: 50 },
    )
  })

  it('needs only the lower triangles when no errors are wanted', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const p = problem(c)
        compare(c, p, run(c, p, { strip: 3, triangular: true }))
      }),
      { seed: 10, numRuns: 25 },
    )
  })

  it('gives the same bytes for every strip and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const p = problem(c)
        const alone = run(c, p, { strip: 1 })
        for (const strip of [2, 3, 5, 8]) expect(run(c, p, { strip, workers: strip })).toEqual(alone)
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
    const p: Problem = { h: [live], g: [live], weights: [weights], scaleOf: () => 0.5 }
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
