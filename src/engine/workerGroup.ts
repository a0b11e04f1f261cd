/**
 * The worker threads of a pool: started together, ended together. If one of them dies or a kernel traps, all are ended:
 * the shared memory may hold partial results, and the other workers would wait for tiles that the failed one never
 * completes.
 */

import { GpfqError, isDescribed } from '../errors.js'
import { spawnWorker } from '../platform/init.js'
import type { SpawnedWorker } from '../platform/worker.js'
import { awaitStart, createAlarm, workerFailed } from './alarm.js'
import { type Connection, connect, type Remote } from './calls.js'
import type { WorkerApi } from './worker.js'

interface PoolWorker {
  readonly worker: SpawnedWorker
  readonly remote: Connection<WorkerApi>
}

export interface WorkerGroup {
  /** The first failure, if there was one. */
  readonly failure: GpfqError | undefined
  /** Call the workers; none are left after the end. */
  remotes(): Remote<WorkerApi>[]
  /** Settles as `work` does, or rejects with the failure of a worker if that is known first. */
  race<T>(work: Promise<T>): Promise<T>
  /** Whether the workers keep the process alive: while a job runs. */
  hold(busy: boolean): void
  /**
   * Records a failure, unless there was one before, and ends all workers. Returns the first failure.
   * @param reason an error of this library as it is, anything else as WORKER_FAILED
   */
  fail(reason: unknown): GpfqError
  /** Ends all workers. Resolves when every thread is gone, also when it is called again. */
  terminate(): Promise<unknown>
}

/**
 * Starts the workers and instantiates the kernels in each.
 * @param stop called at a failure, before the workers are ended
 * @throws GpfqError WORKER_FAILED if one of them does not start; the others are then gone
 */
export async function startWorkers(
  threads: number,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stop: () => void,
): Promise<WorkerGroup> {
  const workers: PoolWorker[] = []
  const alarm = createAlarm()
  let failure: GpfqError | undefined
  let terminated: Promise<unknown> = Promise.resolve()

  function terminate(): Promise<unknown> {
    const ends = workers.splice(0).map(({ worker, remote }) => {
      remote.release()
      return worker.terminate()
    })
    terminated = Promise.all([terminated, ...ends])
    return terminated
  }

  function hold(busy: boolean): void {
    for (const { worker } of workers) worker.hold(busy)
  }

  function fail(reason: unknown): GpfqError {
    failure ??= reason instanceof GpfqError ? reason : workerFailed(reason)
    stop()
    alarm.raise(failure)
    void terminate()
    return failure
  }

  async function start(): Promise<void> {
    for (let number = 0; number < threads; number++) {
      const worker = await spawnWorker(fail)
      workers.push({ worker, remote: connect<WorkerApi>(worker.port) })
      if (failure !== undefined) return void (await terminate())
    }
    await Promise.all(workers.map(({ remote }, number) => remote('init', module, memory, number, threads)))
  }

  try {
    await awaitStart(alarm.race(start()), fail)
  } catch (error) {
    await terminate()
    throw failure ?? (isDescribed(error) ? error : workerFailed(error))
  }
  hold(false)

  return {
    get failure() {
      return failure
    },
    remotes: () => workers.map(({ remote }) => remote),
    race: alarm.race,
    hold,
    fail,
    terminate,
  }
}
