/**
 * assembly/descend.ts against reference/descend.ts. As in substitute.test.ts samples are small integers, weights and
 * scales dyadic, so that all sums are exact in float32 and ties fall alike: codes must be equal, without exceptions.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { descend as descendTwin, multiplyVector, quadraticError } from '#src/reference/descend.js'
import { gramMatrix } from '#src/reference/gram.js'
import { descend, descendScratch } from '#src/wasm/familyKernels.js'
import { project } from '#src/wasm/kernels.js'
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
  readonly sparse: boolean
  readonly seed: number
}

interface Problem {
  readonly h: readonly Matrix[]
  readonly g: readonly Matrix[]
  readonly weights: readonly Matrix[] // eighths
  /** Codes to start from, [group][candidate] (inputs, neurons). */
  readonly start: readonly (readonly Uint8Array[])[]
  readonly scaleOf: (group: number, candidate: number, block: number, neuron: number) => number
}

function problem({ rows, inputs, neurons, groups, candidates, levels, seed }: Case): Problem {
  const random = randomFrom(seed)
  const dead = Array.from({ length: inputs }, () => random() < 1 / 7)
  const samples = Array.from({ length: groups }, (_, g) => ({
    x: integers(rows * inputs, 3, seed + 2 * g),
    xq: integers(rows * inputs, 3, seed + 2 * g + 1).map((v, i) => (dead[i % inputs] ? 0 : v)),
  }))
  const square = (values: Float64Array): Matrix => ({ rows: inputs, columns: inputs, values })
  const codes = (): Uint8Array =>
    Uint8Array.from({ length: inputs * neurons }, () => Math.floor(random() * levels))
  return {
    h: samples.map(({ xq }) => square(gramMatrix(xq, xq, rows, inputs))),
    g: samples.map(({ x, xq }) => square(gramMatrix(xq, x, rows, inputs))),
    weights: samples.map((_, g) => ({
      rows: inputs,
      columns: neurons,
      values: integers(inputs * neurons, 8, seed + 99 + g).map((w) => w / 8),
    })),
    start: samples.map(() => Array.from({ length: candidates }, codes)),
    scaleOf: (g, c, b, k) => 2 ** -(1 + ((g + 2 * c + b + k) % 3)),
  }
}

interface Outcome {
  readonly codes: Uint8Array
  readonly errors: Float64Array
}

function run(c: Case, p: Problem, passes: number, strip: number, workers = 1): Outcome {
  const { inputs, neurons, groups, candidates, blockSize, levels } = c
  const panels = panelsOf(inputs)
  const neuronPanels = panelsOf(neurons)
  const scaleBlocks = Math.ceil(inputs / blockSize)
  const columns = groups * candidates * neuronPanels
  machine.reset()
  const weights = machine.floats(columnPanels(p.weights, panels))
  const r = machine.floats(weights.values.length)
  const s = machine.floats(weights.values.length)
  const common = { r: r.at, s: s.at, panels, neuronPanels, groups }
  const g = machine.floats(gramPanels(p.g, panels, false))
  machine.run(project({ ...common, g: g.at, weights: weights.at, triangular: false }))
  const scales = machine.floats(scalePanels({ groups, candidates, blocks: scaleBlocks, neurons }, p.scaleOf))
  const codes = machine.bytes(columns * panels * 64)
  for (const [at, code] of places(c, p)) codes.values[at] = code
  const errors = machine.doubles(columns * 8)
  const task = descend({
    ...common,
    h: machine.floats(gramPanels(p.h, panels, false)).at,
    scales: scales.at,
    zeros: machine.floats(new Float32Array(scales.values.length).fill((levels - 1) / 2)).at,
    codes: codes.at,
    errors: errors.at,
    scratch: machine.bytes(workers * descendScratch(panels, strip)).at,
    inputs,
    candidates,
    scaleBlocks,
    scaleBlockSize: blockSize,
    top: levels - 1,
    passes,
    sparse: c.sparse,
    strip,
  })
  machine.run(task, { seed: c.seed, workers })
  return { codes: codes.values.slice(), errors: errors.values.slice() }
}

/** Where each code lies in the kernel's layout. */
function* places({ inputs, neurons, groups, candidates }: Case, p: Problem): Iterable<[number, number]> {
  const perGroup = candidates * panelsOf(neurons)
  for (let g = 0; g < groups; g++) {
    for (let c = 0; c < candidates; c++) {
      for (let i = 0; i < inputs * neurons; i++) {
        const column = c * panelsOf(neurons) * 8 + (i % neurons)
        yield [
          columnIndex(g, Math.floor(i / neurons), column, perGroup, panelsOf(inputs)),
          p.start[g]![c]![i]!,
        ]
      }
    }
  }
}

function compare(c: Case, p: Problem, passes: number, outcome: Outcome): void {
  const { inputs, neurons, groups, candidates, blockSize, levels } = c
  const zero = (levels - 1) / 2
  const perGroup = candidates * panelsOf(neurons)
  for (let item = 0; item < groups * candidates * neurons; item++) {
    const k = item % neurons
    const candidate = Math.floor(item / neurons) % candidates
    const g = Math.floor(item / (neurons * candidates))
    const scale = (t: number): number => p.scaleOf(g, candidate, Math.floor(t / blockSize), k)
    const w = Float64Array.from({ length: inputs }, (_, t) => p.weights[g]!.values[t * neurons + k]!)
    const start = w.map((_, t) => scale(t) * (p.start[g]![candidate]![t * neurons + k]! - zero))
    const target = multiplyVector(p.g[g]!.values, w)
    const choose = (t: number, v: number): number =>
      scale(t) * (Math.min(levels - 1, Math.max(0, nearestEven(v / scale(t) + zero))) - zero)
    const q = descendTwin(p.h[g]!.values, target, start, passes, choose, c.sparse)
    const column = candidate * panelsOf(neurons) * 8 + k
    const actual = q.map(
      (_, t) => scale(t) * (outcome.codes[columnIndex(g, t, column, perGroup, panelsOf(inputs))]! - zero),
    )
    expect(actual, `group ${g} candidate ${candidate} neuron ${k}`).toEqual(q)
    const error = outcome.errors[(g * perGroup + (column >> 3)) * 8 + (k & 7)]!
    const exact = quadraticError(p.h[g]!.values, target, q)
    const before = quadraticError(p.h[g]!.values, target, start)
    expect(exact).toBeLessThanOrEqual(before)
    expect(Math.abs(error - exact)).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(before) + Math.abs(exact)))
  }
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
    sparse: fc.boolean(),
    seed: fc.integer({ min: 0, max: 2 ** 30 }),
  })
  .map((c): Case => ({ ...c, blockSize: Math.min(c.blockSize, c.inputs) }))

describe('descend', () => {
  it('makes the passes of the float64 twin; the error it reports is exact and never above the start', () => {
    fc.assert(
      fc.property(
        shape,
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        (c, passes, strip) => {
          const p = problem(c)
          compare(c, p, passes, run(c, p, passes, strip, 2))
        },
      ),
      { seed: 21, numRuns: 40 },
    )
  })

  it('gives the same bytes for every strip and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const p = problem(c)
        const alone = run(c, p, 2, 1)
        for (const strip of [2, 3, 8]) expect(run(c, p, 2, strip, strip)).toEqual(alone)
      }),
      { seed: 22, numRuns: 10 },
    )
  })

  it('stays where no single change helps, and keeps zeros when asked to', () => {
    const c: Case = {
      ...{ rows: 40, inputs: 30, neurons: 8, groups: 1, candidates: 1, blockSize: 30, levels: 5 },
      ...{ sparse: true, seed: 5 },
    }
    const p = problem(c)
    const settled = run({ ...c, sparse: false }, p, 100, 1)
    const again: Problem = { ...p, start: [[codesOf(c, settled)]] }
    expect(run({ ...c, sparse: false }, again, 1, 1).codes).toEqual(settled.codes)
    const zeros = (codes: Uint8Array): number[] => [...codes.keys()].filter((i) => codes[i] === 2)
    const sparse = codesOf(c, run(c, p, 100, 1))
    const start = p.start[0]![0]!
    expect(zeros(start).length).toBeGreaterThan(0)
    expect(zeros(start).every((i) => sparse[i] === 2)).toBe(true)
    expect(sparse).not.toEqual(start)
  })
})

/** Codes (inputs, neurons) of a single group and candidate. */
function codesOf({ inputs, neurons }: Case, { codes }: Outcome): Uint8Array {
  return Uint8Array.from(
    { length: inputs * neurons },
    (_, i) =>
      codes[columnIndex(0, Math.floor(i / neurons), i % neurons, panelsOf(neurons), panelsOf(inputs))]!,
  )
}
