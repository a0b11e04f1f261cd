/**
 * The worker pool: n workers over one shared memory, jobs carried out one after another in the order they were given.
 * comlink carries one call a worker a job; tiles and stopping go through control blocks (job.ts). The caller's thread
 * only awaits, so its event loop stays free.
 *
 * Two jobs are with the workers at a time, so that the second begins without the caller where it follows the first. A job
 * has ended when one worker says so: by then all tiles are done, and a worker that comes late finds none.
 *
 * A worker that dies, and a kernel that traps, end the job with a WORKER_FAILED error and close the pool: its memory may
 * be half-written and its barriers short of a member.
 */

import { type Remote, releaseProxy, wrap } from 'comlink'
import type { GpfqError } from '../errors.js'
import { spawnWorker } from '../platform/init.js'
import { createMemory } from '../platform/memory.js'
import type { SpawnedWorker } from '../platform/worker.js'
import { createAlarm, workerFailed } from './alarm.js'
import { CONTROL_BYTES, controlBlocks, type Job, MAX_PHASES, STOP } from './job.js'
import { closedError, createTurns } from './turns.js'
import type { WorkerApi } from './worker.js'

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
}

export interface Pool {
  readonly threads: number
  readonly memory: WebAssembly.Memory
  run(job: Job, options?: RunOptions): Promise<void>
  close(): Promise<void>
}

interface Member {
  readonly worker: SpawnedWorker
  readonly remote: Remote<WorkerApi>
}

export async function createPool(threads: number, module: WebAssembly.Module): Promise<Pool> {
  const memory = createMemory(CONTROL_BYTES / 65536)
  const blocks = controlBlocks(memory)
  /** When no worker looks at a block any more. */
  const idle: Promise<unknown>[] = blocks.map(() => Promise.resolve())

  const alarm = createAlarm()
  let closed = false
  let failed: GpfqError | undefined

  const stop = (...controls: Int32Array[]): void => {
    for (const control of controls) Atomics.store(control, STOP, 1)
  }
  const fail = (reason: unknown): void => {
    failed ??= workerFailed(reason)
    stop(...blocks)
    alarm.raise(failed)
    void terminate()
  }

  const members: Member[] = []
  let terminated: Promise<unknown> = Promise.resolve()
  function terminate(): Promise<unknown> {
    const ends = members.splice(0).map(({ remote, worker }) => {
      remote[releaseProxy]()
      return worker.terminate()
    })
    terminated = Promise.all([terminated, ...ends])
    return terminated
  }
  try {
    for (let number = 0; number < threads; number++) {
      const worker = await spawnWorker(fail)
      members.push({ worker, remote: wrap<WorkerApi>(worker.endpoint) })
    }
    const begun = members.map(({ remote }, n) => remote.init(module, memory, n, threads))
    await alarm.race(Promise.all(begun)).catch((error) => {
      fail(error)
      throw failed
    })
  } catch (error) {
    await terminate()
    throw error
  }

  const check = (signal: AbortSignal | undefined): void => {
    if (failed !== undefined) throw failed
    if (closed) throw closedError()
    signal?.throwIfAborted()
  }

  let turn = 0

  /** Gives a job to the workers as soon as they have room for it. */
  async function post(job: Job, { signal }: RunOptions): Promise<{ readonly end: Promise<void> }> {
    const block = turn
    const control = blocks[block]!
    await alarm.race(idle[block]!)
    check(signal)
    control.fill(0)
    const answers = members.map(({ remote }) => remote.carryOut(job, block))
    turn = 1 - turn
    idle[block] = Promise.allSettled(answers)
    return { end: endOf(answers, control, signal) }
  }

  async function endOf(
    answers: readonly Promise<void>[],
    control: Int32Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const abort = (): void => stop(control)
    signal?.addEventListener('abort', abort)
    try {
      await alarm.race(Promise.race(answers))
      // Stopped workers leave while others may still be at a tile, of this job or the next.
      if (Atomics.load(control, STOP) !== 0) await alarm.race(Promise.all([...answers, ...idle]))
    } catch (error) {
      fail(error)
      await terminate()
      throw failed
    } finally {
      signal?.removeEventListener('abort', abort)
    }
    check(signal)
  }

  const turns = createTurns()

  async function run(job: Job, options: RunOptions = {}): Promise<void> {
    const posted = turns.take(() => post(job.slice(0, MAX_PHASES), options))
    const rest = job.slice(MAX_PHASES)
    await Promise.all([posted.then(({ end }) => end), rest.length > 0 && run(rest, options)])
  }

  return {
    threads,
    memory,
    run,
    async close() {
      closed = true
      stop(...blocks)
      await turns.ended()
      await alarm.race(Promise.all(idle)).catch(() => {})
      await terminate()
    },
  }
}
