/**
 * assembly/frame.ts against the float64 twin, which follows the kernel's choices: each code must be the nearest to the
 * remainder of the earlier ones, up to float32 rounding, and the values must be those of the codes.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coefficientsOf, dimensionOf, harmonicFrame } from '#src/methods/frame.js'
import { coefficients, frameQuantize, harmonicVector } from '#src/reference/frame.js'
import { panelsOf } from '#src/wasm/kernels.js'
import { frame } from '#src/wasm/methodKernels.js'
import { reals } from '../random.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

interface Layer {
  readonly inputs: number
  readonly neurons: number
  readonly levels: number
  readonly redundancy: number
  readonly seed: number
}

/** Runs the kernel on weights (inputs, neurons), in tiles of one panel of neurons or in one tile. */
function run({ inputs, neurons, levels, redundancy, seed }: Layer, cut?: number) {
  const weights = reals(inputs * neurons, seed)
  const [panels, columns] = [panelsOf(inputs), panelsOf(neurons)]
  const dimension = dimensionOf(inputs)
  const count = dimension * redundancy
  const packed = new Float32Array(columns * panels * 64)
  for (let t = 0; t < inputs; t++)
    for (let k = 0; k < neurons; k++)
      packed[((k >> 3) * panels * 8 + t) * 8 + (k & 7)] = weights[t * neurons + k]!
  const total = coefficientsOf(inputs, redundancy)
  machine.reset()
  const scales = machine.floats(columns * 8)
  const codes = machine.bytes(columns * total * 8)
  const values = machine.floats(new Float32Array(columns * panels * 64))
  const task = frame({
    weights: machine.floats(packed).at,
    basis: machine.floats(harmonicFrame(count, dimension)).at,
    scales: scales.at,
    codes: codes.at,
    values: values.at,
    scratch: machine.floats(2 * count * 8).at,
    ...{ inputs, panels, columns, dimension, count },
    top: levels - 1,
  })
  machine.run(task, cut === undefined ? {} : { seed: cut, workers: 2 })
  const [scale, code, value] = [scales.values.slice(), codes.values.slice(), values.values.slice()]
  return { weights, count, scales: scale, codes: code, values: value }
}

const layers = fc.record({
  inputs: fc.integer({ min: 1, max: 50 }),
  neurons: fc.integer({ min: 1, max: 19 }),
  levels: fc.constantFrom(2, 3, 4, 7, 15, 16, 255),
  redundancy: fc.integer({ min: 2, max: 9 }),
  seed: fc.integer({ min: 1, max: 1e6 }),
})

describe('frame', () => {
  it('takes the nearest code of each remainder, and synthesizes the values of the codes', () => {
    fc.assert(
      fc.property(layers, (layer) => {
        const { inputs, neurons, levels } = layer
        const { weights, count, scales, codes, values } = run(layer)
        const dimension = dimensionOf(inputs)
        const runs = Math.ceil(inputs / dimension)
        const panels = panelsOf(inputs)
        let farthest = 0 // of a code from the nearest one's share of the axis, in alphabets
        let worst = 0 // error of a value, in alphabets
        for (let k = 0; k < neurons; k++) {
          const [panel, lane] = [k >> 3, k & 7]
          const scale = scales[k]!
          let largest = 0
          for (let r = 0; r < runs; r++) {
            const own = Array.from({ length: dimension }, (_, j) => {
              const t = r * dimension + j
              return t < inputs ? weights[t * neurons + k]! : 0
            })
            for (const c of coefficients(own, count)) largest = Math.max(largest, Math.abs(c))
            const twin = frameQuantize({ weights: own, count, levels, scale }, (index, position) => {
              const code = codes[((panel * runs + r) * count + index) * 8 + lane]!
              const wanted = Math.min(levels - 1, Math.max(0, position))
              farthest = Math.max(farthest, (Math.abs(code - wanted) - 0.5) / levels)
              return code
            })
            for (let j = 0; j < dimension && r * dimension + j < inputs; j++) {
              const value = values[(panel * panels * 8 + r * dimension + j) * 8 + lane]!
              worst = Math.max(worst, Math.abs(value - twin.values[j]!) / (scale * levels))
            }
          }
          expect(scale / ((2 * largest) / (levels - 1))).toBeCloseTo(1, 5)
        }
        expect(farthest).toBeLessThan(1e-4)
        expect(worst).toBeLessThan(1e-5)
      }),
      { seed: 91, numRuns: 40 },
    )
  })

  it('gives the same bytes for every cut into tiles', () => {
    fc.assert(
      fc.property(layers, fc.integer({ min: 1, max: 1e6 }), (layer, cut) => {
        const whole = run(layer)
        expect(run(layer, cut)).toEqual(whole)
      }),
      { seed: 92, numRuns: 20 },
    )
  })
})

describe('harmonicFrame', () => {
  it('is a tight frame of unit vectors, equal to that of the twin', () => {
    for (const [count, dimension] of [
      [8, 2],
      [60, 10],
      [64, 16],
      [1024, 16],
    ] as const) {
      const basis = harmonicFrame(count, dimension)
      for (let k = 0; k < count; k++) {
        const expected = harmonicVector(k, count, dimension)
        for (let j = 0; j < dimension; j++) expect(basis[k * dimension + j]).toBeCloseTo(expected[j]!, 7)
      }
      for (let i = 0; i < dimension; i++) {
        for (let j = 0; j < dimension; j++) {
          let sum = 0
          for (let k = 0; k < count; k++) sum += basis[k * dimension + i]! * basis[k * dimension + j]!
          expect(sum).toBeCloseTo(i === j ? count / dimension : 0, 4)
        }
      }
    }
  })
})
