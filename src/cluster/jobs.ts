/**
 * The jobs of one coordinator. What a job reads and what it answers are blobs in the store. Whatever the store loses is made
 * again: answers by another job, what jobs read by whoever gave it.
 */
import type { Queue, Job as QueuedJob, QueueEvents } from 'bullmq'
import { untilAborted } from '../aborts.js'
import { GpfqError, reasonOf } from '../errors.js'
import type { Blobs } from './blobs.js'
import { type Answer, isSolveTask, type Job, type Task, taskId } from './messages.js'
import { redisError } from './queue.js'

/** Times that a job is tried. */
const ATTEMPTS = 4

export class Jobs {
  readonly blobs: Blobs
  readonly #queue: Queue<Job, Answer>
  readonly #events: QueueEvents
  /** The worker that has a shard's tensors. */
  readonly #workers = new Map<string, string>()
  /** What jobs read, by its hash. */
  readonly #given = new Map<string, () => Uint8Array>()
  /** Blobs and answers that are not needed behind the stage. */
  readonly #stageBlobs = new Set<string>()
  readonly #stageAnswers = new Set<string>()

  constructor(queue: Queue<Job, Answer>, events: QueueEvents, blobs: Blobs) {
    this.#queue = queue
    this.#events = events
    this.blobs = blobs
  }

  workers(): Promise<number> {
    return this.#queue.getWorkersCount().catch((cause: unknown) => {
      throw redisError('queue', cause)
    })
  }

  /**
   * Stores what jobs read.
   * @param make gives the same bytes each time
   * @param stage whether it is not needed behind the stage
   * @returns its hash
   */
  async give(make: () => Uint8Array, stage = false): Promise<string> {
    const hash = await this.blobs.put(make())
    this.#given.set(hash, make)
    if (stage) this.#stageBlobs.add(hash)
    return hash
  }

  /**
   * The answer of a task, from the store or from a worker.
   * @param stage whether it is not needed behind the stage
   * @throws GpfqError WORKER_FAILED; the signal's reason
   */
  async ask(task: Task, place: string, signal: AbortSignal | undefined, stage = false): Promise<Uint8Array> {
    const id = taskId(task)
    if (stage) this.#stageAnswers.add(id)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const bytes = await untilAborted(signal, this.blobs.result(id))
      if (bytes !== null) return bytes
      const failure = await untilAborted(signal, this.#carryOut(id, task, place))
      if (failure !== null && !(await untilAborted(signal, this.#restore()))) throw failure
    }
    const problem = 'its result is missing or damaged in the store, each time that it was made'
    throw new GpfqError('WORKER_FAILED', { place, problem })
  }

  /** Removes what only the stage needed. */
  async endStage(): Promise<void> {
    for (const id of this.#stageAnswers) await this.blobs.removeResult(id)
    for (const hash of this.#stageBlobs) {
      this.#given.delete(hash)
      await this.blobs.remove(hash)
    }
    this.#stageAnswers.clear()
    this.#stageBlobs.clear()
  }

  /** @returns why the job failed, null where it did not */
  async #carryOut(id: string, task: Task, place: string): Promise<GpfqError | null> {
    const shard = isSolveTask(task) ? null : task.shard
    const job = await this.#added(id, task, shard).catch((cause: unknown) => {
      throw redisError('queue', cause)
    })
    try {
      const { worker } = await job.waitUntilFinished(this.#events)
      if (shard !== null) this.#workers.set(shard, worker)
      return null
    } catch (cause) {
      return new GpfqError('WORKER_FAILED', { place, problem: reasonOf(cause) }, { cause })
    }
  }

  async #added(id: string, task: Task, shard: string | null): Promise<QueuedJob<Job, Answer>> {
    // An earlier job of this task has ended, unless a worker is at it: then this does nothing, nor does the next line.
    await this.#queue.remove(id)
    return this.#queue.add(
      isSolveTask(task) ? 'solve' : 'stage',
      { task, prefers: (shard !== null && this.#workers.get(shard)) || null },
      {
        ...{ jobId: id, attempts: ATTEMPTS, backoff: { type: 'exponential', delay: 500 } },
        ...{ removeOnComplete: { age: 3600 }, removeOnFail: { age: 3600 } },
      },
    )
  }

  /** Stores again what is missing or damaged of what was given. @returns whether anything was */
  async #restore(): Promise<boolean> {
    let restored = false
    for (const [hash, make] of this.#given) {
      if ((await this.blobs.find(hash)) !== null) continue
      await this.blobs.put(make())
      restored = true
    }
    return restored
  }
}
