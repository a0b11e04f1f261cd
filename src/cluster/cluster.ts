/**
 * The coordinator's side: the steps of a run, of which workers carry out those that look at the samples of calibration. The
 * samples are cut into shards between segments of the canonical sum, so that what is merged has the bytes of one machine. Workers
 * also solve large layers (spreadSolve.ts). The coordinator solves the others, and judges all on the samples that are kept out,
 * which it holds itself. What a stage solved is stored, and its sums are removed.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { untilAborted } from '../aborts.js'
import { checkWhole } from '../checks.js'
import { GpfqError } from '../errors.js'
import { sampleIdentity } from '../model/checkpoint/identity.js'
import type { Store } from '../model/checkpoint/store.js'
import type { Cluster, ClusterContext } from '../model/clusterSteps.js'
import { advanceStage } from '../model/observeStage.js'
import { type SolvedStage, solveStage } from '../model/solveStage.js'
import type { StageSteps } from '../model/stageLoop.js'
import { mergeStages, type StageObservations, stageFrom } from '../model/stageObservations.js'
import { encodeModel } from '../onnx/model.js'
import type { Network } from '../onnx/network.js'
import { inputsOf } from '../onnx/openModel.js'
import { VERSION } from '../version.js'
import { Blobs, sha256 } from './blobs.js'
import { cutShards } from './cutShards.js'
import { Jobs } from './jobs.js'
import {
  type Answer,
  type Job,
  layersBytes,
  quantizersBytes,
  runBytes,
  shardBytes,
  solvedStageBytes,
  solvedStageFrom,
} from './messages.js'
import { closeAll, connectionTo, loadBullmq, QUEUE, saying } from './queue.js'
import { spreadSolve } from './spreadSolve.js'
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
    solver(local) {
      if (!local.fastMath) return spreadSolve(local, jobs)
      const problem = 'a cluster gives the bytes of one machine, which relaxed SIMD does not'
      throw new GpfqError('UNSUPPORTED_MODEL', { place: 'fastMath', problem, hint: 'leave it out' })
    },
    steps: (context) => clusterSteps(context, jobs, options),
    close: () => closeAll([queue, events]),
  }
}

async function clusterSteps(
  { planned, samples, streams, runner, local, step }: ClusterContext,
  jobs: Jobs,
  { shards: wanted, onNote }: ClusterOptions,
): Promise<StageSteps> {
  const { signal, progress, executor } = step
  const count = wanted ?? (await workersThere(jobs, signal, onNote))
  const shards = cutShards(samples.shard, inputsOf(planned.float.float), count)
  const model = encodeModel((await planned.source.whole()).proto)
  const run = await jobs.give(() => runBytes(planned.plan, model))
  const hashes: string[] = []
  for (const shard of shards) hashes.push(await jobs.give(() => shardBytes(shard)))
  const judgedOn = await sampleIdentity(samples.shard, signal)
  const history: string[] = []
  const common = { version: VERSION, runtime: runtimeOf(runner), run }

  async function ask(what: 'ranges' | 'observations', stage: number): Promise<StageObservations> {
    const found = await Promise.all(
      hashes.map(async (shard, i) => {
        const place = `cluster, ${what} of stage ${stage + 1}, part ${i + 1} of ${hashes.length}`
        const task = { ...common, shard, history: [...history] }
        return stageFrom(await jobs.ask(task, place, signal, what === 'observations'), place)
      }),
    )
    return found.reduce(mergeStages)
  }

  /** Layers of the network that workers do not know. */
  const sendLayers = async (network: Network, names: Iterable<string>): Promise<void> => {
    const solved = [...names].map((name) => network.solved.get(name)!)
    history.push(await jobs.give(() => layersBytes(planned, solved)))
  }

  async function solveHere(stage: number, network: Network): Promise<SolvedStage> {
    const seen = await progress.timed('calibration', () => ask('observations', stage))
    return progress.timed('quantization', () =>
      solveStage(planned, planned.stages[stage]!, seen, executor, {
        ...{ signal, onCapture: progress.layersStart, distinctRows: samples.distinctRows },
        judges: samples.isJudged ? { streams, network } : undefined,
        onProgress: (fraction) => progress.stage(stage, 0.8 + 0.2 * fraction),
      }),
    )
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
      history.push(await jobs.give(() => quantizersBytes(new Map(fixed))))
      await local.fix(stage, network)
    },
    async solve(stage, network) {
      const id = sha256(JSON.stringify(['stage', ...Object.values(common), judgedOn, history]))
      const stored = await untilAborted(signal, jobs.blobs.result(id))
      if (stored !== null) return solvedStageFrom(planned, stored)
      const solved = await solveHere(stage, network)
      await jobs.blobs.setResult(id, await jobs.blobs.put(solvedStageBytes(solved)))
      return solved
    },
    async end(stage, network) {
      await jobs.endStage()
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
