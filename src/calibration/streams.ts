/**
 * The two streams of calibration over one shard of the samples: the float network and the network quantized so far run side
 * by side over all batches, stage by stage, each node once per stream: linear in depth. Only tensors that are still needed
 * are held, and of some batches the outputs of the model. Where nothing before a tensor is quantized, it is computed and held once.
 *
 * Tensors are held in memory within a budget, and beyond it in a temporary file (heldTensors.ts). Where there is none, batches
 * keep only their inputs and are computed again, by the same segments and so to the same bytes, whenever a stage needs them:
 * slower, never different. Which network the quantized stream runs is an argument of every call, not a state of the streams.
 */
import { openScratch } from '#scratch'
import { rangeError } from '../checks.js'
import { indexGraph } from '../onnx/graph.js'
import type { Network } from '../onnx/network.js'
import type { Stage } from '../onnx/stages.js'
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { HeldTensors } from './heldTensors.js'
import { roundSamples } from './roundTensor.js'
import type { Runner } from './runner.js'
import type { OpenScratch } from './scratch.js'
import { firstSamples, type Shard } from './shard.js'
import { StageSessions } from './stageSessions.js'
import { planHeld, type StreamPlan } from './streamPlan.js'
import {
  checkSameShape,
  freshPair,
  type HeldPair,
  keepOnly,
  keptIn,
  notComputed,
  type OutputPair,
  type Pair,
  roundIn,
  runOn,
  samplesIn,
} from './streamTensors.js'
import { BATCH_BUDGET, measureTensors, type TensorSizes } from './tensorSizes.js'

export interface RunContext {
  readonly signal: AbortSignal | undefined
  /** Share of the batches that have run, 0..1. */
  readonly onProgress: (fraction: number) => void
}

/** What a stage shows of its tensors as it runs. */
export interface AdvanceContext extends RunContext {
  /** Outputs of layers quantized earlier, in both streams. */
  readonly onOutput?: (pair: OutputPair) => void
  /** Tensors of Stage.ranges in the quantized stream, before they are rounded. */
  readonly onRange?: (name: string, tensor: Tensor) => void
}

/** Bytes of calibration tensors held at most: leaves room for ONNX Runtime and the 4 GiB of the kernels. */
export const HELD_BYTES = 1.5 * 2 ** 30

export class Streams {
  readonly runner: Runner
  readonly shard: Shard
  /** Batches that are kept out of calibration. */
  readonly heldOut: readonly Feeds[]
  readonly stages: readonly Stage[]
  readonly #batches: readonly Feeds[]
  readonly #float: Network
  readonly #budget: number
  readonly #held: HeldTensors
  readonly #openScratch: OpenScratch
  readonly #sessions: StageSessions
  readonly #types = new Map<string, Tensor['type']>()
  readonly #dims: Map<string, readonly number[]>[]
  readonly #firstSample: number[]
  readonly #outputs: readonly string[]
  /** Outputs of the model are held where samples judge it, if there is room. */
  #keepsJudged = false
  #stage = -1

  /**
   * @param float the float network
   * @param budget bytes of tensors in memory
   * @param scratch where tensors beyond the budget go
   */
  constructor(
    runner: Runner,
    float: Network,
    shard: Shard,
    stages: readonly Stage[],
    budget: number = HELD_BYTES,
    scratch: OpenScratch = openScratch,
  ) {
    this.runner = runner
    this.#float = float
    this.shard = shard
    this.stages = stages
    this.#outputs = indexGraph(float.float).computedOutputs
    this.heldOut = shard.heldOut ?? []
    const batches = [...shard.batches, ...this.heldOut]
    this.#batches = batches
    for (const [name, { type }] of Object.entries(batches[0] ?? {})) this.#types.set(name, type)
    this.#budget = budget
    this.#held = new HeldTensors(batches)
    this.#openScratch = scratch
    this.#sessions = new StageSessions(runner, float, (name) => this.#typeOf(name))
    this.#dims = batches.map(
      (batch) => new Map(Object.entries(batch).map(([name, { dims }]) => [name, dims])),
    )
    this.#firstSample = [...firstSamples(shard.batches, shard.first), ...firstSamples(this.heldOut, 0)]
  }

  /** Batches that run: those of calibration, then those that are kept out of it. */
  get batches(): number {
    return this.#batches.length
  }

  /** Samples of a batch. */
  samples(batch: number): number {
    return samplesIn(this.#batches[batch])
  }

  /** Samples before a batch, of all shards; of those kept out before one of theirs. */
  firstSample(batch: number): number {
    return this.#firstSample[batch] ?? this.shard.first
  }

  /** Whether the samples of a batch are kept out of calibration. */
  isHeldOut(batch: number): boolean {
    return batch >= this.shard.batches.length
  }

  /** Most bytes of tensors that were ever held in memory. */
  get peakBytes(): number {
    return this.#held.peakBytes
  }

  /** Batches that are computed again in every stage. */
  get recomputed(): number {
    return this.#held.recomputed
  }

  /** A model input as it was fed. */
  feed(batch: number, input: string): Tensor {
    const tensor = tensorNamed(this.#batches[batch] ?? {}, input)
    if (tensor === undefined) throw notComputed(input)
    return tensor
  }

  /**
   * Plans what to hold. Call once, first.
   * @param sizes what a run of the float network on the first batch says (tensorSizes.ts)
   */
  async plan(
    sizes: Promise<TensorSizes> | TensorSizes = measureTensors(
      this.runner,
      this.#float,
      this.stages,
      this.#batches,
      BATCH_BUDGET,
    ),
  ): Promise<StreamPlan> {
    const known = await sizes
    for (const [name, type] of known.types) this.#types.set(name, type)
    const { keepsJudged, ...held } = planHeld(this.#batches, this.shard.batches.length, known, this.#budget)
    await this.#held.plan(held.resident, this.#openScratch)
    // A temporary file has room for what memory has not.
    const inFile = held.resident < this.batches && this.#held.isHeld(this.batches - 1)
    this.#keepsJudged = keepsJudged || inFile
    return held
  }

  /** The stage that `advance` runs next. */
  get next(): Stage {
    return this.#stageAt(this.#stage + 1)
  }

  /** The stage that ran last. */
  get current(): Stage {
    return this.#stageAt(this.#stage)
  }

  /** Runs the next stage's nodes in both streams. */
  async advance(
    network: Network,
    { signal, onProgress, onOutput = () => {}, onRange }: AdvanceContext,
  ): Promise<Stage> {
    const index = ++this.#stage
    const stage = this.#stageAt(index)
    for (let batch = 0; batch < this.batches; batch++) {
      signal?.throwIfAborted()
      const held = await this.#held.load(batch, stage.inputs)
      if (held !== null) {
        await this.#runStage(network, index, batch, held, onOutput)
        await this.#held.store(batch, held)
        this.#held.keepOnly(batch, this.#kept(index, batch))
      }
      const { float, quantized } = held ?? (await this.#chain(network, batch, index, onOutput))
      for (const [name, { dims }] of float) this.#dims[batch]!.set(name, dims)
      for (const name of this.isHeldOut(batch) ? [] : stage.ranges) {
        const tensor = quantized.get(name) ?? float.get(name)
        if (tensor !== undefined) onRange?.(name, tensor)
      }
      onProgress((batch + 1) / this.batches)
    }
    this.#held.count()
    return stage
  }

  /** Tensors of the current stage that got a quantizer are read rounded from here on. @param network has the quantizers */
  async fix(network: Network): Promise<void> {
    const stage = this.#stageAt(this.#stage)
    for (let batch = 0; batch < this.batches && stage.ranges.length > 0; batch++) {
      const held = await this.#held.load(batch, stage.ranges)
      if (held === null) continue
      const rounded = { float: held.float, quantized: new Map(held.quantized) }
      roundIn(rounded, stage, network)
      await this.#held.replace(batch, rounded.quantized)
    }
  }

  /**
   * Tensors of one batch that the current stage holds, or outputs of the model, which are computed again if they are not held.
   * @param network as in the stage's advance
   */
  async tensors(
    network: Network,
    batch: number,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, Pair>> {
    const known = await this.#held.load(batch, names)
    const held =
      known !== null && names.every((name) => known.float.has(name))
        ? known
        : await this.#chainOnce(network, batch, names)
    return new Map(
      names.map((name) => {
        const float = held.float.get(name)
        if (float === undefined) throw notComputed(name)
        return [name, { float, quantized: held.quantized.get(name) ?? null }]
      }),
    )
  }

  /** Dims of a tensor that the stages so far have made, in one batch. */
  dims(batch: number, name: string): readonly number[] {
    const dims = this.#dims[batch]?.get(name)
    if (dims === undefined) throw notComputed(name)
    return dims
  }

  /** Whether the quantized stream's tensor can differ from the float one's at the stage at hand. */
  differs(tensor: string): boolean {
    return this.#held.differs(tensor) || this.#stageAt(this.#stage).changed.includes(tensor)
  }

  /** Ends the current stage: tensors that no later stage reads are dropped. */
  async release(): Promise<void> {
    for (let batch = 0; batch < this.batches; batch++)
      this.#held.keepOnly(batch, this.#lasting(this.#stage, batch))
    if (this.#held.recomputed === 0) await this.#sessions.close()
  }

  /** Computes the quantized stream again, inputs to here: for weights tied across depth, once they are quantized. */
  async replay(network: Network, { signal, onProgress }: RunContext): Promise<void> {
    await this.#sessions.close()
    for (let batch = 0; batch < this.batches; batch++) {
      signal?.throwIfAborted()
      if (!this.#held.isHeld(batch)) continue
      const { quantized } = await this.#chain(network, batch, this.#stage, () => {})
      const lasting = this.#lasting(this.#stage, batch)
      await this.#held.replace(batch, new Map([...quantized].filter(([name]) => lasting.has(name))))
      onProgress((batch + 1) / this.batches)
    }
  }

  /** Closes all sessions, and removes the temporary file. */
  async close(): Promise<void> {
    await this.#sessions.close()
    await this.#held.close()
  }

  /** Stages 0..`last` from the batch's inputs; `visit` sees the last one's outputs. */
  async #chain(
    network: Network,
    batch: number,
    last: number,
    visit: (pair: OutputPair) => void,
    wanted: readonly string[] = [],
  ): Promise<HeldPair> {
    const held = freshPair(this.#batches[batch] ?? {})
    for (let index = 0; index <= last; index++) {
      await this.#runStage(network, index, batch, held, index === last ? visit : () => {}, wanted)
      if (index < last) keepOnly(held, this.#lasting(index, batch, wanted))
    }
    return held
  }

  /** The same up to the stage at hand, for few batches: each session closes before the next one opens, so that the memory is that of one. */
  async #chainOnce(network: Network, batch: number, wanted: readonly string[]): Promise<HeldPair> {
    const held = freshPair(this.#batches[batch] ?? {})
    for (let index = 0; index <= this.#stage; index++) {
      await this.#sessions.close()
      await this.#runStage(network, index, batch, held, () => {}, wanted)
      keepOnly(held, this.#lasting(index, batch, wanted))
    }
    await this.#sessions.close()
    return held
  }

  /** Whether outputs of the model are held: those of the first batch, for the last check, and those that are judged. */
  #keepsOutputs(batch: number): boolean {
    return batch === 0 || (this.isHeldOut(batch) && this.#keepsJudged)
  }

  /** What is held after a stage. */
  #lasting(stage: number, batch: number, wanted: readonly string[] = []): Set<string> {
    const outputs = this.#keepsOutputs(batch) ? this.#outputs : []
    return new Set([...this.#stageAt(stage).live, ...outputs, ...wanted])
  }

  /** What is held while a stage's layers are quantized. */
  #kept(stage: number, batch: number, wanted: readonly string[] = []): Set<string> {
    return new Set([...keptIn(this.#stageAt(stage)), ...this.#lasting(stage, batch, wanted)])
  }

  async #runStage(
    network: Network,
    index: number,
    batch: number,
    { float, quantized }: HeldPair,
    visit: (pair: OutputPair) => void,
    wanted: readonly string[] = [],
  ): Promise<void> {
    const stage = this.#stageAt(index)
    const sessions = await this.#sessions.of(network, index, stage, () => this.#differing(index))
    const fetches = [...stage.outputs, ...stage.measured]
    const floats = await runOn(sessions.float, this.#ports, stage.inputs, (name) => float.get(name), fetches)
    const samples = this.samples(batch)
    const place = { firstSample: this.#firstSample[batch]!, samples, heldOut: this.isHeldOut(batch) }
    const own = (name: string): Tensor | undefined => quantized.get(name) ?? float.get(name)
    const rounded = new Map(stage.inputs.map((name) => [this.#float.names.rounded(name), name]))
    const read = (name: string): Tensor | undefined => {
      const source = rounded.get(name)
      const tensor = own(source ?? name)
      return source === undefined || tensor === undefined ? tensor : roundSamples(source, tensor, samples)
    }
    const given = [...stage.inputs, ...rounded.keys()]
    const others = await runOn(sessions.quantized, this.#ports, given, read, fetches)
    for (const tensor of stage.measured) {
      const [y, z] = [floats.get(tensor), others.get(tensor) ?? floats.get(tensor)]
      if (y === undefined || z === undefined) continue
      checkSameShape(`output '${tensor}'`, y, z)
      visit({ tensor, float: y, quantized: z, ...place })
    }
    for (const name of stage.outputs) {
      const [y, z] = [floats.get(name), others.get(name)]
      if (y !== undefined) float.set(name, y)
      if (z !== undefined) quantized.set(name, z)
    }
    roundIn({ float, quantized }, stage, network)
    keepOnly({ float, quantized }, this.#kept(index, batch, wanted))
  }

  /** Tensors of a stage that differ in the quantized stream. */
  #differing(index: number): readonly string[] {
    const { outputs, measured, changed } = this.#stageAt(index)
    const fetches = [...new Set([...outputs, ...measured])]
    // After a replay more can differ than the plan of an earlier stage says: then all of it is fetched.
    const replayed = this.stages.slice(0, this.#stage + 1).some(({ replay }, i) => replay && i >= index)
    const known = new Set([...changed, ...measured])
    return replayed ? fetches : fetches.filter((name) => known.has(name))
  }

  get #ports(): (tensor: string) => string {
    return this.#float.names.port
  }

  #typeOf(name: string): Tensor['type'] {
    const type = this.#types.get(name)
    if (type === undefined) throw notComputed(name)
    return type
  }

  #stageAt(index: number): Stage {
    const stage = this.stages[index]
    if (stage === undefined) throw rangeError('stage', `0 to ${this.stages.length - 1}`, index)
    return stage
  }
}
