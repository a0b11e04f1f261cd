/**
 * The two streams of calibration: the float network and the network quantized so far, run side by side over all batches,
 * stage by stage, each node once per stream: linear in depth. Only tensors that somebody still needs are held.
 * Where nothing before a tensor was quantized the streams are one, and it is computed and held once.
 *
 * Tensors are held within a budget. Batches beyond it keep only their inputs and are computed anew, through the same
 * segments and so to the same bytes, whenever a stage needs them: slower, never different.
 */
import type { ModelProto } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { indexGraph } from '../onnx/graph.js'
import { extractSegment, type SegmentInput } from '../onnx/segment.js'
import type { Stage } from '../onnx/stages.js'
import { ELEM_TYPES } from '../onnx/tensor.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import type { Runner, RunnerSession } from './runner.js'

/** A tensor of one batch in both streams. */
export interface Pair {
  readonly float: Tensor
  /** Null where the quantized stream is still the float one. */
  readonly quantized: Tensor | null
}

/** A layer's output in both streams, for one batch: what its error is measured on. */
export interface OutputPair {
  readonly tensor: string
  readonly float: Tensor
  readonly quantized: Tensor
}

export interface RunContext {
  readonly signal: AbortSignal | undefined
  /** Share of the batches that have run, 0..1. */
  readonly onProgress: (fraction: number) => void
}

/** What holding all tensors would take, and what is done about it. */
export interface StreamPlan {
  /** Most bytes of live tensors of all batches, if all were held. */
  readonly bytes: number
  readonly batches: number
  /** Batches whose tensors are held; the others are recomputed. */
  readonly resident: number
}

/** Bytes of calibration tensors held at most: leaves room for ONNX Runtime and the 4 GiB of the kernels. */
const BUDGET_BYTES = 1.5 * 2 ** 30

type Held = Map<string, Tensor>
interface HeldPair {
  readonly float: Held
  readonly quantized: Held // only what differs
}
interface StageSessions {
  readonly float: RunnerSession | null
  readonly quantized: RunnerSession | null
}

export class Streams {
  readonly stages: readonly Stage[]
  /** Dequantized weights of finished layers, layer name → (groups, inputs, neurons). */
  readonly weights = new Map<string, Float32Array>()
  /** The model that the quantized stream runs: with corrected biases, if any. */
  quantizedModel: ModelProto
  readonly #runner: Runner
  readonly #model: ModelProto
  readonly #feeds: readonly Feeds[]
  readonly #budget: number
  readonly #held: HeldPair[]
  readonly #sessions = new Map<number, StageSessions>()
  readonly #types = new Map<string, Tensor['type']>()
  readonly #dims: Map<string, readonly number[]>[]
  #resident = 0
  #stage = -1
  #peakBytes = 0

  constructor(
    runner: Runner,
    model: ModelProto,
    feeds: readonly Feeds[],
    stages: readonly Stage[],
    budget: number = BUDGET_BYTES,
  ) {
    this.#runner = runner
    this.#model = model
    this.quantizedModel = model
    this.#feeds = feeds
    this.stages = stages
    for (const [name, { type }] of Object.entries(feeds[0] ?? {})) this.#types.set(name, type)
    this.#budget = budget
    this.#held = feeds.map(freshPair)
    this.#dims = feeds.map((batch) => new Map(Object.entries(batch).map(([name, { dims }]) => [name, dims])))
  }

  get batches(): number {
    return this.#feeds.length
  }

  /** Most bytes of tensors ever held. */
  get peakBytes(): number {
    return this.#peakBytes
  }

  /** A model input as it was fed. */
  feed(batch: number, input: string): Tensor {
    const tensor = this.#feeds[batch]?.[input]
    if (tensor === undefined) {
      throw new GpfqError(
        'INVALID_DATA',
        `calibration: expected data for the model's input '${input}', got none`,
      )
    }
    return tensor
  }

  /** Runs the first batch once through the float network to learn all sizes, and plans what to hold. Call once, first. */
  async plan(): Promise<StreamPlan> {
    const outputs = [...new Set(this.stages.flatMap((stage) => stage.outputs))]
    const inputs = indexGraph(this.#model).inputs
    const session = await this.#load(this.#model, inputs, outputs, new Map())
    const first = freshPair(this.#feeds[0] ?? {})
    let tensors: Readonly<Record<string, Tensor>>
    try {
      tensors = await run(session, inputs, (tensor) => first.float.get(tensor))
    } finally {
      await session?.close()
    }
    for (const [name, { type }] of Object.entries(tensors)) this.#types.set(name, type)
    const bytesOf = (name: string): number => tensors[name]?.data.byteLength ?? 0
    let perBatch = 0
    for (const stage of this.stages) {
      const changed = new Set(stage.changed)
      const bytes = [...keptIn(stage)].reduce(
        (sum, name) => sum + bytesOf(name) * (changed.has(name) ? 2 : 1),
        0,
      )
      perBatch = Math.max(perBatch, bytes)
    }
    // Other batches hold as much more as they bring.
    const share = perBatch / Math.max(1, inputBytes(this.#feeds[0]))
    const sizes = this.#feeds.map((feeds) => share * inputBytes(feeds))
    let left = this.#budget
    this.#resident = 0
    for (const bytes of sizes) {
      left -= bytes
      if (left < 0) break
      this.#resident++
    }
    return {
      bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
      batches: this.batches,
      resident: this.#resident,
    }
  }

  /** Runs the next stage's nodes in both streams; `measure` sees the outputs of layers quantized earlier. */
  async advance(measure: (pair: OutputPair) => void, { signal, onProgress }: RunContext): Promise<Stage> {
    const index = ++this.#stage
    const stage = this.#stageAt(index)
    for (let batch = 0; batch < this.batches; batch++) {
      signal?.throwIfAborted()
      const held = batch < this.#resident ? this.#held[batch]! : null
      if (held !== null) await this.#runStage(index, held, measure)
      const { float } = held ?? (await this.#chain(batch, index, measure))
      for (const [name, { dims }] of float) this.#dims[batch]!.set(name, dims)
      onProgress((batch + 1) / this.batches)
    }
    this.#peakBytes = Math.max(this.#peakBytes, this.#heldBytes())
    return stage
  }

  /** Tensors that the stage at hand holds, of one batch. */
  async tensors(batch: number, names: readonly string[]): Promise<ReadonlyMap<string, Pair>> {
    const held = batch < this.#resident ? this.#held[batch]! : await this.#chain(batch, this.#stage, ignore)
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
    return (
      this.#held.some(({ quantized }) => quantized.has(tensor)) ||
      this.#stageAt(this.#stage).changed.includes(tensor)
    )
  }

  /** Ends the stage at hand: what no later stage reads is forgotten. */
  async release(): Promise<void> {
    const stage = this.#stageAt(this.#stage)
    for (const held of this.#held) keepOnly(held, new Set(stage.live))
    if (this.#resident === this.batches) await this.#closeSessions()
  }

  /** Computes the quantized stream anew, inputs to here: for weights tied across depth, once they are quantized. */
  async replay({ signal, onProgress }: RunContext): Promise<void> {
    await this.#closeSessions()
    const given = new Set(Object.keys(this.#feeds[0] ?? {}))
    for (let batch = 0; batch < this.#resident; batch++) {
      signal?.throwIfAborted()
      const again = await this.#chain(batch, this.#stage, ignore)
      for (const name of this.#stageAt(this.#stage).live) {
        const tensor = again.quantized.get(name)
        if (tensor !== undefined && !given.has(name)) this.#held[batch]!.quantized.set(name, tensor)
      }
      onProgress((batch + 1) / this.#resident)
    }
  }

  /** Runs some tensors of both streams from what the stage at hand holds, and keeps nothing. */
  async probe(
    tensors: readonly string[],
    given: readonly string[],
    visit: (pair: OutputPair) => void,
    { signal }: RunContext,
  ): Promise<void> {
    const float = await this.#load(this.#model, given, tensors, new Map())
    const quantized = await this.#load(this.quantizedModel, given, tensors, this.weights)
    try {
      for (let batch = 0; batch < this.batches; batch++) {
        signal?.throwIfAborted()
        const pairs = await this.tensors(batch, given)
        const floats = await run(float, given, (name) => pairs.get(name)?.float)
        const others = await run(
          quantized,
          given,
          (name) => pairs.get(name)?.quantized ?? pairs.get(name)?.float,
        )
        for (const pair of outputPairs(tensors, floats, others)) visit(pair)
      }
    } finally {
      await float?.close()
      await quantized?.close()
    }
  }

  async close(): Promise<void> {
    await this.#closeSessions()
  }

  /** Stages 0..`last` from the batch's inputs; `measure` sees the last one's outputs. */
  async #chain(batch: number, last: number, measure: (pair: OutputPair) => void): Promise<HeldPair> {
    const held = freshPair(this.#feeds[batch] ?? {})
    for (let index = 0; index <= last; index++) {
      await this.#runStage(index, held, index === last ? measure : ignore)
      if (index < last) keepOnly(held, new Set(this.#stageAt(index).live))
    }
    return held
  }

  async #runStage(
    index: number,
    { float, quantized }: HeldPair,
    measure: (pair: OutputPair) => void,
  ): Promise<void> {
    const stage = this.#stageAt(index)
    const sessions = await this.#sessionsOf(index)
    const floats = await run(sessions.float, stage.inputs, (name) => float.get(name))
    const others = await run(
      sessions.quantized,
      stage.inputs,
      (name) => quantized.get(name) ?? float.get(name),
    )
    for (const pair of outputPairs(stage.measured, floats, others)) measure(pair)
    for (const name of stage.outputs) {
      if (floats[name] !== undefined) float.set(name, floats[name])
      if (others[name] !== undefined) quantized.set(name, others[name])
    }
    keepOnly({ float, quantized }, keptIn(stage))
  }

  async #sessionsOf(index: number): Promise<StageSessions> {
    const known = this.#sessions.get(index)
    if (known !== undefined) return known
    const stage = this.#stageAt(index)
    const fetches = [...new Set([...stage.outputs, ...stage.measured])]
    // After a replay more can differ than the plan of an earlier stage knew: then all of it is fetched.
    const changed = new Set([...stage.changed, ...stage.measured])
    const replayed = this.stages.slice(0, this.#stage + 1).some(({ replay }, i) => replay && i >= index)
    const differing = replayed ? fetches : fetches.filter((name) => changed.has(name))
    const sessions = {
      float: await this.#load(this.#model, stage.inputs, fetches, new Map()),
      // While nothing is quantized, the streams are one.
      quantized:
        this.weights.size === 0
          ? null
          : await this.#load(this.quantizedModel, stage.inputs, differing, this.weights),
    }
    this.#sessions.set(index, sessions)
    return sessions
  }

  async #load(
    model: ModelProto,
    given: readonly string[],
    fetches: readonly string[],
    weights: ReadonlyMap<string, Float32Array>,
  ): Promise<RunnerSession | null> {
    if (fetches.length === 0) return null
    const inputs: SegmentInput[] = given.map((name) => ({ name, elemType: ELEM_TYPES[this.#typeOf(name)] }))
    return this.#runner.load(extractSegment(model, indexGraph(model).order, inputs, fetches, weights))
  }

  #typeOf(name: string): Tensor['type'] {
    const type = this.#types.get(name)
    if (type === undefined) throw notComputed(name)
    return type
  }

  #stageAt(index: number): Stage {
    const stage = this.stages[index]
    if (stage === undefined)
      throw new RangeError(`stage: expected 0..${this.stages.length - 1}, got ${index}`)
    return stage
  }

  async #closeSessions(): Promise<void> {
    const open = [...this.#sessions.values()]
    this.#sessions.clear()
    for (const { float, quantized } of open) {
      await float?.close()
      await quantized?.close()
    }
  }

  #heldBytes(): number {
    let bytes = 0
    for (const { float, quantized } of this.#held) {
      for (const { data } of [...float.values(), ...quantized.values()]) bytes += data.byteLength
    }
    return bytes
  }
}

const ignore = (): void => {}

const freshPair = (feeds: Feeds): HeldPair => ({
  float: new Map(Object.entries(feeds)),
  quantized: new Map(),
})

const inputBytes = (feeds: Feeds = {}): number =>
  Object.values(feeds).reduce((sum, { data }) => sum + data.byteLength, 0)

/** What a stage keeps while its layers are quantized. */
function keptIn({ live, outputs, quantize }: Stage): Set<string> {
  return new Set([...live, ...outputs, ...quantize.flatMap(({ uses }) => uses.map(({ input }) => input))])
}

function keepOnly({ float, quantized }: HeldPair, names: ReadonlySet<string>): void {
  for (const held of [float, quantized])
    for (const name of held.keys()) if (!names.has(name)) held.delete(name)
}

async function run(
  session: RunnerSession | null,
  given: readonly string[],
  find: (tensor: string) => Tensor | undefined,
): Promise<Readonly<Record<string, Tensor>>> {
  if (session === null) return {}
  const wanted = new Set(session.inputs.map(({ name }) => name))
  const feeds: Record<string, Tensor> = {}
  for (const name of given) {
    if (!wanted.has(name)) continue
    const tensor = find(name)
    if (tensor === undefined) throw notComputed(name)
    feeds[name] = tensor
  }
  return session.run(feeds)
}

function* outputPairs(
  tensors: readonly string[],
  floats: Readonly<Record<string, Tensor>>,
  others: Readonly<Record<string, Tensor>>,
): Iterable<OutputPair> {
  for (const tensor of tensors) {
    const float = floats[tensor]
    const quantized = others[tensor] ?? float
    if (float === undefined || quantized === undefined) continue
    checkSameShape(`output '${tensor}'`, float, quantized)
    yield { tensor, float, quantized }
  }
}

/** Samples of the two streams are compared one by one: shapes must not depend on values. */
export function checkSameShape(place: string, float: Tensor, quantized: Tensor): void {
  if (float.dims.join() === quantized.dims.join()) return
  throw new GpfqError(
    'UNSUPPORTED_MODEL',
    `${place}: expected the same shape in the float and the quantized network, got (${float.dims.join(', ')}) and ` +
      `(${quantized.dims.join(', ')}), which follow from values; exclude the layers before and behind it`,
  )
}

function notComputed(name: string): GpfqError {
  return new GpfqError(
    'INVALID_DATA',
    `calibration: expected a value for '${name}', got none; does the data cover every model input?`,
  )
}
