/**
 * The streams of one shard in a worker, and how far they have come. Tasks of later stages go on from there; any other task begins
 * again from the samples, with the layers and quantizers that the task names.
 */

import type { Runner } from '../calibration/runner.js'
import { Streams } from '../calibration/streams.js'
import { measureTensors } from '../calibration/tensorSizes.js'
import type { Executor } from '../executor/executor.js'
import { cutShard } from '../model/fittingBatches.js'
import { tensorBudget } from '../model/memoryBudget.js'
import { advanceStage, observeStage, type StageContext } from '../model/observeStage.js'
import { joinPlan, type PlannedModel } from '../model/preparedModel.js'
import { stageBytes } from '../model/stageObservations.js'
import type { Network } from '../onnx/network.js'
import { inputsOf, openModel } from '../onnx/openModel.js'
import type { Blobs } from './blobs.js'
import { layersFrom, quantizersFrom, runFrom, type StageTask, shardFrom } from './messages.js'

export interface Compute {
  readonly blobs: Blobs
  readonly runner: Runner
  readonly executor: Executor
  readonly signal: AbortSignal | undefined
}

export class ShardState {
  readonly task: Pick<StageTask, 'run' | 'shard'>
  readonly #planned: PlannedModel
  readonly #streams: Streams
  readonly #compute: Compute
  #network: Network
  /** Hashes of what the network has got. */
  readonly #applied: string[] = []
  /** Whether the streams have run the stage whose quantizers come next. */
  #advanced = false

  constructor(task: StageTask, planned: PlannedModel, streams: Streams, compute: Compute) {
    this.task = task
    this.#planned = planned
    this.#streams = streams
    this.#compute = compute
    this.#network = planned.float
  }

  /** @throws GpfqError INVALID_DATA for blobs that are missing or damaged; as joinPlan and Streams.plan */
  static async open(task: StageTask, compute: Compute): Promise<ShardState> {
    const { blobs, runner, signal } = compute
    const { plan, model } = runFrom(await blobs.get(task.run, 'the run'))
    const planned = await joinPlan(await openModel(model, undefined, signal), plan, signal)
    const given = shardFrom(await blobs.get(task.shard, 'samples of a shard'))
    const budget = tensorBudget(plan)
    const sizes = await measureTensors(runner, planned.float, planned.stages, given.batches, budget)
    const shard = cutShard(given, inputsOf(planned.float.float), sizes.most)
    const streams = new Streams(runner, planned.float, shard, planned.stages, budget.held)
    await streams.plan(sizes)
    return new ShardState(task, planned, streams, compute)
  }

  /** Whether a task can go on from here. */
  leadsTo({ run, shard, history }: StageTask): boolean {
    if (run !== this.task.run || shard !== this.task.shard || this.#applied.length > history.length)
      return false
    if (!this.#applied.every((hash, i) => hash === history[i])) return false
    return this.#applied.length < history.length || history.length % 2 === 0 || !this.#advanced
  }

  /** Carries out a task that this state leads to. @returns the observations of a stage as bytes */
  async run({ history }: StageTask): Promise<Uint8Array> {
    for (const hash of history.slice(this.#applied.length)) {
      if (this.#applied.length % 2 === 1 && !this.#advanced) await this.#advance()
      await this.#apply(hash)
    }
    if (history.length % 2 === 1) return this.#advance()
    const { executor } = this.#compute
    return stageBytes(
      await observeStage(this.#planned, this.#streams, this.#network, executor, this.#context),
    )
  }

  close(): Promise<void> {
    return this.#streams.close()
  }

  async #advance(): Promise<Uint8Array> {
    const seen = await advanceStage(this.#planned, this.#streams, this.#network, this.#context)
    this.#advanced = true
    return stageBytes(seen)
  }

  async #apply(hash: string): Promise<void> {
    const { blobs } = this.#compute
    const at = this.#applied.length
    if (at % 2 === 1) {
      this.#network = this.#network.with([], quantizersFrom(await blobs.get(hash, 'quantizers')))
      await this.#streams.fix(this.#network)
      this.#advanced = false
    } else {
      this.#network = this.#network.with(layersFrom(this.#planned, await blobs.get(hash, 'solved layers')))
      if (at > 0) {
        if (this.#streams.current.replay) await this.#streams.replay(this.#network, this.#context)
        await this.#streams.release()
      }
    }
    this.#applied.push(hash)
  }

  get #context(): StageContext {
    return { signal: this.#compute.signal, onProgress: () => {}, timed: (_, act) => act() }
  }
}
