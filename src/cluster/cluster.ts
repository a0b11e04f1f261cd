/**
 * The coordinator's side: the steps of a run, of which workers carry out those that look at the samples of calibration. The
 * samples are cut into shards between segments of the canonical sum, so that what is merged has the bytes of one machine. The
 * coordinator solves the layers, and judges them on the samples that are kept out, which it holds itself.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Queue, QueueEvents } from 'bullmq'
import { untilAborted } from '../aborts.js'
import { cutFeeds } from '../calibration/batches.js'
import { segmentSamples } from '../calibration/captures.js'
import { sampleAxes } from '../calibration/sampleAxes.js'
import type { Shard } from '../calibration/shard.js'
import { samplesIn } from '../calibration/streamTensors.js'
import { checkWhole } from '../checks.js'
import { GpfqError, reasonOf } from '../errors.js'
import type { Store } from '../model/checkpoint/store.js'
import type { Cluster, ClusterContext } from '../model/clusterSteps.js'
import { advanceStage } from '../model/observeStage.js'
import { solveStage } from '../model/solveStage.js'
import type { StageSteps } from '../model/stageLoop.js'
import { mergeStages, type StageObservations, stageFrom } from '../model/stageObservations.js'
import { encodeModel } from '../onnx/model.js'
import type { Network } from '../onnx/network.js'
import { inputsOf } from '../onnx/openModel.js'
import type { Feeds, RunnerInput } from '../tensor/tensor.js'
import { VERSION } from '../version.js'
import { Blobs } from './blobs.js'
import {
  type Answer,
  type Job,
  layersBytes,
  quantizersBytes,
  runBytes,
  shardBytes,
  type Task,
  taskId,
} from './messages.js'
import { connectionTo, loadBullmq, QUEUE, saying } from './queue.js'
import { runtimeOf } from './worker.js'

/** Options of openCluster. */
export interface ClusterOptions {
  /** redis://HOST:PORT, or rediss: for TLS; a password stands in front of the host. */
  readonly queue: string
  /** What all workers reach, too. */
  readonly store: Store
  /** Parts that the samples are cut into; default the number of workers that are there when the run begins. */
  readonly shards?: number
  /** Called with what a user should know: that no worker is there, or Redis does not answer. */
  readonly onNote?: (text: string) => void
}

/** A cluster that is connected. Close it after the run. */
export interface OpenCluster extends Cluster {
  /** Ends the connections. */
  close(): Promise<void>
}

/** Times that a job is tried. */
const ATTEMPTS = 4

/**
 * Connects to the queue.
 * @throws GpfqError RUNTIME_MISSING without BullMQ; TypeError, RangeError for options
 * @example
 * const cluster = await openCluster({ queue: 'redis://10.0.0.1:6379', store: folderStore('/shared/run') })
 * const { model } = await quantizeModel(bytes, { calibration, runner, cluster })
 * await cluster.close()
 */
export async function openCluster(options: ClusterOptions): Promise<OpenCluster> {
  const connection = connectionTo(options.queue)
  if (options.shards !== undefined) checkWhole('shards', options.shards, 1)
  const { Queue, QueueEvents } = await loadBullmq()
  const queue = new Queue<Job, Answer>(QUEUE, { connection })
  const events = new QueueEvents(QUEUE, { connection })
  const onError = saying(options.onNote)
  queue.on('error', onError)
  events.on('error', onError)
  const jobs = new Jobs(queue, events, new Blobs(options.store))
  return {
    steps: (context) => clusterSteps(context, jobs, options),
    async close() {
      await queue.close()
      await events.close()
    },
  }
}

/** Jobs of one coordinator. */
class Jobs {
  readonly blobs: Blobs
  readonly #queue: Queue<Job, Answer>
  readonly #events: QueueEvents
  /** The worker that has a shard's tensors. */
  readonly #workers = new Map<string, string>()

  constructor(queue: Queue<Job, Answer>, events: QueueEvents, blobs: Blobs) {
    this.#queue = queue
    this.#events = events
    this.blobs = blobs
  }

  workers(): Promise<number> {
    return this.#queue.getWorkersCount()
  }

  /** What a shard says, from the store or from a worker. @throws GpfqError WORKER_FAILED; the signal's reason */
  async ask(task: Task, place: string, signal: AbortSignal | undefined): Promise<StageObservations> {
    const id = taskId(task)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const bytes = await untilAborted(signal, this.blobs.result(id))
      if (bytes !== null) return stageFrom(bytes, place)
      await untilAborted(signal, this.#carryOut(id, task, place))
    }
    const problem = 'its result is missing or damaged in the store, each time that it was made'
    throw new GpfqError('WORKER_FAILED', { place, problem })
  }

  async #carryOut(id: string, task: Task, place: string): Promise<void> {
    // An earlier job of this task has ended, unless a worker is at it: then this does nothing, nor does the next line.
    await this.#queue.remove(id)
    const job = await this.#queue.add(
      'stage',
      { task, prefers: this.#workers.get(task.shard) ?? null },
      {
        ...{ jobId: id, attempts: ATTEMPTS, backoff: { type: 'exponential', delay: 500 } },
        ...{ removeOnComplete: { age: 3600 }, removeOnFail: { age: 3600 } },
      },
    )
    try {
      const { worker } = await job.waitUntilFinished(this.#events)
      this.#workers.set(task.shard, worker)
    } catch (cause) {
      throw new GpfqError('WORKER_FAILED', { place, problem: reasonOf(cause) }, { cause })
    }
  }
}

async function clusterSteps(
  { planned, samples, streams, runner, local, step }: ClusterContext,
  jobs: Jobs,
  { shards: wanted, onNote }: ClusterOptions,
): Promise<StageSteps> {
  const { signal, progress, executor } = step
  const { blobs } = jobs
  if (executor.fastMath) {
    const problem = 'a cluster gives the bytes of one machine, which relaxed SIMD does not'
    throw new GpfqError('UNSUPPORTED_MODEL', { place: 'fastMath', problem, hint: 'leave it out' })
  }
  const count = wanted ?? (await workersThere(jobs, signal, onNote))
  const shards = cutShards(samples.shard, inputsOf(planned.float.float), count)
  const run = await blobs.put(runBytes(planned.plan, encodeModel((await planned.source.whole()).proto)))
  const hashes: string[] = []
  for (const shard of shards) hashes.push(await blobs.put(shardBytes(shard)))
  const history: string[] = []
  const common = { version: VERSION, runtime: runtimeOf(runner), run }

  async function ask(what: string, stage: number): Promise<StageObservations> {
    const found = await Promise.all(
      hashes.map((shard, i) => {
        const place = `cluster, ${what} of stage ${stage + 1}, part ${i + 1} of ${hashes.length}`
        return jobs.ask({ ...common, shard, history: [...history] }, place, signal)
      }),
    )
    return found.reduce(mergeStages)
  }

  /** Layers of the network that workers do not know. */
  const sendLayers = async (network: Network, names: Iterable<string>): Promise<void> => {
    const solved = [...names].map((name) => network.solved.get(name)!)
    history.push(await blobs.put(layersBytes(planned, solved)))
  }

  return {
    round: local.round,
    async advance(stage, network) {
      if (history.length === 0) await sendLayers(network, network.solved.keys())
      const { timed } = progress
      const onProgress = (fraction: number): void => progress.stage(stage, 0.4 * fraction)
      const [seen, own] = await Promise.all([
        timed('calibration', () => ask('ranges', stage)),
        advanceStage(planned, streams, network, { signal, onProgress, timed: (_, act) => act() }),
      ])
      return { ...seen, heldOutErrors: own.heldOutErrors }
    },
    async fix(stage, network) {
      const { ranges } = planned.stages[stage]!
      const fixed = [...network.quantizers].filter(([tensor]) => ranges.includes(tensor))
      history.push(await blobs.put(quantizersBytes(new Map(fixed))))
      await local.fix(stage, network)
    },
    async solve(stage, network) {
      const seen = await progress.timed('calibration', () => ask('observations', stage))
      return progress.timed('quantization', () =>
        solveStage(planned, planned.stages[stage]!, seen, executor, {
          ...{ signal, onCapture: progress.layersStart, distinctRows: samples.distinctRows },
          judges: samples.isJudged ? { streams, network } : undefined,
          onProgress: (fraction) => progress.stage(stage, 0.8 + 0.2 * fraction),
        }),
      )
    },
    async end(stage, network) {
      await sendLayers(
        network,
        planned.stages[stage]!.quantize.map(({ name }) => name),
      )
      await local.end(stage, network)
    },
  }
}

/** The number of workers, once there is one. */
async function workersThere(
  jobs: Jobs,
  signal: AbortSignal | undefined,
  onNote: ((text: string) => void) | undefined,
): Promise<number> {
  for (let said = false; ; said = true) {
    const count = await untilAborted(signal, jobs.workers())
    if (count > 0) return count
    if (!said) onNote?.('no worker is there yet; waiting for one')
    await delay(500, undefined, signal === undefined ? {} : { signal })
  }
}

/** Cuts the samples between segments, into at most so many parts. Batches that cannot be cut are one part. */
export function cutShards(shard: Shard, inputs: readonly RunnerInput[], most: number): readonly Shard[] {
  const { batches, total } = shard
  const segment = segmentSamples(total)
  const segments = Math.ceil(total / segment)
  const axes = sampleAxes(batches, inputs)
  const parts = axes === null ? 1 : Math.min(most, segments)
  const bounds = Array.from({ length: parts + 1 }, (_, i) =>
    Math.min(total, Math.round((i * segments) / parts) * segment),
  )
  if (axes === null || parts === 1) return [{ batches, first: 0, total }]
  return bounds.slice(1).map((end, i) => {
    const first = bounds[i]!
    const own: Feeds[] = []
    let at = 0
    for (const feeds of batches) {
      const samples = samplesIn(feeds)
      const [from, to] = [Math.max(first - at, 0), Math.min(end - at, samples)]
      if (from < to) own.push(from === 0 && to === samples ? feeds : cutFeeds(feeds, axes, from, to))
      at += samples
    }
    return { batches: own, first, total }
  })
}
