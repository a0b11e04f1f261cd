/** Alphabets: every rule for the radius against its definition, computed directly for each scope. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  blockSizeOf,
  checkLevels,
  dequantize,
  GRID,
  nearestEven,
  scalesFor,
  type WeightShape,
  zeroPoint,
} from '#src/methods/alphabet.js'
import type { Radius, ScalePer } from '#src/options.js'
import { randomFrom, reals } from '../random.js'

interface Layer extends WeightShape {
  readonly levels: number
  readonly scalePer: ScalePer
  readonly weights: Float32Array
}

const layers = fc
  .record({
    groups: fc.integer({ min: 1, max: 3 }),
    inputs: fc.integer({ min: 1, max: 20 }),
    neurons: fc.integer({ min: 1, max: 6 }),
    levels: fc.integer({ min: 2, max: 256 }),
    scalePer: fc.oneof(
      fc.constantFrom('layer' as const, 'neuron' as const),
      fc.record({ group: fc.integer({ min: 1, max: 25 }) }),
    ),
    seed: fc.integer(),
  })
  .map(
    ({ seed, ...shape }): Layer => ({
      ...shape,
      weights: reals(shape.groups * shape.inputs * shape.neurons, seed),
    }),
  )

/** Weights of each scale's scope, in the order (groups, blocks, neurons); one list for all with `scalePer: 'layer'`. */
function scopes({ groups, inputs, neurons, scalePer, weights }: Layer): number[][] {
  const size = typeof scalePer === 'object' ? scalePer.group : inputs
  const all: number[][] = []
  for (let g = 0; g < groups; g++) {
    for (let first = 0; first < inputs; first += size) {
      for (let k = 0; k < neurons; k++) {
        const scope: number[] = []
        for (let t = first; t < Math.min(inputs, first + size); t++)
          scope.push(weights[(g * inputs + t) * neurons + k]!)
        all.push(scope)
      }
    }
  }
  return scalePer === 'layer' ? all.map(() => [...weights]) : all
}

const largest = (values: readonly number[]): number => Math.max(...values.map(Math.abs))
const step = (alpha: number, levels: number): number => Math.fround((2 * alpha) / (levels - 1))
const scalesOf = (layer: Layer, radius: Radius): number[] => [
  ...scalesFor(layer.weights, layer, layer.levels, layer.scalePer, radius).values,
]

/** Σ (w − A(w))² for values s·(code − z). */
function weightError(scope: readonly number[], alpha: number, levels: number): number {
  const s = (2 * alpha) / (levels - 1)
  const values = Array.from({ length: levels }, (_, code) => s * (code - (levels - 1) / 2))
  return scope.reduce((sum, w) => sum + Math.min(...values.map((value) => (w - value) ** 2)), 0)
}

describe('scalesFor', () => {
  it('max: the largest magnitude of the scope', () => {
    fc.assert(
      fc.property(layers, (layer) => {
        const expected = scopes(layer).map((scope) => step(largest(scope), layer.levels))
        expect(scalesOf(layer, { rule: 'max' })).toEqual(expected)
        expect(scalesOf(layer, { rule: 'search' })).toEqual(expected)
      }),
      { seed: 18 },
    )
  })

  it('value: that number', () => {
    fc.assert(
      fc.property(layers, (layer) => {
        const expected = scopes(layer).map(() => step(0.7, layer.levels))
        expect(scalesOf(layer, { rule: 'value', value: 0.7 })).toEqual(expected)
      }),
      { seed: 19 },
    )
  })

  it('median: factor times the median magnitude of the whole layer', () => {
    fc.assert(
      fc.property(layers, (layer) => {
        const sorted = [...layer.weights].map(Math.abs).sort((a, b) => a - b)
        const [low, high] = [sorted[(sorted.length - 1) >> 1]!, sorted[sorted.length >> 1]!]
        const expected = step((3 * (low + high)) / 2, layer.levels)
        for (const scale of scalesOf(layer, { rule: 'median', factor: 3 }))
          expect(scale / expected).toBeCloseTo(1, 6)
      }),
      { seed: 20 },
    )
  })

  it('mean-max: factor times the mean over neurons of the largest magnitude', () => {
    fc.assert(
      fc.property(layers, (layer) => {
        const columns = scopes({ ...layer, scalePer: 'neuron' }).map(largest)
        const mean = columns.reduce((sum, value) => sum + value, 0) / columns.length
        const expected = step(1.5 * mean, layer.levels)
        for (const scale of scalesOf(layer, { rule: 'mean-max', factor: 1.5 })) {
          expect(scale / expected).toBeCloseTo(1, 6)
        }
      }),
      { seed: 21 },
    )
  })

  it('mse: the fraction of the maximum with the least weight error, of the grid', () => {
    const few = layers.map((layer) => ({ ...layer, levels: 2 + (layer.levels % 15) }))
    fc.assert(
      fc.property(few, (layer) => {
        const scales = scalesOf(layer, { rule: 'mse' })
        scopes(layer).forEach((scope, i) => {
          const alpha = largest(scope)
          const errors = GRID.map((fraction) => weightError(scope, fraction * alpha, layer.levels))
          const at = GRID.findIndex((fraction) => step(fraction * alpha, layer.levels) === scales[i])
          expect(at).toBeGreaterThanOrEqual(0)
          expect(errors[at]).toBeLessThanOrEqual(Math.min(...errors) * (1 + 1e-9) + 1e-12)
        })
      }),
      { seed: 22, numRuns: 60 },
    )
  })

  it('gives a scope without weights a scale that can be divided by and whose values are negligible', () => {
    const shape = { groups: 1, inputs: 4, neurons: 3 }
    const weights = Float32Array.from({ length: 12 }, (_, i) => (i % 3 === 1 ? 0 : i - 5))
    for (const rule of ['max', 'mse', 'search'] as const) {
      for (const levels of [2, 15, 256]) {
        const { values } = scalesFor(weights, shape, levels, 'neuron', { rule })
        expect(values[1]).toBeGreaterThan(0)
        expect(values[1]! * levels).toBeLessThan(1e-12)
        expect(1 / values[1]!).toBeLessThan(2 ** 127)
      }
    }
    const { values } = scalesFor(new Float32Array(12), shape, 15, 'layer', { rule: 'median', factor: 2 })
    expect(values.every((scale) => scale > 0 && scale < 1e-12)).toBe(true)
  })

  it('gives weights too small for a float32 scale one that can be divided by', () => {
    const shape = { groups: 1, inputs: 2, neurons: 1 }
    for (const tiny of [2 ** -149, 2 ** -140, 2 ** -126]) {
      const { values } = scalesFor(Float32Array.of(tiny, -tiny), shape, 255, 'neuron', { rule: 'max' })
      expect(values[0]! * GRID[0]!).toBeGreaterThan(2 ** -126)
    }
  })

  it('cuts inputs into blocks, the last one shorter', () => {
    const shape = { groups: 2, inputs: 7, neurons: 2 }
    const { values, blocks, blockSize } = scalesFor(reals(28, 1), shape, 15, { group: 3 }, { rule: 'max' })
    expect([values.length, blocks, blockSize]).toEqual([2 * 3 * 2, 3, 3])
    expect(blockSizeOf({ group: 9 }, 7)).toBe(7)
    expect(blockSizeOf('layer', 7)).toBe(7)
  })
})

describe('GRID', () => {
  it('is .40, .45, … 1.00', () => {
    expect(GRID.map((fraction) => fraction.toFixed(2)).join(' ')).toBe(
      '0.40 0.45 0.50 0.55 0.60 0.65 0.70 0.75 0.80 0.85 0.90 0.95 1.00',
    )
  })
})

describe('nearestEven', () => {
  it('is the nearest integer, and of two equally near ones the even one', () => {
    expect([0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, 7, -7].map(nearestEven).map((x) => x + 0)).toEqual([
      0, 2, 2, 4, 0, -2, -2, 7, -7,
    ])
    fc.assert(
      fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), (x) => {
        const nearest = nearestEven(x)
        expect(Number.isInteger(nearest)).toBe(true)
        expect(Math.abs(nearest - x)).toBeLessThanOrEqual(0.5)
      }),
      { seed: 23 },
    )
  })
})

describe('dequantize', () => {
  it('gives scale·(code − zero) of each group, block and neuron', () => {
    fc.assert(
      fc.property(layers, (layer) => {
        const { groups, inputs, neurons, levels, scalePer } = layer
        const { values: scales, blockSize } = scalesFor(layer.weights, layer, levels, scalePer, {
          rule: 'max',
        })
        const random = randomFrom(inputs)
        const codes = Uint8Array.from(layer.weights, () => Math.floor(levels * random()))
        const zero = zeroPoint(levels)
        const values = dequantize({ codes, scales, blockSize, zero }, layer)
        let at = 0
        for (let g = 0; g < groups; g++) {
          for (let t = 0; t < inputs; t++) {
            for (let k = 0; k < neurons; k++, at++) {
              const row = g * Math.ceil(inputs / blockSize) + Math.floor(t / blockSize)
              expect(values[at]).toBe(
                Math.fround(scales[row * neurons + k]! * (codes[at]! - (levels - 1) / 2)),
              )
            }
          }
        }
      }),
      { seed: 24, numRuns: 50 },
    )
  })
})

describe('checkLevels', () => {
  it('accepts 2 to 256, and names the value that it refuses', () => {
    for (const levels of [2, 15, 256]) expect(() => checkLevels('levels', levels)).not.toThrow()
    for (const levels of [1, 257, 2.5, Number.NaN]) {
      expect(() => checkLevels('levels', levels)).toThrow(
        `levels: expected an integer from 2 to 256, got ${levels}`,
      )
      expect(() => checkLevels('levels', levels)).toThrow(RangeError)
    }
  })
})
