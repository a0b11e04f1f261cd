/**
 * The worker pool: several workers on one shared memory run jobs one after another, in the order in which they were
 * given. Starting a job takes one call to each worker; tiles and stopping go through the control blocks
 * (job.ts). The caller's thread only awaits, so its event loop stays free.
 *
 * Two jobs are posted to the workers at a time, so that the second starts without waiting for the caller. A job has
 * ended when one worker returns from it: by then all its tiles are done, and a worker that comes late finds none.
 *
 * A failure of a worker closes the pool: see workerGroup.ts.
 */

import { createMemory } from '../platform/memory.js'
import { CONTROL_BYTES, controlBlocks, doneAt, type Job, MAX_PHASES, STOP, tilesOfPhase } from './job.js'
import { closedError, createTurns } from './turns.js'
import { startWorkers } from './workerGroup.js'

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
}

export interface Pool {
  readonly threads: number
  /** Shared by all workers; the control blocks lie at its bottom. */
  readonly memory: WebAssembly.Memory
  /**
   * Runs a job after all jobs that were given before it.
   * @throws GpfqError WORKER_FAILED or CLOSED; the reason of the signal
   */
  run(job: Job, options?: RunOptions): Promise<void>
  /** Stops all jobs and ends the workers. Resolves when every thread is gone. */
  close(): Promise<void>
}

/** @throws GpfqError WORKER_FAILED if a worker does not start */
export async function createPool(threads: number, module: WebAssembly.Module): Promise<Pool> {
  const memory = createMemory(CONTROL_BYTES / 65536)
  const blocks = controlBlocks(memory)
  const stopAll = (): void => blocks.forEach(stop)
  const workers = await startWorkers(threads, module, memory, stopAll)
  const turns = createTurns()
  /** For each block: settles when no worker reads or writes it any more. */
  const idle: Promise<unknown>[] = blocks.map(() => Promise.resolve())
  let nextBlock = 0
  let running = 0

  const check = (signal: AbortSignal | undefined): void => {
    if (workers.failure !== undefined) throw workers.failure
    signal?.throwIfAborted()
  }

  /** Posts a job to the workers as soon as a control block is free. The result's `end` settles when the job has ended. */
  async function post(job: Job, { signal }: RunOptions): Promise<{ readonly end: Promise<void> }> {
    const block = nextBlock
    const control = blocks[block]!
    await workers.race(idle[block]!)
    check(signal)
    control.fill(0)
    const answers = workers
      .remotes()
      .map((remote) => remote('runJob', job, block).then(() => checkDone(job, control)))
    nextBlock = 1 - nextBlock
    idle[block] = Promise.allSettled(answers)
    return { end: awaitEnd(answers, control, signal) }
  }

  async function awaitEnd(
    answers: readonly Promise<void>[],
    control: Int32Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const abort = (): void => stop(control)
    signal?.addEventListener('abort', abort)
    try {
      await workers.race(Promise.race(answers))
      // A stopped worker returns while others may still run a tile, of this job or the next.
      if (Atomics.load(control, STOP) !== 0) await workers.race(Promise.all([...answers, ...idle]))
    } catch (error) {
      const failure = workers.fail(error)
      await workers.terminate()
      throw failure
    } finally {
      signal?.removeEventListener('abort', abort)
    }
    check(signal)
  }

  async function run(job: Job, options: RunOptions = {}): Promise<void> {
    if (running++ === 0) workers.hold(true)
    try {
      const posted = turns.take(() => post(job.slice(0, MAX_PHASES), options))
      const rest = job.slice(MAX_PHASES)
      await Promise.all([posted.then(({ end }) => end), rest.length > 0 && run(rest, options)])
    } finally {
      if (--running === 0) workers.hold(false)
    }
  }

  async function close(): Promise<void> {
    workers.fail(closedError())
    await workers.terminate()
  }

  return { threads, memory, run, close }
}

/** Checks that all tiles of a job are done, unless it was stopped. @throws Error if a worker has ended it too early */
function checkDone(job: Job, control: Int32Array): void {
  if (Atomics.load(control, STOP) !== 0) return
  const done = job.every((phase, index) => Atomics.load(control, doneAt(index)) === tilesOfPhase(phase))
  if (!done) throw new Error('it ended a job before all tiles were done')
}

/** Sets the stop flag of a control block. */
function stop(control: Int32Array): void {
  Atomics.store(control, STOP, 1)
}
