/**
 * The worker pool from outside: jobs in order, stopping, closing, and every way in which a worker can fail. A long job
 * would run for minutes, so a test that ends in time shows that it was stopped.
 */
import type { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { type Job, MAX_PHASES, type Task } from '#src/engine/job.js'
import { createPool, type Pool } from '#src/engine/pool.js'
import { GpfqError } from '#src/errors.js'
import { loadModule } from '#src/platform/init.js'
import { Arena } from '#src/wasm/arena.js'
import { padPlanes } from '#src/wasm/kernels.js'
import { longJob, ticks, tilesDone } from './longJob.js'

const MINUTES = MAX_PHASES // about one
const pools: Pool[] = []

async function open(threads: number): Promise<Pool> {
  const pool = await createPool(threads, await loadModule())
  pools.push(pool)
  return pool
}

/** A pool and its threads, as Node reports them. */
async function openWatched(threads: number): Promise<{ pool: Pool; workers: Worker[] }> {
  const workers: Worker[] = []
  const watch = (worker: Worker): void => void workers.push(worker)
  process.on('worker', watch)
  try {
    return { pool: await open(threads), workers }
  } finally {
    process.off('worker', watch)
  }
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()))
})

/** Copies `values` with a kernel and returns the copy. */
async function copy(pool: Pool, values: readonly number[]): Promise<number[]> {
  const arena = new Arena(pool.memory)
  const [source, target] = [arena.allocate(4 * values.length), arena.allocate(4 * values.length)]
  arena.floats(source, values.length).set(values)
  arena.floats(target, values.length).fill(0)
  const plane = {
    planes: values.length,
    height: 1,
    width: 1,
    paddedHeight: 1,
    paddedWidth: 1,
    top: 0,
    left: 0,
  }
  await pool.run([[{ ...padPlanes({ source, target, ...plane }), step: 1 }]])
  return [...arena.floats(target, values.length)]
}

const broken = (part: Partial<Task>): Job => [
  [{ kernel: 'mirror', args: [65536, 1], items: 1, step: 1, ...part }],
]

const failure = (code: string): { code: string; name: string } =>
  expect.objectContaining({ code, name: 'GpfqError' })

describe('run', () => {
  it.each([1, 2, 5])('runs every tile of a job on %i threads', async (threads) => {
    const pool = await open(threads)
    const values = Array.from({ length: 1000 }, (_, i) => i + 1)
    expect(await copy(pool, values)).toEqual(values)
    expect(pool.threads).toBe(threads)
  })

  it('starts a phase when the one before is complete', async () => {
    const pool = await open(3)
    const arena = new Arena(pool.memory)
    const length = 200
    const rows = Array.from({ length: 40 }, () => arena.allocate(4 * length))
    arena.floats(rows[0]!, length).set(Array.from({ length }, (_, i) => i))
    const plane = { planes: length, height: 1, width: 1, paddedHeight: 1, paddedWidth: 1, top: 0, left: 0 }
    const job = rows
      .slice(1)
      .map((target, i) => [{ ...padPlanes({ source: rows[i]!, target, ...plane }), step: 7 }])
    await pool.run(job)
    expect([...arena.floats(rows.at(-1)!, length)]).toEqual(Array.from({ length }, (_, i) => i))
  })

  it('accepts jobs without work', async () => {
    const pool = await open(2)
    await pool.run([])
    await pool.run([[], broken({ items: 0 })[0]!, []])
    expect(await copy(pool, [1, 2])).toEqual([1, 2])
  })

  it('runs jobs one after another in the order they were given', async () => {
    const pool = await open(2)
    const last = longJob(pool, 1)
    const order: number[] = []
    const jobs = [longJob(pool, 6), longJob(pool, 3), last]
    await Promise.all(jobs.map((job, n) => pool.run(job).then(() => order.push(n))))
    expect(order).toEqual([0, 1, 2])
    const { done, total } = tilesDone(pool, last, 2)
    expect(done).toBe(total)
  })

  it('starts a second job without waiting for the caller', async () => {
    const pool = await open(2)
    const jobs = [longJob(pool, 2), longJob(pool, 1)]
    const runs = jobs.map((job) => pool.run(job))
    await ticks(1) // both are posted now
    const deadline = performance.now() + 60_000
    const { total } = tilesDone(pool, jobs[1]!, 1)
    while (tilesDone(pool, jobs[1]!, 1).done < total) expect(performance.now()).toBeLessThan(deadline)
    await Promise.all(runs)
  })

  it('runs more phases than there are counters, all of them and in order', async () => {
    const pool = await open(2)
    const length = 2 * MAX_PHASES + 5
    const arena = new Arena(pool.memory)
    const chain = arena.allocate(4 * (length + 1)) // each phase copies what the one before has written
    arena.floats(chain, 1)[0] = 7
    const plane = { planes: 1, height: 1, width: 1, paddedHeight: 1, paddedWidth: 1, top: 0, left: 0 }
    const link = (at: number): Task =>
      padPlanes({ source: chain + 4 * at, target: chain + 4 * at + 4, ...plane })
    await pool.run(Array.from({ length }, (_, at) => [link(at)]))
    expect(arena.floats(chain, length + 1)[length]).toBe(7)
  })

  it('leaves the event loop free: timers run until one of them ends the job', async () => {
    const pool = await open(2)
    const stop = new AbortController()
    const run = pool.run(longJob(pool, MINUTES), { signal: stop.signal })
    void ticks(10).then(() => stop.abort(new Error('ten ticks')))
    await expect(run).rejects.toThrow('ten ticks')
  })
})

describe('an abort', () => {
  it('in the middle of a job rejects with its reason, skips the rest, and the pool still works', async () => {
    const pool = await open(2)
    const job = longJob(pool, MINUTES)
    const stop = new AbortController()
    const reason = { why: 'changed my mind' }
    const run = pool.run(job, { signal: stop.signal })
    while (tilesDone(pool, job).done === 0) await ticks(1)
    stop.abort(reason)
    await expect(run).rejects.toBe(reason)
    const { done, total } = tilesDone(pool, job)
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(total / 2)
    expect(await copy(pool, [4, 5, 6])).toEqual([4, 5, 6])
  })

  it('rejects when no thread runs a tile any more, of this job or the next', async () => {
    const pool = await open(2)
    const jobs = [longJob(pool, 3), longJob(pool, MINUTES), longJob(pool, MINUTES)]
    const stop = new AbortController()
    const runs = jobs.map((job) => pool.run(job, { signal: stop.signal }))
    while (tilesDone(pool, jobs[1]!, 1).done === 0) await ticks(1)
    await runs[0]
    // Posting the third job clears the counters of the first. Before that, an abort rejects the third at once.
    while (tilesDone(pool, jobs[2]!, 2).done > 0) await ticks(1)
    stop.abort(new Error('enough'))
    const done = (): number[] => [1, 2].map((nth) => tilesDone(pool, jobs[nth]!, nth).done)
    await expect(Promise.race(runs.slice(1))).rejects.toThrow('enough')
    const atOnce = done()
    await ticks(20)
    expect(done()).toEqual(atOnce)
    await expect(runs[1]).rejects.toThrow('enough')
    await expect(runs[2]).rejects.toThrow('enough')
  })

  it('before a job has its turn prevents its start', async () => {
    const pool = await open(2)
    const first = longJob(pool, 2)
    const second = longJob(pool, MINUTES)
    const stop = new AbortController()
    const running = pool.run(first)
    const waiting = pool.run(second, { signal: stop.signal })
    stop.abort(new Error('not needed'))
    await expect(waiting).rejects.toThrow('not needed')
    await running
    expect(tilesDone(pool, first)).toEqual({
      done: tilesDone(pool, first).total,
      total: tilesDone(pool, first).total,
    })
    await expect(pool.run(second, { signal: AbortSignal.abort(new Error('too late')) })).rejects.toThrow(
      'too late',
    )
  })
})

describe('a failure', () => {
  it('of a kernel that traps is WORKER_FAILED, for this job and all later ones', async () => {
    const pool = await open(3)
    await expect(pool.run(broken({ args: [2 ** 31, 2] }))).rejects.toEqual(failure('WORKER_FAILED'))
    await expect(copy(pool, [1])).rejects.toEqual(failure('WORKER_FAILED'))
  })

  it('of a task whose kernel does not exist names the kernel', async () => {
    const pool = await open(2)
    await expect(pool.run(broken({ kernel: 'divine' }))).rejects.toThrow(/"divine"/)
  })

  it('of one worker ends a job that the others could continue for minutes', async () => {
    const pool = await open(2)
    const job = longJob(pool, MINUTES)
    const trap = broken({ args: [2 ** 31, 2] })
    await expect(pool.run([...job.slice(0, 3), ...trap, ...job.slice(0, -5)])).rejects.toEqual(
      failure('WORKER_FAILED'),
    )
    expect(tilesDone(pool, job).done).toBeLessThan(tilesDone(pool, job).total / 2)
  })

  it.each([1, 2])(
    'of a thread that dies in the middle of a job on %i is an error, not a hang',
    async (threads) => {
      const { pool, workers } = await openWatched(threads)
      expect(workers.length).toBe(threads)
      const run = pool.run(longJob(pool, MINUTES))
      const waiting = copy(pool, [1])
      void ticks(5).then(() => workers[0]!.terminate())
      for (const outcome of await Promise.allSettled([run, waiting])) {
        expect(outcome).toEqual({ status: 'rejected', reason: failure('WORKER_FAILED') })
        expect(outcome).toEqual({ status: 'rejected', reason: expect.any(GpfqError) })
      }
    },
  )

  it('of a thread that dies while nothing runs is reported to the next job', async () => {
    const { pool, workers } = await openWatched(2)
    await workers[1]!.terminate()
    await expect(copy(pool, [1])).rejects.toEqual(failure('WORKER_FAILED'))
  })

  it('of an idle thread ends the others too, so that they keep no process alive', async () => {
    const { workers } = await openWatched(3)
    const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
    await workers[1]!.terminate()
    await Promise.all(exits)
  })

  it('of a module that does not start is WORKER_FAILED, and no thread is left', async () => {
    const workers: Worker[] = []
    const watch = (worker: Worker): void => void workers.push(worker)
    process.on('worker', watch)
    // A valid module whose import, a global, no worker provides.
    const empty = await WebAssembly.compile(
      Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, 8, 1, 1, 0x61, 1, 0x62, 3, 0x7f, 0),
    )
    const opened = createPool(2, empty)
    await expect(opened).rejects.toEqual(failure('WORKER_FAILED'))
    process.off('worker', watch)
    for (const worker of workers) expect(worker.threadId).toBe(-1)
  })

  it('leaves no thread behind', async () => {
    const { pool, workers } = await openWatched(3)
    const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
    await expect(pool.run(broken({ kernel: 'divine' }))).rejects.toEqual(failure('WORKER_FAILED'))
    await Promise.all(exits)
  })
})

describe('close', () => {
  it('stops a running job and the waiting ones, which are CLOSED, and ends every thread', async () => {
    const { pool, workers } = await openWatched(2)
    const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
    const jobs = [pool.run(longJob(pool, MINUTES)), pool.run(longJob(pool, MINUTES))]
    const outcomes = Promise.allSettled(jobs)
    await ticks(5)
    await pool.close()
    for (const outcome of await outcomes) {
      expect(outcome).toEqual({ status: 'rejected', reason: failure('CLOSED') })
    }
    await Promise.all(exits)
  })

  it('makes every later job CLOSED, and may be called again', async () => {
    const pool = await open(1)
    await pool.close()
    await expect(copy(pool, [1])).rejects.toEqual(failure('CLOSED'))
    await pool.close()
  })

  it('resolves for every caller, and only when the threads are gone', async () => {
    const { pool, workers } = await openWatched(2)
    void pool.close()
    await pool.close()
    for (const worker of workers) expect(worker.threadId).toBe(-1)
  })
})
