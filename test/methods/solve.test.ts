/** Solving layers on observations: several at once, the search for scales, errors, and memory that is released. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CONTROL_BYTES } from '#src/engine/job.js'
import { GRID, zeroPoint } from '#src/methods/alphabet.js'
import { GPFQ } from '#src/methods/recipe.js'
import { denseGather, type SampleBatch } from '#src/methods/samples.js'
import type { SolveRequest } from '#src/methods/solution.js'
import { gpfq } from '#src/reference/gpfq.js'
import { expectSame } from '../arrays.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { reals } from '../random.js'
import { type Alphabet, type Dense, randomDense, requestFor, samplesOf, solve } from './dense.js'
import { observeAndSolve } from './observeAndSolve.js'

let engine: OwnEngine
beforeAll(async () => {
  engine = await createEngine(2)
})
afterAll(() => engine.pool.close())

/** Output error of every neuron for given scales (blocks, neurons), by the float64 reference. */
function errorsOf(layer: Dense, { levels, scales }: SolveRequest, values: Float32Array): number[] {
  const { rows, inputs, neurons, weights, x, xq } = layer
  return Array.from({ length: neurons }, (_, k) => {
    const column = (source: Float32Array): Float32Array => source.filter((_, i) => i % neurons === k)
    const w = column(weights)
    const { relativeError } = gpfq({
      ...{ rows, inputs, levels },
      neurons: 1,
      weights: w,
      samples: x,
      quantizedSamples: xq ?? x,
      scales: column(values),
      blockSize: scales.blockSize,
      zero: zeroPoint(levels),
    })
    let signal2 = 0
    for (let r = 0; r < rows; r++) signal2 += w.reduce((sum, v, t) => sum + v * x[r * inputs + t]!, 0) ** 2
    return relativeError ** 2 * signal2
  })
}

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)

describe('the search', () => {
  const drawn = fc.record({
    rows: fc.integer({ min: 20, max: 120 }),
    inputs: fc.integer({ min: 1, max: 40 }),
    neurons: fc.integer({ min: 1, max: 12 }),
    same: fc.boolean(),
    levels: fc.integer({ min: 2, max: 20 }),
    group: fc.integer({ min: 1, max: 40 }),
    seed: fc.integer(),
  })

  it('finds the fraction of the grid with the least output error, for each neuron or for the layer', async () => {
    const per = fc.constantFrom('neuron' as const, 'layer' as const, 'group' as const)
    await fc.assert(
      fc.asyncProperty(drawn, per, async ({ rows, inputs, neurons, same, levels, group, seed }, scope) => {
        const scalePer = scope === 'group' ? { group } : scope
        const layer = randomDense(rows, inputs, neurons, same, seed)
        const request = requestFor(layer, { levels, scalePer, radius: { rule: 'search' } })
        // With thresholds, here λ = 0, all blocks of a neuron have one fraction: the path does not choose them.
        const recipe = scope === 'group' ? { ...GPFQ, sparsity: { rule: 'hard' as const, value: 0 } } : GPFQ
        const { solutions } = await solve(engine, layer, [request], { recipe })
        const found = errorsOf(layer, request, solutions[0]!.scales)
        const tried = GRID.map((fraction) => {
          return errorsOf(
            layer,
            request,
            request.scales.values.map((scale) => scale * fraction),
          )
        })
        // float32 sums can distinguish errors that differ by more than this share of ‖Xw‖², which is of the order of N.
        const slack = 1e-5 * rows * inputs
        const columns = Array.from({ length: neurons }, (_, k) => k)
        if (scope === 'layer') {
          expect(total(found)).toBeLessThanOrEqual(Math.min(...tried.map(total)) + neurons * slack)
          const factors = solutions[0]!.scales.map((scale, i) => scale / request.scales.values[i]!)
          expect(new Set(factors.map((factor) => Math.round(1e4 * factor))).size).toBe(1)
        } else {
          for (const k of columns) {
            expect(found[k]).toBeLessThanOrEqual(Math.min(...tried.map((errors) => errors[k]!)) + slack)
          }
        }
        solutions[0]!.scales.forEach((scale, i) => {
          const factor = scale / request.scales.values[i]!
          expect(GRID.some((fraction) => Math.abs(fraction - factor) < 1e-6)).toBe(true)
        })
      }),
      { seed: 29, numRuns: 25 },
    )
  })
})

describe('several layers on the same samples', () => {
  it.each(['search', 'max'] as const)(
    'get the codes that each gets alone, with the radius by %s',
    async (rule) => {
      const wide = randomDense(300, 50, 30, false, 5)
      const narrow = { ...wide, neurons: 11, weights: reals(50 * 11, 8) }
      const all: [Dense, Alphabet][] = [
        [wide, { levels: 15, scalePer: 'neuron', radius: { rule } }],
        [narrow, { levels: 3, scalePer: { group: 16 }, radius: { rule } }],
        [wide, { levels: 256, scalePer: 'layer', radius: { rule: 'max' } }],
        [narrow, { levels: 4, scalePer: 'layer', radius: { rule } }],
      ]
      const requests = all.map(([layer, alphabet]) => requestFor(layer, alphabet))
      const together = await solve(engine, wide, requests)
      for (const [i, [layer]] of all.entries()) {
        const alone = await solve(engine, layer, [requests[i]!])
        expectSame(together.solutions[i]!.codes, alone.solutions[0]!.codes, `layer ${i}: code`)
        expectSame(together.solutions[i]!.scales, alone.solutions[0]!.scales, `layer ${i}: scale`)
      }
    },
  )

  it('are measured by the first of them', async () => {
    const layer = randomDense(200, 30, 9, false, 6)
    const other = { ...layer, neurons: 20, weights: reals(600, 12) }
    const alphabet: Alphabet = { levels: 7, scalePer: 'neuron', radius: { rule: 'max' } }
    const requests = [requestFor(layer, alphabet), requestFor(other, { ...alphabet, levels: 3 })]
    const alone = await solve(engine, layer, requests.slice(0, 1), { measure: true })
    const together = await solve(engine, layer, requests, { measure: true })
    expect(together.relativeError).toBe(alone.relativeError)
  })
})

describe('memory', () => {
  it('is released after a success and after an error', async () => {
    const layer = randomDense(100, 20, 5, false, 7)
    const request = requestFor(layer, { levels: 15, scalePer: 'neuron', radius: { rule: 'max' } })
    const used = (): number => engine.arena.mark()
    const before = used()
    await solve(engine, layer, [request], { measure: true })
    expect(used()).toBe(before)
    const spoiled = { ...layer, x: layer.x.map((value, i) => (i === 37 ? Number.NaN : value)) }
    await expect(solve(engine, spoiled, [request])).rejects.toMatchObject({ code: 'INVALID_DATA' })
    expect(used()).toBe(before)
    await expect(
      solve(engine, layer, [request], { signal: AbortSignal.abort(new Error('no')) }),
    ).rejects.toThrow('no')
    expect(used()).toBe(before)
    expect(before).toBeGreaterThanOrEqual(CONTROL_BYTES)
  })

  it('left by one layer has no effect on the next', async () => {
    const layer = randomDense(70, 21, 6, false, 9)
    const request = requestFor(layer, { levels: 15, scalePer: 'neuron', radius: { rule: 'search' } })
    const fresh = await createEngine(1)
    const clean = await solve(fresh, layer, [request], { measure: true })
    await fresh.pool.close()
    engine.arena
      .bytes(engine.arena.mark(), engine.pool.memory.buffer.byteLength - engine.arena.mark())
      .fill(0xff)
    const dirty = await solve(engine, layer, [request], { measure: true })
    expectSame(dirty.solutions[0]!.codes, clean.solutions[0]!.codes)
    expect(dirty.relativeError).toBe(clean.relativeError)
  })
})

describe('an abort', () => {
  it('between batches ends it with the signal’s reason', async () => {
    const layer = randomDense(400, 30, 8, false, 11)
    const request = requestFor(layer, { levels: 15, scalePer: 'neuron', radius: { rule: 'search' } })
    const stop = new AbortController()
    const fractions: number[] = []
    const onProgress = (fraction: number): void => {
      fractions.push(fraction)
      if (fractions.length === 3) stop.abort(new Error('enough'))
    }
    const run = solve(engine, layer, [request], { cut: 40, signal: stop.signal, onProgress })
    await expect(run).rejects.toThrow('enough')
    expect(fractions.length).toBeLessThan(6)
    const { solutions } = await solve(engine, layer, [request])
    expect(solutions.length).toBe(1)
  })

  it('inside the source of samples reaches the caller', async () => {
    const layer = randomDense(50, 5, 2, true, 12)
    function* broken(): Iterable<SampleBatch> {
      yield { x: layer.x.subarray(0, 50), xq: null, gather: denseGather(10, 5) }
      throw new Error('the disk is gone')
    }
    const request = requestFor(layer, { levels: 15, scalePer: 'neuron', radius: { rule: 'max' } })
    const before = engine.arena.mark()
    await expect(observeAndSolve(engine, samplesOf(layer, 10), broken, [request])).rejects.toThrow(
      'the disk is gone',
    )
    expect(engine.arena.mark()).toBe(before)
  })
})
