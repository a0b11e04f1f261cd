/** The pool on the calling thread: the event loop must stay responsive, and it must stop in time and fail as the worker pool does. */
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { createInlinePool } from '#src/engine/inline.js'
import type { Job } from '#src/engine/job.js'
import type { Pool } from '#src/engine/pool.js'
import { longJob, ticks } from './longJob.js'

const MINUTES = 2000 // phases
const pools: Pool[] = []

async function open(): Promise<Pool> {
  const pool = await createInlinePool(new WebAssembly.Module(readFileSync('dist/gpfq.wasm')))
  pools.push(pool)
  return pool
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()))
})

describe('run', () => {
  it('lets timers run: one of them ends a job of minutes', async () => {
    const pool = await open()
    const stop = new AbortController()
    const run = pool.run(longJob(pool, MINUTES), { signal: stop.signal })
    void ticks(5).then(() => stop.abort(new Error('five ticks')))
    await expect(run).rejects.toThrow('five ticks')
  })

  it('stops within 100 ms of an abort', async () => {
    const pool = await open()
    const stop = new AbortController()
    const run = pool.run(longJob(pool, MINUTES), { signal: stop.signal })
    let aborted = 0
    setTimeout(() => {
      aborted = performance.now()
      stop.abort(new Error('enough'))
    }, 50)
    await expect(run).rejects.toThrow('enough')
    expect(performance.now() - aborted).toBeLessThan(100)
  })

  it('does not start a job whose signal is aborted already', async () => {
    const pool = await open()
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(pool.run(longJob(pool, 1), { signal })).rejects.toThrow('too late')
  })

  it('runs jobs one after another in the order they were given', async () => {
    const pool = await open()
    const order: number[] = []
    const jobs = [longJob(pool, 4), longJob(pool, 2), longJob(pool, 1)]
    await Promise.all(jobs.map((job, n) => pool.run(job).then(() => order.push(n))))
    expect(order).toEqual([0, 1, 2])
  })
})

describe('failure', () => {
  const trapping: Job = [[{ kernel: 'mirror', args: [2 ** 32 - 8, 64], items: 64, step: 1 }]]

  it('a trap is WORKER_FAILED, and so is every job after it', async () => {
    const pool = await open()
    await expect(pool.run(trapping)).rejects.toMatchObject({ code: 'WORKER_FAILED' })
    await expect(pool.run([])).rejects.toMatchObject({ code: 'WORKER_FAILED' })
  })

  it('closing ends a running job with CLOSED', async () => {
    const pool = await open()
    const run = pool.run(longJob(pool, MINUTES))
    run.catch(() => {})
    await ticks(3)
    await pool.close()
    await expect(run).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(pool.run([])).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
