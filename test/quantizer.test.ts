/** The public API of "gpfq": what a caller may rely on, defaults, results, and errors in words. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createQuantizer, type LayerProblem, type LayerResult, type Quantizer } from '#src/index.js'
import { gpfq, msq } from '#src/reference/gpfq.js'
import { expectSame } from './arrays.js'
import { large, problem } from './problems.js'

let quantizer: Quantizer
beforeAll(async () => {
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

/** ‖XW − XqQ‖ / ‖XW‖ in float64, over all neurons or one. */
function relativeError(layer: LayerProblem, result: LayerResult, only?: number): number {
  const { weights, inputs, neurons, samples, quantizedSamples = samples } = layer
  let [error2, signal2] = [0, 0]
  for (let r = 0; r < samples.length; r += inputs) {
    for (let k = only ?? 0; k < (only === undefined ? neurons : only + 1); k++) {
      let [y, quantized] = [0, 0]
      for (let t = 0; t < inputs; t++) {
        const scale = result.scales[Math.floor(t / result.blockSize) * neurons + k]!
        y += samples[r + t]! * weights[t * neurons + k]!
        quantized += quantizedSamples[r + t]! * scale * (result.codes[t * neurons + k]! - result.zero)
      }
      error2 += (y - quantized) ** 2
      signal2 += y * y
    }
  }
  return signal2 === 0 ? 0 : Math.sqrt(error2 / signal2)
}

const layers = fc.record({
  rows: fc.integer({ min: 2, max: 300 }),
  inputs: fc.integer({ min: 1, max: 60 }),
  neurons: fc.integer({ min: 1, max: 20 }),
  same: fc.boolean(),
  seed: fc.integer(),
})

describe('quantizeLayer', () => {
  it('has the documented defaults: 15 levels, gpfq, a scale a neuron found by search, the error measured', async () => {
    const layer = problem(200, 40, 10, false, 1)
    const result = await quantizer.quantizeLayer(layer)
    const explicit = await quantizer.quantizeLayer(layer, {
      levels: 15,
      method: 'gpfq',
      scalePer: 'neuron',
      radius: { rule: 'search' },
      measure: true,
    })
    expect({ ...result, seconds: 0 }).toEqual({ ...explicit, seconds: 0 })
    expect(result).toMatchObject({ zero: 7, blockSize: 40, deadInputs: 3 })
    expect([result.codes.length, result.scales.length]).toEqual([400, 10])
    expect(result.seconds).toBeGreaterThan(0)
  })

  it('reports the error that its codes and scales make, for odd and even alphabets and any number of neurons', async () => {
    const options = fc.record({
      levels: fc.integer({ min: 2, max: 256 }),
      method: fc.constantFrom('gpfq' as const, 'msq' as const),
      scalePer: fc.oneof(
        fc.constantFrom('layer' as const, 'neuron' as const),
        fc.record({ group: fc.integer({ min: 1, max: 70 }) }),
      ),
      radius: fc.constantFrom(
        { rule: 'max' as const },
        { rule: 'search' as const },
        { rule: 'mse' as const },
      ),
    })
    await fc.assert(
      fc.asyncProperty(layers, options, async ({ rows, inputs, neurons, same, seed }, chosen) => {
        const layer = problem(rows, inputs, neurons, same, seed)
        const result = await quantizer.quantizeLayer(layer, chosen)
        expect(Math.max(...result.codes)).toBeLessThan(chosen.levels)
        const expected = relativeError(layer, result)
        expect(Math.abs(result.relativeError! - expected)).toBeLessThanOrEqual(1e-5 * (1 + expected))
      }),
      { seed: 31, numRuns: 60 },
    )
  })

  it('says that an error is infinite where the float layer is silent and the quantized one is not', async () => {
    const silent = {
      weights: Float32Array.of(0.2, -0.1),
      inputs: 2,
      neurons: 1,
      samples: Float32Array.of(1, 2, 1, 2),
    }
    const result = await quantizer.quantizeLayer(silent, { levels: 3, radius: { rule: 'max' } })
    expect(result.relativeError).toBe(Number.POSITIVE_INFINITY)
    const nothing = { ...silent, weights: new Float32Array(2) }
    expect((await quantizer.quantizeLayer(nothing, { levels: 3 })).relativeError).toBe(0)
  })

  it('tells of progress that grows, measuring included, and ends at 1', async () => {
    for (const options of [{}, { measure: false }, { radius: { rule: 'max' } } as const]) {
      const told: number[] = []
      await quantizer.quantizeLayer(problem(70_000, 64, 8, false, 5), {
        ...options,
        onProgress: (fraction) => told.push(fraction),
      })
      expect(told).toEqual([...told].sort((a, b) => a - b))
      expect(told.indexOf(1)).toBe(told.length - 1)
    }
  })

  it('aborts a call that waits for its turn without waiting', async () => {
    const stop = new AbortController()
    const order: string[] = []
    const first = quantizer
      .quantizeLayer(problem(2000, 400, 100, true, 6), { method: 'qronos' })
      .then(() => order.push('first'))
    const second = quantizer.quantizeLayer(problem(20, 4, 1, true, 7), { signal: stop.signal })
    const third = quantizer.quantizeLayer(problem(20, 4, 1, true, 7))
    stop.abort(new Error('not needed'))
    await expect(second.finally(() => order.push('second'))).rejects.toThrow('not needed')
    await Promise.all([first, third])
    expect(order).toEqual(['second', 'first'])
  })

  it('chooses the reference’s codes wherever it is not near a boundary', async () => {
    await fc.assert(
      fc.asyncProperty(
        layers,
        fc.integer({ min: 2, max: 31 }),
        async ({ rows, inputs, neurons, same, seed }, levels) => {
          const layer = problem(rows, inputs, neurons, same, seed)
          const result = await quantizer.quantizeLayer(layer, { levels, radius: { rule: 'max' } })
          const { codes, margins } = gpfq({
            ...{ rows, inputs, neurons, levels },
            weights: layer.weights,
            samples: layer.samples,
            quantizedSamples: layer.quantizedSamples ?? layer.samples,
            scales: result.scales,
            blockSize: result.blockSize,
            zero: result.zero,
          })
          for (let k = 0; k < neurons; k++) {
            for (let t = 0; t < inputs && margins[t * neurons + k]! >= 1e-3; t++) {
              expect(result.codes[t * neurons + k], `input ${t} neuron ${k}`).toBe(codes[t * neurons + k])
            }
          }
        },
      ),
      { seed: 32, numRuns: 60 },
    )
  })

  it('rounds every weight with method msq, whatever the samples', async () => {
    const layer = problem(50, 30, 9, false, 2)
    const { codes, scales, deadInputs } = await quantizer.quantizeLayer(layer, {
      method: 'msq',
      levels: 6,
      radius: { rule: 'value', value: 1.5 },
    })
    expect(deadInputs).toBe(0)
    const { weights, inputs, neurons } = layer
    expectSame(codes, msq({ weights, inputs, neurons, levels: 6, scales, blockSize: 30, zero: 2.5 }))
  })

  it('is never worse with search than with max, neuron for neuron, for 1.00 is in the grid', async () => {
    await fc.assert(
      fc.asyncProperty(
        layers,
        fc.integer({ min: 2, max: 16 }),
        fc.boolean(),
        async (drawn, levels, actOrder) => {
          const { rows, inputs, neurons, same, seed } = drawn
          const layer = problem(rows, inputs, neurons, same, seed)
          const [search, max] = [
            await quantizer.quantizeLayer(layer, { levels, radius: { rule: 'search' }, actOrder }),
            await quantizer.quantizeLayer(layer, { levels, radius: { rule: 'max' }, actOrder }),
          ]
          for (let k = 0; k < neurons; k++) {
            const bound = relativeError(layer, max, k)
            expect(relativeError(layer, search, k)).toBeLessThanOrEqual(bound + 1e-3 * (bound + 0.01))
          }
        },
      ),
      { seed: 33, numRuns: 40 },
    )
  })

  it('counts dead inputs and does without samples for their weights', async () => {
    const layer = problem(60, 27, 4, true, 3)
    const result = await quantizer.quantizeLayer(layer, { radius: { rule: 'max' } })
    expect(result.deadInputs).toBe(2)
    const plain = await quantizer.quantizeLayer(layer, { radius: { rule: 'max' }, method: 'msq' })
    for (const dead of [12, 25]) {
      expectSame(result.codes.slice(4 * dead, 4 * dead + 4), plain.codes.slice(4 * dead, 4 * dead + 4))
    }
  })

  it('does not measure when told not to', async () => {
    const result = await quantizer.quantizeLayer(problem(20, 5, 3, true, 4), { measure: false })
    expect(result.relativeError).toBeNull()
  })

  it('leaves its arguments as they are', async () => {
    const layer = problem(40, 12, 5, false, 5)
    const copy = structuredClone(layer)
    await quantizer.quantizeLayer(layer)
    expect(layer).toEqual(copy)
  })

  it('takes layers one after another when they are asked for at once', async () => {
    const all = [6, 7, 8].map((seed) => problem(100 + seed, 20 + seed, seed, false, seed))
    const apart: LayerResult[] = []
    for (const layer of all) apart.push(await quantizer.quantizeLayer(layer))
    const together = await Promise.all(all.map((layer) => quantizer.quantizeLayer(layer)))
    together.forEach((result, i) => {
      expectSame(result.codes, apart[i]!.codes)
      expect(result.relativeError).toBe(apart[i]!.relativeError)
    })
  })

  it('copes with a single number, with weights that are all zero and with samples that are', async () => {
    const one = await quantizer.quantizeLayer({
      weights: Float32Array.of(0.5),
      inputs: 1,
      neurons: 1,
      samples: Float32Array.of(2),
    })
    expect(one).toMatchObject({ relativeError: 0, deadInputs: 0 })
    for (const levels of [15, 16]) {
      const zeros = await quantizer.quantizeLayer(
        { weights: new Float32Array(6), inputs: 3, neurons: 2, samples: Float32Array.of(1, 2, 3, 4, 5, 6) },
        { levels },
      )
      expect(zeros.scales.every((scale) => scale > 0 && scale < 1e-12)).toBe(true)
      const silent = await quantizer.quantizeLayer(
        { weights: Float32Array.of(1, 2, 3), inputs: 3, neurons: 1, samples: new Float32Array(9) },
        { levels },
      )
      expect(silent).toMatchObject({ relativeError: 0, deadInputs: 3 })
    }
  })
})

describe('progress and abort', () => {
  it('reports progress from 0 to 1, never backwards', async () => {
    const fractions: number[] = []
    await quantizer.quantizeLayer(large(2000, 3000, 16), {
      onProgress: (fraction) => fractions.push(fraction),
    })
    expect(fractions.length).toBeGreaterThan(2)
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(fractions[0]).toBeGreaterThan(0)
    expect(fractions.at(-1)).toBe(1)
  })

  it('rejects with the signal’s reason and can go on', async () => {
    const layer = large(2000, 1500, 64)
    const stop = new AbortController()
    const reason = new Error('changed my mind')
    const run = quantizer.quantizeLayer(layer, { signal: stop.signal, onProgress: () => stop.abort(reason) })
    await expect(run).rejects.toBe(reason)
    await expect(quantizer.quantizeLayer(layer, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect((await quantizer.quantizeLayer(problem(10, 4, 3, true, 1))).codes.length).toBe(12)
  })
})

describe('close', () => {
  it('ends a running layer as CLOSED and every later one', async () => {
    const own = await createQuantizer({ threads: 2 })
    const layer = large(2000, 1500, 64)
    let close: Promise<void> | undefined
    const run = own.quantizeLayer(layer, {
      onProgress: () => {
        close ??= own.close()
      },
    })
    await expect(run).rejects.toMatchObject({ code: 'CLOSED' })
    await close
    await expect(own.quantizeLayer(layer)).rejects.toMatchObject({ code: 'CLOSED' })
    await own.close()
  })

  it('is what leaving a block does that awaits the quantizer’s disposal', async () => {
    const own = await createQuantizer({ threads: 1 })
    await own[Symbol.asyncDispose]()
    await expect(own.quantizeLayer(problem(10, 4, 3, true, 1))).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('a quantizer', () => {
  it('knows its threads and the most memory it had in use', async () => {
    const own = await createQuantizer({ threads: 3 })
    expect(own.threads).toBe(3)
    await own.quantizeLayer(problem(10, 4, 3, true, 1))
    const small = own.peakMemoryBytes
    await own.quantizeLayer(problem(1000, 300, 30, false, 1))
    const peak = own.peakMemoryBytes
    // At least both streams, packed once.
    expect(peak).toBeGreaterThan(small + 2 * 4 * 1000 * 300)
    await own.quantizeLayer(problem(10, 4, 3, true, 1))
    expect(own.peakMemoryBytes).toBe(peak)
    await own.close()
  })
})
