/**
 * H and G of rows that are divided by their norms, against the float64 product of the twin's rows: the sums, the codes that
 * follow from them, and the promises of every sum: the same bytes in any batches, on any threads, in any parts.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { merge, Observations, sumLayout } from '#src/methods/observations.js'
import { observe } from '#src/methods/observe.js'
import { entryAt } from '#src/methods/panelMatrix.js'
import { resolveRecipe } from '#src/methods/recipe.js'
import type { SampleShape } from '#src/methods/samplePlan.js'
import { solve } from '#src/methods/solve.js'
import { gramMatrix } from '#src/reference/gram.js'
import { weighed } from '#src/reference/sampleWeights.js'
import { expectSame } from '../arrays.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { randomFrom } from '../random.js'
import { batchesOf, type Dense, randomDense, requestFor, samplesOf } from './dense.js'
import { countNearTies, orderOf, withMatrices } from './twin.js'
import { gpfq } from './twins.js'

let engines: readonly OwnEngine[]
beforeAll(async () => {
  engines = await Promise.all([1, 2].map(createEngine))
})
afterAll(() => Promise.all(engines.map(({ pool }) => pool.close())))

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly same: boolean
  readonly seed: number
}

const cases: fc.Arbitrary<Case> = fc.record({
  rows: fc.integer({ min: 1, max: 900 }),
  inputs: fc.integer({ min: 1, max: 40 }),
  same: fc.boolean(),
  seed: fc.nat(),
})

/** A layer whose rows differ in size by six orders of magnitude. */
function layerOf({ rows, inputs, same, seed }: Case): Dense {
  const layer = randomDense(rows, inputs, 9, same, seed)
  const random = randomFrom(seed + 7)
  const sizes = Array.from({ length: rows }, () => 10 ** (6 * random() - 3))
  const sized = (x: Float32Array): Float32Array => x.map((v, i) => v * sizes[Math.floor(i / inputs)]!)
  return { ...layer, x: sized(layer.x), xq: layer.xq && sized(layer.xq) }
}

interface Way {
  readonly weighted?: boolean
  readonly means?: boolean
  readonly cut?: number
  readonly engine?: number
  readonly later?: boolean
}

function observed(layer: Dense, way: Way = {}): Promise<Observations> {
  const { weighted = true, means = false, cut = layer.rows, engine = 0, later = false } = way
  const shape: SampleShape = { ...samplesOf(layer, cut), wholeG: true, means, weighted, segmentRows: 256 }
  return observe(engines[engine]!, shape, batchesOf(layer, cut), { place: 'test', later })
}

describe('weighted rows', () => {
  it('are summed as the twin’s rows', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const layer = layerOf(given)
        const { rows, inputs, x, xq } = layer
        const { shape, sums } = await observed(layer)
        const { h, g } = sumLayout(shape)
        const [values] = sums.map((sum) => sum.values)
        const own = weighed(x, x, inputs)
        const other = xq === null ? own : weighed(x, xq, inputs)
        const compare = (offset: number, triangular: boolean, twin: Float64Array): void => {
          const layout = { groups: 1, inputs, triangular }
          for (let i = 0; i < inputs; i++) {
            for (let s = 0; s <= (triangular ? i : inputs - 1); s++) {
              const found = values![offset + entryAt(layout, 0, i, s)]!
              expect(Math.abs(found - twin[i * inputs + s]!)).toBeLessThanOrEqual(1e-5 * rows)
            }
          }
        }
        compare(h, true, gramMatrix(other, other, rows, inputs))
        if (xq !== null) compare(g, false, gramMatrix(other, own, rows, inputs))
      }),
      { seed: 291, numRuns: 40 },
    )
  })

  it('give the codes of the path on the twin’s rows', async () => {
    let [neurons, ties] = [0, 0]
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const layer = layerOf(given)
        const { rows, inputs, weights, x, xq } = layer
        const radius = { rule: 'max' } as const
        const request = requestFor(layer, { levels: 15, scalePer: 'neuron', radius })
        const recipe = resolveRecipe({ radius })
        const run = { recipe, place: 'test' }
        const { solutions } = await solve(engines[1]!, await observed(layer), [request], run)
        const twin = withMatrices(
          {
            ...{ inputs, neurons: 9, weights, samples: Float32Array.from(weighed(x, x, inputs)) },
            ...(xq && { quantizedSamples: Float32Array.from(weighed(x, xq, inputs)) }),
          },
          rows,
        )
        ties += countNearTies(twin, solutions[0]!, 15, orderOf(twin, false), gpfq)
        neurons += 9
      }),
      { seed: 292, numRuns: 40 },
    )
    expect(ties).toBeLessThan(0.03 * neurons)
  })

  it('give the same bytes in any batches, on any threads and in any parts', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.integer({ min: 1, max: 400 }), async (given, cut) => {
        const layer = layerOf({ ...given, rows: given.rows + 256 })
        const { inputs, x, xq } = layer
        const { bytes } = await observed(layer)
        expectSame((await observed(layer, { cut, engine: 1 })).bytes, bytes)
        const part = (from: number, to: number): Dense => {
          const of = (values: Float32Array): Float32Array => values.subarray(from * inputs, to * inputs)
          return { ...layer, rows: to - from, x: of(x), xq: xq && of(xq) }
        }
        const [first, second] = [
          await observed(part(0, 256)),
          await observed(part(256, layer.rows), { later: true, engine: 1 }),
        ]
        expectSame(merge(first, second).bytes, bytes)
        expectSame(Observations.from(bytes).bytes, bytes)
      }),
      { seed: 293, numRuns: 15 },
    )
  })

  it('leave the sums for bias correction as they are', async () => {
    for (const same of [true, false]) {
      const layer = layerOf({ rows: 700, inputs: 20, same, seed: 294 })
      const [weighted, plain] = [true, false].map((own) => observed(layer, { weighted: own, means: true }))
      const [a, b] = [(await weighted!).total(), (await plain!).total()]
      expectSame(a.means, b.means)
      expect(a.values).not.toEqual(b.values)
    }
  })

  it('are not merged with rows as they are', async () => {
    const layer = layerOf({ rows: 256, inputs: 8, same: true, seed: 295 })
    const [weighted, plain] = [await observed(layer), await observed(layer, { weighted: false })]
    expect(weighted.shape.weighted).toBe(true)
    expect(Observations.from(weighted.bytes).shape).toEqual(weighted.shape)
    expect(() => merge(weighted, plain)).toThrow(
      /observations, weighted: expected true in every part, got false/,
    )
  })

  it('of zeros count nothing', async () => {
    const layer = layerOf({ rows: 300, inputs: 12, same: false, seed: 296 })
    const silent = layer.x.map((v, i) => (Math.floor(i / 12) % 3 === 1 ? 0 : v))
    const heard = (values: Float32Array): Float32Array =>
      values.map((v, i) => (silent[i] === 0 && Math.floor(i / 12) % 3 === 1 ? 0 : v))
    const zeros = await observed({ ...layer, x: silent })
    const none = await observed({ ...layer, x: silent, xq: heard(layer.xq!) })
    expectSame(zeros.bytes, none.bytes)
  })
})
