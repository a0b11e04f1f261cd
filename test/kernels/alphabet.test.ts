/**
 * assembly/alphabet.ts: code = clamp(nearest(v / s + z), 0, top) and −q = s·(z − code), one float32 rounding an
 * operation, ties to even. The twin rounds with Math.fround, so the comparison is exact.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { msq } from '#src/reference/gpfq.js'
import { dequantize, round } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { integers, randomFrom, reals } from '../random.js'
import { columnIndex, columnPanels, panelsOf, scalePanels } from './layout.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

interface Case {
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly blockSize: number
  readonly levels: number
  readonly zero: number
}

type ScaleOf = (group: number, block: number, neuron: number) => number

/** Codes of `values`, one array (inputs, neurons) for each group, in panels; the padding is not written. */
function roundPanels(c: Case, values: readonly Float32Array[], scaleOf: ScaleOf): Uint8Array {
  const { inputs, neurons, groups, blockSize, levels } = c
  const panels = panelsOf(inputs)
  const blocks = Math.ceil(inputs / blockSize)
  const shape = { groups, candidates: 1, blocks, neurons }
  machine.reset()
  const weights = machine.floats(
    columnPanels(
      values.map((v) => ({ rows: inputs, columns: neurons, values: v })),
      panels,
    ),
  )
  const codes = machine.bytes(weights.values.length)
  const scales = machine.floats(scalePanels(shape, (g, _, b, k) => scaleOf(g, b, k)))
  const task = round({
    weights: weights.at,
    scales: scales.at,
    zeros: machine.floats(new Float32Array(scales.values.length).fill(c.zero)).at,
    codes: codes.at,
    inputs,
    panels,
    columns: groups * panelsOf(neurons),
    scaleBlocks: blocks,
    scaleBlockSize: blockSize,
    top: levels - 1,
  })
  machine.run({ ...task, step: 2 }, { seed: 1 })
  return codes.values
}

const shape = fc
  .record({
    inputs: fc.integer({ min: 1, max: 40 }),
    neurons: fc.integer({ min: 1, max: 30 }),
    groups: fc.integer({ min: 1, max: 3 }),
    blockSize: fc.integer({ min: 1, max: 40 }),
    levels: fc.integer({ min: 2, max: 256 }),
  })
  .map((c) => ({ ...c, blockSize: Math.min(c.blockSize, c.inputs), zero: (c.levels - 1) / 2 }))

describe('round', () => {
  it('chooses the code of the one formula for every weight, block of inputs, neuron and group', () => {
    fc.assert(
      fc.property(shape, fc.integer(), (c, seed) => {
        const values = Array.from({ length: c.groups }, (_, g) => reals(c.inputs * c.neurons, seed + g))
        const scaleOf: ScaleOf = (g, b, k) =>
          Math.fround((2 + ((3 * g + 5 * b + 7 * k) % 11)) / (4 * c.levels))
        const codes = roundPanels(c, values, scaleOf)
        for (let g = 0; g < c.groups; g++) {
          for (let t = 0; t < c.inputs; t++) {
            for (let k = 0; k < c.neurons; k++) {
              const scale = scaleOf(g, Math.floor(t / c.blockSize), k)
              const steps = Math.fround(Math.fround(values[g]![t * c.neurons + k]! / scale) + c.zero)
              const code = Math.min(c.levels - 1, Math.max(0, nearestEven(steps)))
              const at = columnIndex(g, t, k, panelsOf(c.neurons), panelsOf(c.inputs))
              if (codes[at] !== code) expect(codes[at], `group ${g} input ${t} neuron ${k}`).toBe(code)
            }
          }
        }
      }),
      { seed: 7, numRuns: 60 },
    )
  })

  it('agrees with the float64 reference where values are dyadic, ties and clamping included', () => {
    const c = { inputs: 64, neurons: 16, groups: 1, blockSize: 64, levels: 7, zero: 3 }
    const eighths = integers(64 * 16, 40, 3).map((value) => value / 8)
    const expected = msq({ ...c, weights: eighths, scales: new Float32Array(16).fill(0.25) })
    const codes = roundPanels(c, [eighths], () => 0.25)
    for (let t = 0; t < 64; t++) {
      for (let k = 0; k < 16; k++) expect(codes[columnIndex(0, t, k, 2, 8)]).toBe(expected[t * 16 + k])
    }
  })

  it('rounds ties to the even code and clamps at both ends', () => {
    const cases: readonly (readonly [value: number, code: number])[] = [
      [-3.5, 0],
      [-2.5, 0],
      [-1.5, 2],
      [-0.5, 2],
      [0.5, 4],
      [1.5, 4],
      [2.5, 6],
      [2.499, 5],
      [3.5, 6],
      [1e30, 6],
      [-1e30, 0],
      [Number.POSITIVE_INFINITY, 6],
      [Number.NEGATIVE_INFINITY, 0],
    ]
    const c = { inputs: cases.length, neurons: 1, groups: 1, blockSize: cases.length, levels: 7, zero: 3 }
    const codes = roundPanels(c, [Float32Array.from(cases, ([value]) => value)], () => 1)
    cases.forEach(([value, code], t) => {
      expect(codes[t * 8], `code of ${value}`).toBe(code)
    })
  })

  it('handles an asymmetric zero point and 256 codes', () => {
    const c = { inputs: 300, neurons: 1, groups: 1, blockSize: 300, levels: 256, zero: 17 }
    const values = Float32Array.from({ length: 300 }, (_, t) => (t - 30) / 2)
    const codes = roundPanels(c, [values], () => 0.5)
    values.forEach((_, t) => {
      expect(codes[t * 8]).toBe(Math.min(255, Math.max(0, t - 30 + 17)))
    })
  })
})

describe('dequantize', () => {
  it('gives −q for every code and zeros in the padding', () => {
    fc.assert(
      fc.property(shape, fc.integer(), (c, seed) => {
        const panels = panelsOf(c.inputs)
        const perGroup = panelsOf(c.neurons)
        const blocks = Math.ceil(c.inputs / c.blockSize)
        const random = randomFrom(seed)
        machine.reset()
        const length = c.groups * perGroup * panels * 64
        const codes = machine.bytes(Array.from({ length }, () => Math.floor(c.levels * random())))
        const scales = machine.floats(
          scalePanels({ ...c, candidates: 1, blocks }, () => Math.fround(random() + 0.1)),
        )
        const negated = machine.floats(length)
        const task = dequantize({
          codes: codes.at,
          scales: scales.at,
          zeros: machine.floats(new Float32Array(scales.values.length).fill(c.zero)).at,
          negated: negated.at,
          inputs: c.inputs,
          panels,
          columns: c.groups * perGroup,
          scaleBlocks: blocks,
          scaleBlockSize: c.blockSize,
        })
        machine.run({ ...task, step: 1 }, { seed: 2 })
        const expected = Float32Array.from({ length }, (_, at) => {
          const t = (at >> 3) % (8 * panels)
          const column = Math.floor(at / (64 * panels))
          const scale = scales.values[(column * blocks + Math.floor(t / c.blockSize)) * 8 + (at & 7)]!
          return t < c.inputs ? scale * (c.zero - codes.values[at]!) : 0
        })
        expectSame(negated.values, expected)
      }),
      { seed: 8, numRuns: 60 },
    )
  })
})
