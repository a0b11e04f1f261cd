/**
 * Promise 1: the same bytes for any number of threads and any cut of the samples into batches. Random layers, every
 * kind of alphabet, segments of any length: codes, scales and the measured error must be equal to the last bit.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pieceBlocksOf } from '#src/methods/samplePlan.js'
import { expectSame } from '../arrays.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { randomDense, requestFor, samplesOf, solve } from './dense.js'
import type { Quantized } from './observeAndSolve.js'

const THREADS = [1, 2, 3, 8]
let engines: OwnEngine[]
beforeAll(async () => {
  engines = await Promise.all(THREADS.map(createEngine))
})
afterAll(async () => {
  await Promise.all(engines.map(({ pool }) => pool.close()))
})

const layers = fc.record({
  rows: fc.integer({ min: 1, max: 700 }),
  inputs: fc.integer({ min: 1, max: 200 }),
  neurons: fc.integer({ min: 1, max: 70 }),
  same: fc.boolean(),
  levels: fc.integer({ min: 2, max: 256 }),
  scalePer: fc.oneof(
    fc.constantFrom('layer' as const, 'neuron' as const),
    fc.record({ group: fc.integer({ min: 1, max: 64 }) }),
  ),
  rule: fc.constantFrom('max' as const, 'search' as const),
  segmentRows: fc.constantFrom(64, 100, 256, 300, 512, 4096),
  seed: fc.integer(),
})

function expectEqual(actual: Quantized, expected: Quantized): void {
  expectSame(actual.solutions[0]!.codes, expected.solutions[0]!.codes, 'code')
  expectSame(actual.solutions[0]!.scales, expected.solutions[0]!.scales, 'scale')
  expect(actual.relativeError).toBe(expected.relativeError)
  expect(actual.deadInputs).toBe(expected.deadInputs)
}

describe('observe and solve', () => {
  it('gives the same bytes for any number of threads and any cut into batches', async () => {
    await fc.assert(
      fc.asyncProperty(layers, fc.integer({ min: 1, max: 700 }), async (drawn, cut) => {
        const { rows, inputs, neurons, same, levels, scalePer, rule, segmentRows, seed } = drawn
        const layer = randomDense(rows, inputs, neurons, same, seed)
        const request = requestFor(layer, { levels, scalePer, radius: { rule } })
        const options = { measure: true, segmentRows }
        const expected = await solve(engines[0]!, layer, [request], options)
        expect(expected.deadInputs).toBeGreaterThanOrEqual(Math.floor(inputs / 13))
        for (const engine of engines.slice(1))
          expectEqual(await solve(engine, layer, [request], options), expected)
        // At least 7 rows in a batch, so that no run has hundreds of jobs.
        const pieces = { ...options, cut: Math.max(7, cut) }
        expectEqual(await solve(engines[1]!, layer, [request], pieces), expected)
      }),
      { seed: 28, numRuns: 40 },
    )
  })

  it('gives the same bytes when samples do not fit into the panels at once', async () => {
    // The rows are more than the packed samples have room for.
    const layer = randomDense(140_000, 16, 5, false, 3)
    const request = requestFor(layer, { levels: 15, scalePer: 'neuron', radius: { rule: 'search' } })
    const options = { measure: true }
    const expected = await solve(engines[0]!, layer, [request], options)
    expect(pieceBlocksOf(samplesOf(layer)) * 256).toBeLessThan(layer.rows)
    for (const cut of [100_000, 33_333]) {
      expectEqual(await solve(engines[1]!, layer, [request], { ...options, cut }), expected)
    }
  })
})
