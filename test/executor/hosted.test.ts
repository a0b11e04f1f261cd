/**
 * The quantizer in one worker, without the worker: host and page talk through a message channel, with everything that
 * travels cloned or handed over as between threads. Real workers: test/conformance, in browsers.
 */

import { MessageChannel } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '#src/engine/calls.js'
import { createPool } from '#src/engine/pool.js'
import { GpfqError } from '#src/errors.js'
import type { Executor } from '#src/executor/executor.js'
import { createHostApi, type PageApi } from '#src/executor/host.js'
import { createHosted } from '#src/executor/hosted.js'
import { createLocal } from '#src/executor/local.js'
import { Observations } from '#src/methods/observations.js'
import type { Batches } from '#src/methods/observeOptions.js'
import { GPFQ } from '#src/methods/recipe.js'
import type { SampleBatch } from '#src/methods/samples.js'
import { loadModule } from '#src/platform/init.js'
import { nodePort } from '#src/platform/nodeWorker.js'
import { batchesOf, type Dense, randomDense, requestFor } from '../methods/dense.js'
import { observeAndSolve, type Quantized, type Run } from '../methods/observeAndSolve.js'

let die: (reason: string) => void = () => {}
let executor: Executor

beforeEach(async () => {
  executor = await createHosted(await loadModule(), false, async (onFailure) => {
    const { port1, port2 } = new MessageChannel()
    connect<PageApi>(nodePort(port1), createHostApi)
    die = onFailure
    return { port: nodePort(port2), hold: () => {}, terminate: async () => port1.close() }
  })
})
afterEach(() => executor.close())

const CUT = 100 // rows of a batch
const alphabet = { levels: 15, scalePer: 'neuron', radius: { rule: 'search' } } as const

function quantize(
  on: Executor,
  layer: Dense,
  options: Run = {},
  batches: () => Batches = () => batchesOf(layer, CUT),
): Promise<Quantized> {
  const { rows, inputs, xq } = layer
  const shape = {
    ...{ rows, inputs, groups: 1, streamsEqual: xq === null },
    ...{ batchBytes: 4 * CUT * inputs, batchPaddedBytes: 0, batchRows: CUT },
  }
  return observeAndSolve(on, shape, batches, [requestFor(layer, alphabet)], options)
}

describe('what comes back', () => {
  it.each([true, false])('is what the pool gives, Xq = X: %s', async (same) => {
    const layer = randomDense(700, 60, 20, same, 1)
    const pool = createLocal('pool', await createPool(2, await loadModule()), false)
    try {
      const expected = await quantize(pool, layer, { measure: true })
      const got = await quantize(executor, layer, { measure: true })
      expect(got).toEqual(expected)
      expect(got.observations).toBeInstanceOf(Observations)
      expect(got.relativeError).toBeGreaterThan(0)
      expect(executor.peakMemoryBytes).toBeGreaterThan(0)
    } finally {
      await pool.close()
    }
  })

  it('leaves the caller’s arrays alone, and what lies beside them', async () => {
    const layer = randomDense(300, 40, 8, false, 2)
    const heap = new Float32Array(layer.x.length + 2000)
    heap.set(layer.x, 1000)
    const { x, xq, weights } = layer
    const { solutions } = await quantize(executor, { ...layer, x: heap.subarray(1000, 1000 + x.length) })
    expect(solutions).toEqual((await quantize(executor, layer)).solutions)
    expect([heap.length, xq?.length, weights.length]).toEqual([x.length + 2000, x.length, 320])
  })

  it('tells how far it is', async () => {
    const fractions: number[] = []
    await quantize(executor, randomDense(500, 40, 8, true, 3), {
      onProgress: (share) => fractions.push(share),
    })
    await expect.poll(() => fractions.at(-1)).toBe(1)
  })
})

describe('failure', () => {
  it('keeps the class and code of errors', async () => {
    const layer = randomDense(200, 20, 4, true, 4)
    layer.x[7] = Number.NaN
    const error = await quantize(executor, layer).catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(GpfqError)
    expect(error).toMatchObject({ code: 'INVALID_DATA', message: expect.stringContaining('test: ') })
  })

  it('passes a ridge on', async () => {
    const layer = randomDense(60, 40, 8, true, 12)
    const plain = await quantize(executor, layer)
    const [ridged] = (await quantize(executor, layer, { ridge: 5 })).solutions
    expect(ridged!.codes).not.toEqual(plain.solutions[0]!.codes)
    const damped = await quantize(executor, layer, { recipe: { ...GPFQ, damping: 5 } })
    expect(ridged).toEqual(damped.solutions[0])
  })

  it('hands on what reading a batch threw, itself', async () => {
    const layer = randomDense(200, 20, 4, true, 5)
    const mine = new RangeError('of my own')
    const error = await quantize(executor, layer, {}, async function* () {
      yield* batchesOf({ ...layer, rows: 100 }, CUT)
      throw mine
    }).catch((cause: unknown) => cause)
    expect(error).toBe(mine)
  })

  it('aborts with the signal’s reason, lets go of the batches, and can go on', async () => {
    const layer = randomDense(2000, 40, 8, true, 6)
    const stop = new AbortController()
    let given = 0
    let letGo = false
    async function* batches(): AsyncIterable<SampleBatch> {
      try {
        for (const batch of batchesOf(layer, CUT)) {
          if (++given === 5) stop.abort(new Error('enough'))
          yield batch
        }
      } finally {
        letGo = true
      }
    }
    await expect(quantize(executor, layer, { signal: stop.signal }, batches)).rejects.toThrow('enough')
    expect(given).toBeLessThan(10)
    await expect.poll(() => letGo).toBe(true)
    const { solutions } = await quantize(executor, layer)
    expect(solutions).toHaveLength(1)
  })

  it('a worker that dies is WORKER_FAILED, never a hang', async () => {
    const layer = randomDense(500, 40, 8, true, 7)
    const run = quantize(executor, layer, {}, async function* () {
      yield* batchesOf(layer, CUT)
      die('out of memory')
      await new Promise(() => {})
    })
    await expect(run).rejects.toMatchObject({
      code: 'WORKER_FAILED',
      message: expect.stringContaining('out of memory'),
    })
  })

  it('closing ends a call under way with CLOSED', async () => {
    const layer = randomDense(500, 40, 8, true, 8)
    const run = quantize(executor, layer, {}, async function* () {
      yield* batchesOf(layer, CUT)
      void executor.close()
      await new Promise(() => {})
    })
    await expect(run).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('after closing is CLOSED, and an abort has nothing to say any more', async () => {
    const layer = randomDense(500, 40, 8, true, 9)
    const stop = new AbortController()
    let started: () => void = () => {}
    const underWay = new Promise<void>((resolve) => {
      started = resolve
    })
    const run = quantize(executor, layer, { signal: stop.signal }, async function* () {
      started()
      yield* batchesOf(layer, CUT)
    })
    run.catch(() => {}) // awaited below
    await underWay
    const closing = executor.close()
    stop.abort()
    await expect(run).rejects.toMatchObject({ code: 'CLOSED' })
    await closing
    await expect(quantize(executor, layer)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('aborts without waiting for a batch that is slow to come', async () => {
    const layer = randomDense(500, 40, 8, true, 10)
    const stop = new AbortController()
    const run = quantize(executor, layer, { signal: stop.signal }, async function* () {
      yield* batchesOf({ ...layer, rows: 100 }, CUT)
      setTimeout(() => stop.abort(new Error('too slow')))
      await new Promise(() => {})
    })
    await expect(run).rejects.toThrow('too slow')
    expect((await quantize(executor, layer)).solutions).toHaveLength(1)
  })

  it('hands on what telling of progress threw, and tells nothing after the end', async () => {
    const layer = randomDense(500, 40, 8, true, 11)
    const mine = new Error('no such bar')
    const run = quantize(executor, layer, {
      onProgress() {
        throw mine
      },
    })
    await expect(run).rejects.toBe(mine)
    let told = 0
    await quantize(executor, layer, { onProgress: () => told++ })
    const before = told
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([before > 0, told]).toEqual([true, before])
  })
})
