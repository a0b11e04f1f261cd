/**
 * A worker: takes jobs from the queue, one at a time, and stores what its shards say and the layers that it solves. It keeps the
 * streams of the shards that it worked on last. A job whose shard another living worker has is left to that one for a while.
 */
import { randomUUID } from 'node:crypto'
import type { Job as QueuedJob } from 'bullmq'
import type { Runner } from '../calibration/runner.js'
import { reasonOf } from '../errors.js'
import { createExecutor } from '../executor/choose.js'
import { Observations } from '../methods/observations.js'
import type { Store } from '../model/checkpoint/store.js'
import { VERSION } from '../version.js'
import { Blobs, isMissing } from './blobs.js'
import { type Answer, isSolveTask, jobFrom, type StageTask, type Task, taskId } from './messages.js'
import { closeAll, connectionTo, loadBullmq, QUEUE, saying } from './queue.js'
import { type Compute, ShardState } from './shardState.js'
import { askedFrom, solvedBytes } from './solveMessages.js'

/** Options of runWorker. */
export interface WorkerOptions {
  /** redis://HOST:PORT, or rediss: for TLS; a password stands in front of the host. */
  readonly queue: string
  /** The store of the coordinator. */
  readonly store: Store
  readonly runner: Runner
  /** Worker threads of the kernels, at least 1; default all of the machine. */
  readonly threads?: number
  /** Ends the worker. */
  readonly signal: AbortSignal
  /** Milliseconds without a sign of life after which a worker counts as dead. Default 30,000. */
  readonly stalledAfter?: number
  /** Called before each job that is carried out, with a number that counts them: a stage for a part of the samples, or layers to solve. */
  readonly onJob?: (count: number, kind: 'stage' | 'solve') => void
  /** Called with what a user should know: that Redis does not answer. */
  readonly onNote?: (text: string) => void
}

/** Shards whose tensors are kept. */
const KEPT = 2

/** Milliseconds that a job waits for the worker that has its shard, and between two looks. */
const PATIENCE = 20_000
const PAUSE = 10

/**
 * Works until the signal aborts.
 * @throws GpfqError RUNTIME_MISSING without BullMQ; what the store and Redis throw
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const { store, runner, threads, signal, stalledAfter = 30_000, onJob, onNote } = options
  const connection = connectionTo(options.queue)
  const { Queue, Worker, DelayedError, UnrecoverableError } = await loadBullmq()
  const executor = await createExecutor(threads === undefined ? {} : { threads })
  const name = randomUUID()
  const queue = new Queue(QUEUE, { connection })
  const compute: Compute = { blobs: new Blobs(store), runner, executor, signal }
  const shards = new Shards(compute)
  let count = 0

  const isElsewhere = async (prefers: string | null, since: number): Promise<boolean> =>
    prefers !== null &&
    prefers !== name &&
    Date.now() - since < PATIENCE &&
    (await queue.getWorkers()).some(({ rawname }) => rawname?.includes(prefers))

  async function carryOut(task: Task): Promise<Uint8Array> {
    if (!isSolveTask(task)) return shards.run(task)
    const { recipe, requests, place } = askedFrom(await compute.blobs.get(task.asked, 'requests of layers'))
    const bytes = await compute.blobs.get(task.observations, 'observations')
    return solvedBytes(await executor.solve(Observations.from(bytes), requests, { recipe, place, signal }))
  }

  async function process(job: QueuedJob<unknown, Answer>, token: string | undefined): Promise<Answer> {
    const { task, prefers } = jobFrom(job.data)
    const wrong = misfit(task, runner)
    if (wrong !== null) throw new UnrecoverableError(wrong)
    const id = taskId(task)
    if ((await compute.blobs.result(id)) !== null) return { worker: name }
    if (await isElsewhere(prefers, job.timestamp)) {
      await job.moveToDelayed(Date.now() + PAUSE, token)
      throw new DelayedError()
    }
    onJob?.(++count, isSolveTask(task) ? 'solve' : 'stage')
    const bytes = await carryOut(task).catch((error: unknown) => {
      // Tried again it would fail again: the coordinator stores what is missing.
      throw isMissing(error) ? new UnrecoverableError(reasonOf(error)) : error
    })
    await compute.blobs.setResult(id, await compute.blobs.put(bytes))
    return { worker: name }
  }

  const worker = new Worker<unknown, Answer>(QUEUE, process, {
    ...{ connection, name, concurrency: 1, maxStalledCount: 20 },
    ...{ lockDuration: stalledAfter, stalledInterval: stalledAfter },
  })
  const onError = saying(onNote)
  worker.on('error', onError)
  queue.on('error', onError)
  try {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
  } finally {
    await closeAll([worker, queue])
    await shards.close()
    await executor.close()
  }
}

/** Why a worker cannot answer a task to the same bytes; null where it can. */
function misfit(task: Task, { name }: Runner): string | null {
  const { version } = task
  if (version !== VERSION)
    return `the run is of gpfq ${version}, the worker of gpfq ${VERSION}; install the same version`
  const own = runtimeOf(name)
  return isSolveTask(task) || task.runtime === own
    ? null
    : `the run is of ${task.runtime}, the worker of ${own}; install the same ONNX Runtime`
}

/** ONNX Runtime with its version, without threads. */
export const runtimeOf = (name: string): string => name.replace(/ \(.*/, '')

/** The shards that a worker has, the last one used at the end. */
class Shards {
  readonly #compute: Compute
  readonly #states: ShardState[] = []

  constructor(compute: Compute) {
    this.#compute = compute
  }

  async run(task: StageTask): Promise<Uint8Array> {
    const at = this.#states.findIndex(
      (state) => state.task.run === task.run && state.task.shard === task.shard,
    )
    const [known] = at < 0 ? [] : this.#states.splice(at, 1)
    if (known !== undefined && !known.leadsTo(task)) await known.close()
    const fits = known?.leadsTo(task) === true ? known : null
    if (fits === null) while (this.#states.length >= KEPT) await this.#states.shift()!.close()
    const state = fits ?? (await ShardState.open(task, this.#compute))
    try {
      const bytes = await state.run(task)
      this.#states.push(state)
      return bytes
    } catch (error) {
      await state.close()
      throw error
    }
  }

  async close(): Promise<void> {
    for (const state of this.#states.splice(0)) await state.close()
  }
}
