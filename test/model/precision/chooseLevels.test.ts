/** Mixed precision: the choice from tables alone, and the errors that the tables are made of. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveRecipe } from '#src/methods/recipe.js'
import {
  choosePrecision,
  type LayerOptions,
  type PrecisionOption,
} from '#src/model/precision/chooseLevels.js'
import { createEngine, type OwnEngine } from '../../engine/engine.js'
import { batchesOf, randomDense, requestFor } from '../../methods/dense.js'
import { observeAndSolve } from '../../methods/observeAndSolve.js'

/** Layers of 3 to 60 weights at 2 to 5 bits; errors fall about fourfold a bit, each layer from its own height. */
const tables = fc
  .array(
    fc.record({
      weights: fc.integer({ min: 3, max: 60 }),
      height: fc.double({ min: 1e-3, max: 1, noNaN: true }),
      falls: fc.array(fc.double({ min: 0.1, max: 0.9, noNaN: true }), { minLength: 3, maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((layers): LayerOptions[] =>
    layers.map(({ weights, height, falls }, i) => {
      let error = height
      const options = [2, 3, 4, 5].map((bits): PrecisionOption => {
        if (bits > 2) error *= falls[bits - 3]!
        return { levels: 2 ** bits - 1, cost: bits * weights, error }
      })
      return { name: `layer ${i}`, options }
    }),
  )

/** The best of all combinations within the budget. */
function exhaustive(layers: readonly LayerOptions[], budget: number): number {
  const [first, ...rest] = layers
  if (first === undefined) return budget >= 0 ? 0 : Number.POSITIVE_INFINITY
  return Math.min(...first.options.map(({ cost, error }) => error + exhaustive(rest, budget - cost)))
}

describe('choosePrecision', () => {
  it('stays within the budget, beats every uniform choice and comes near the best of all combinations', () => {
    const gaps: number[] = []
    fc.assert(
      fc.property(tables, fc.double({ min: 0, max: 1, noNaN: true }), (layers, share) => {
        const bound = (bits: number): number =>
          layers.reduce(
            (sum, { options }) => sum + options.find(({ levels }) => levels === 2 ** bits - 1)!.cost,
            0,
          )
        const budget = bound(2) + share * (bound(5) - bound(2))
        const plan = choosePrecision(layers, budget)
        const parts = [...plan.chosen.values()]
        expect(plan.cost).toBe(parts.reduce((sum, { cost }) => sum + cost, 0))
        expect(plan.cost).toBeLessThanOrEqual(budget)
        for (const bits of [2, 3, 4, 5]) {
          const uniform = layers.reduce((sum, { options }) => sum + options[bits - 2]!.error, 0)
          if (bound(bits) <= budget) expect(plan.error).toBeLessThanOrEqual(uniform + 1e-12)
        }
        gaps.push(plan.error / exhaustive(layers, budget) - 1)
      }),
      { seed: 101, numRuns: 300 },
    )
    gaps.sort((a, b) => a - b)
    expect(Math.min(...gaps)).toBeGreaterThan(-1e-9)
    expect(gaps[Math.floor(0.9 * gaps.length)]).toBeLessThan(0.01)
  })

  it('pays once for the table of each alphabet, and gives up alphabets whose tables cost more than they gain', () => {
    const gaps: number[] = []
    const once = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 4, maxLength: 4 })
    fc.assert(
      fc.property(tables, once, fc.double({ min: 0, max: 1, noNaN: true }), (layers, costs, share) => {
        const digits = new Map(costs.map((cost, i) => [2 ** (i + 2) - 1, cost]))
        const paidBy = (parts: readonly PrecisionOption[]): number =>
          [...new Set(parts.map(({ levels }) => levels))].reduce(
            (sum, levels) => sum + digits.get(levels)!,
            parts.reduce((sum, { cost }) => sum + cost, 0),
          )
        const at = (i: number): number => paidBy(layers.map(({ options }) => options[i]!))
        const budget = at(0) + share * Math.max(0, at(3) - at(0))
        const plan = choosePrecision(layers, budget, digits)
        expect(plan.cost).toBe(paidBy([...plan.chosen.values()]))
        expect(plan.cost).toBeLessThanOrEqual(budget)
        let best = Number.POSITIVE_INFINITY
        for (let code = 0; code < 4 ** layers.length; code++) {
          const parts = layers.map(({ options }, i) => options[Math.floor(code / 4 ** i) % 4]!)
          if (paidBy(parts) > budget) continue
          best = Math.min(
            best,
            parts.reduce((sum, { error }) => sum + error, 0),
          )
        }
        gaps.push(plan.error / best - 1)
      }),
      { seed: 104, numRuns: 300 },
    )
    gaps.sort((a, b) => a - b)
    expect(Math.min(...gaps)).toBeGreaterThan(-1e-9)
    expect(gaps[Math.floor(0.8 * gaps.length)]).toBeLessThan(0.05)
  })

  it('draws the curve from the cheapest alphabets to the largest', () => {
    fc.assert(
      fc.property(tables, (layers) => {
        const { curve } = choosePrecision(layers, Number.POSITIVE_INFINITY)
        for (const [i, point] of curve.slice(1).entries()) {
          expect(point.cost).toBeGreaterThan(curve[i]!.cost)
          expect(point.error).toBeLessThan(curve[i]!.error)
        }
        expect(curve[0]!.cost).toBe(layers.reduce((sum, { options }) => sum + options[0]!.cost, 0))
      }),
      { seed: 102, numRuns: 50 },
    )
  })

  it('leaves a layer with one option alone, and refuses a budget below the smallest alphabets', () => {
    const fixed = { name: 'fixed', options: [{ levels: 255, cost: 80, error: 0.5 }] }
    const free = {
      name: 'free',
      options: [3, 15].map((levels, i) => ({ levels, cost: 20 * (i + 1), error: 1 - i / 2 })),
    }
    const levelsAt = (budget: number) =>
      [...choosePrecision([fixed, free], budget).chosen.values()].map(({ levels }) => levels)
    expect(levelsAt(100)).toEqual([255, 3])
    expect(levelsAt(120)).toEqual([255, 15])
    expect(() => choosePrecision([fixed, free], 99)).toThrow(/budget: expected at least 100/)
  })
})

describe('solutions with their error from H', () => {
  let engine: OwnEngine
  beforeAll(async () => {
    engine = await createEngine(2)
  })
  afterAll(() => engine.pool.close())

  it('know from H alone the error that is measured on the samples', async () => {
    const layer = randomDense(300, 45, 21, true, 103)
    for (const options of [{}, { passes: 2 }, { method: 'qronos' as const }, { method: 'msq' as const }]) {
      for (const radius of [{ rule: 'max' as const }, { rule: 'search' as const }]) {
        for (const levels of [3, 255]) {
          const request = {
            ...requestFor(layer, { levels, scalePer: { group: 16 }, radius }),
            withError: true,
          }
          const recipe = resolveRecipe(options)
          const shape = {
            rows: layer.rows,
            inputs: layer.inputs,
            groups: 1,
            streamsEqual: true,
            batchBytes: 4 * layer.rows * layer.inputs,
            batchPaddedBytes: 0,
            batchRows: layer.rows,
          }
          const batches = () => batchesOf(layer, layer.rows)
          const result = await observeAndSolve(engine, shape, batches, [request], { recipe, measure: true })
          const fromH = result.solutions[0]!.relativeError!
          // 255 levels: an error of 10⁻⁵ of the signal's square is a difference of float32 sums.
          expect(fromH).toBeGreaterThan(0)
          expect(Math.abs(fromH ** 2 - result.relativeError! ** 2)).toBeLessThan(2e-6)
        }
      }
    }
  })
})
