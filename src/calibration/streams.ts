/**
 * The two streams of calibration: the float network and the network quantized so far, run side by side over all batches,
 * stage by stage, each node once per stream. Only tensors that somebody still needs are held. Where nothing before a
 * tensor was quantized the streams are one, and it is computed and held once.
 */
import type { ModelProto } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { indexGraph } from '../onnx/graph.js'
import { extractSegment, type SegmentInput } from '../onnx/segment.js'
import type { Stage } from '../onnx/stages.js'
import { ELEM_TYPES } from '../onnx/tensor.js'
import type { Feeds, Runner, RunnerSession, Tensor } from './runner.js'

/** Tensors of one batch by name. */
type Held = Map<string, Tensor>

/** A layer's output in both streams, for one batch: what its error is measured on. */
export interface OutputPair {
  readonly tensor: string
  readonly float: Tensor
  readonly quantized: Tensor
}

export interface RunContext {
  readonly signal: AbortSignal | undefined
  /** Share of the stage's batches that have run, 0..1. */
  readonly onProgress: (fraction: number) => void
}

export class Streams {
  readonly #runner: Runner
  readonly #float: Held[]
  readonly #quantized: Held[] // only what differs from the float stream
  /** Dequantized weights of finished layers, layer name → (groups, inputs, neurons). */
  readonly weights = new Map<string, Float32Array>()
  readonly #model: ModelProto
  readonly #feeds: readonly Feeds[]
  /** The model that the quantized stream runs: with corrected biases, if any. */
  quantizedModel: ModelProto
  #peakBytes = 0

  constructor(runner: Runner, model: ModelProto, batches: readonly Feeds[]) {
    this.#runner = runner
    this.#model = model
    this.#feeds = batches
    this.quantizedModel = model
    this.#float = batches.map((feeds) => new Map(Object.entries(feeds)))
    this.#quantized = batches.map(() => new Map())
  }

  get batches(): number {
    return this.#float.length
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

  /** A tensor that both streams hold. */
  float(batch: number, tensor: string): Tensor {
    const held = this.#float[batch]?.get(tensor)
    if (held === undefined)
      throw new GpfqError('INVALID_MODEL', `calibration: expected '${tensor}' to be computed, got none`)
    return held
  }

  /** The quantized stream's value, null where it is the float one. */
  quantized(batch: number, tensor: string): Tensor | null {
    return this.#quantized[batch]?.get(tensor) ?? null
  }

  /** Runs a stage's nodes in both streams; `measure` sees the outputs of layers quantized earlier. */
  async run(stage: Stage, measure: (pair: OutputPair) => void, context: RunContext): Promise<void> {
    const changed = new Set([...stage.changed, ...stage.measured])
    const fetches = [...new Set([...stage.outputs, ...stage.measured])]
    await this.#runBoth(
      { fetches, changedFetches: fetches.filter((tensor) => changed.has(tensor)), given: stage.inputs },
      context,
      (batch, float, quantized) => {
        for (const pair of pairs(stage.measured, float, quantized)) measure(pair)
        this.#keep(batch, float, quantized, new Set([...stage.outputs, ...stage.live, ...inputsOf(stage)]))
      },
    )
  }

  /** Forgets what no later stage reads. */
  release(stage: Stage): void {
    const live = new Set(stage.live)
    for (const held of [...this.#float, ...this.#quantized]) {
      for (const tensor of held.keys()) if (!live.has(tensor)) held.delete(tensor)
    }
  }

  /** Computes the quantized stream anew, from the graph inputs to all that is live: for weights tied across depth. */
  async replay(
    stage: Stage,
    measured: readonly string[],
    measure: (pair: OutputPair) => void,
    context: RunContext,
  ): Promise<void> {
    const graph = indexGraph(this.#model)
    const given = graph.inputs
    const live = stage.live.filter((tensor) => !given.includes(tensor))
    const fetches = [...new Set([...live, ...measured])]
    if (fetches.length === 0) return
    await this.#runBoth(
      { fetches: [...measured], changedFetches: fetches, given },
      context,
      (batch, float, quantized) => {
        for (const pair of pairs(measured, float, quantized)) measure(pair)
        const held = this.#quantized[batch]
        for (const tensor of live) if (quantized[tensor] !== undefined) held?.set(tensor, quantized[tensor])
      },
    )
  }

  /** Runs a few tensors of both streams from what is held, and keeps nothing. */
  async probe(
    tensors: readonly string[],
    given: readonly string[],
    visit: (pair: OutputPair) => void,
    context: RunContext,
  ): Promise<void> {
    await this.#runBoth(
      { fetches: tensors, changedFetches: tensors, given },
      context,
      (_, float, quantized) => {
        for (const pair of pairs(tensors, float, quantized)) visit(pair)
      },
    )
  }

  async #runBoth(
    what: { fetches: readonly string[]; changedFetches: readonly string[]; given: readonly string[] },
    { signal, onProgress }: RunContext,
    done: (batch: number, float: Record<string, Tensor>, quantized: Record<string, Tensor>) => void,
  ): Promise<void> {
    const { given } = what
    const float = await this.#load(this.#model, given, what.fetches, new Map())
    const quantized = await this.#load(this.quantizedModel, given, what.changedFetches, this.weights)
    try {
      for (let batch = 0; batch < this.batches; batch++) {
        signal?.throwIfAborted()
        const held = this.#float[batch]!
        const other = this.#quantized[batch]!
        const floatOut = await runSession(float, given, (tensor) => held.get(tensor))
        signal?.throwIfAborted()
        const quantizedOut = await runSession(
          quantized,
          given,
          (tensor) => other.get(tensor) ?? held.get(tensor),
        )
        done(batch, floatOut, quantizedOut)
        onProgress((batch + 1) / this.batches)
      }
    } finally {
      await float?.close()
      await quantized?.close()
    }
  }

  async #load(
    model: ModelProto,
    given: readonly string[],
    fetches: readonly string[],
    weights: ReadonlyMap<string, Float32Array>,
  ): Promise<RunnerSession | null> {
    if (fetches.length === 0) return null
    const first = this.#float[0]
    const inputs: SegmentInput[] = given.map((name) => ({
      name,
      elemType: ELEM_TYPES[first?.get(name)?.type ?? 'float32'],
    }))
    return this.#runner.load(extractSegment(model, indexGraph(model).order, inputs, fetches, weights))
  }

  #keep(
    batch: number,
    float: Record<string, Tensor>,
    quantized: Record<string, Tensor>,
    wanted: ReadonlySet<string>,
  ): void {
    const held = this.#float[batch]!
    const other = this.#quantized[batch]!
    for (const [tensor, value] of Object.entries(float)) if (wanted.has(tensor)) held.set(tensor, value)
    for (const [tensor, value] of Object.entries(quantized)) if (wanted.has(tensor)) other.set(tensor, value)
    if (batch === this.batches - 1) this.#peakBytes = Math.max(this.#peakBytes, this.#heldBytes())
  }

  #heldBytes(): number {
    let bytes = 0
    for (const held of [...this.#float, ...this.#quantized])
      for (const { data } of held.values()) bytes += data.byteLength
    return bytes
  }
}

type Outputs = Readonly<Record<string, Tensor>>

function* pairs(tensors: readonly string[], floats: Outputs, quantizeds: Outputs): Iterable<OutputPair> {
  for (const tensor of tensors) {
    const float = floats[tensor]
    const quantized = quantizeds[tensor]
    if (float !== undefined && quantized !== undefined) yield { tensor, float, quantized }
  }
}

const inputsOf = (stage: Stage): string[] =>
  stage.quantize.flatMap(({ uses }) => uses.map(({ input }) => input))

async function runSession(
  session: RunnerSession | null,
  given: readonly string[],
  find: (tensor: string) => Tensor | undefined,
): Promise<Record<string, Tensor>> {
  if (session === null) return {}
  const wanted = new Set(session.inputs.map(({ name }) => name))
  const feeds: Record<string, Tensor> = {}
  for (const name of given) {
    const tensor = find(name)
    if (wanted.has(name) && tensor !== undefined) feeds[name] = tensor
  }
  return session.run(feeds)
}
