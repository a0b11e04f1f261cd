/**
 * The worker pool: n workers over one shared memory, jobs carried out one after another in the order they were given.
 * comlink carries one call a worker a job; tiles and stopping go through the control block (job.ts). The caller's thread
 * only awaits, so its event loop stays free.
 *
 * A worker that dies, and a kernel that traps, end the job with a WORKER_FAILED error and close the pool: its memory may
 * be half-written and its barriers short of a member.
 */

import { type Remote, releaseProxy, wrap } from 'comlink'
import type { WorkerApi } from '../../workers/carryOut.js'
import { GpfqError } from '../errors.js'
import { spawnWorker } from '../platform/init.js'
import { createMemory } from '../platform/memory.js'
import type { SpawnedWorker } from '../platform/worker.js'
import { CONTROL_BYTES, doneAt, type Job, MAX_PHASES, STOP } from './job.js'
import { closedError, createTurns } from './turns.js'

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
  const control = new Int32Array(memory.buffer, 0, CONTROL_BYTES / 4)

  let closed = false
  let failed: GpfqError | undefined
  let reportFailure: (error: GpfqError) => void = () => {}
  const failure = new Promise<never>((_, reject) => {
    reportFailure = reject
  })
  failure.catch(() => {}) // only ever observed through races

  const stop = (): void => {
    Atomics.store(control, STOP, 1)
    for (let phase = 0; phase < MAX_PHASES; phase++) Atomics.notify(control, doneAt(phase))
  }
  const fail = (reason: string): void => {
    if (failed !== undefined) return
    failed = new GpfqError(
      'WORKER_FAILED',
      `worker pool: expected ${threads} working workers, got one that failed (${reason}); create a new quantizer`,
    )
    stop()
    reportFailure(failed)
  }

  const members: Member[] = []
  const terminate = async (): Promise<void> => {
    for (const { remote } of members) remote[releaseProxy]()
    await Promise.all(members.splice(0).map(({ worker }) => worker.terminate()))
  }
  try {
    for (let number = 0; number < threads; number++) {
      const worker = await spawnWorker(fail)
      members.push({ worker, remote: wrap<WorkerApi>(worker.endpoint) })
    }
    await Promise.race([
      failure,
      Promise.all(members.map(({ remote }, n) => remote.init(module, memory, n, threads))),
    ])
  } catch (error) {
    await terminate()
    throw error
  }

  async function carryOut(job: Job, { signal }: RunOptions): Promise<void> {
    if (failed !== undefined) throw failed
    if (closed) throw closedError()
    signal?.throwIfAborted()
    control.fill(0)
    signal?.addEventListener('abort', stop)
    try {
      await Promise.race([failure, Promise.all(members.map(({ remote }) => remote.carryOut(job)))])
    } catch (error) {
      if (failed === undefined) fail(error instanceof Error ? error.message : String(error))
      await terminate()
      throw failed
    } finally {
      signal?.removeEventListener('abort', stop)
    }
    signal?.throwIfAborted()
    if (closed) throw closedError()
  }

  const turns = createTurns()
  return {
    threads,
    memory,
    run(job, options = {}) {
      if (closed) return Promise.reject(closedError())
      return turns.take(async () => {
        for (let at = 0; at === 0 || at < job.length; at += MAX_PHASES)
          await carryOut(job.slice(at, at + MAX_PHASES), options)
      })
    },
    async close() {
      if (closed) return
      closed = true
      stop()
      await turns.ended()
      await terminate()
    },
  }
}
