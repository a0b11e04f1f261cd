/**
 * What the tensors of the float network take, learned from a run: one sample first, so that batches can be chosen that fit
 * into ONNX Runtime's memory, then as many of the first batch as fit, whose outputs must be finite. The network runs stage by
 * stage, so that no session holds all of its weights and tensors: ONNX Runtime's wasm build never gives memory back.
 */
import { GpfqError } from '../errors.js'
import { indexGraph } from '../onnx/graph.js'
import type { Network } from '../onnx/network.js'
import { inputsOf } from '../onnx/openModel.js'
import type { Stage } from '../onnx/stages.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { cutFeeds } from './batches.js'
import { checkFloatOutputs } from './finite.js'
import type { Runner } from './runner.js'
import { type SampleAxes, sampleAxes } from './sampleAxes.js'
import { StageSessions } from './stageSessions.js'
import { freshPair, inputBytes, keepOnly, keptIn, runOn, samplesIn } from './streamTensors.js'

/** Bytes for the tensors of one batch. */
export interface BatchBudget {
  /** In ONNX Runtime. */
  readonly runtime: number
  /** In the kernels' memory, where they are packed. */
  readonly staged: number
}

/** ONNX Runtime's wasm build has 4 GiB for these tensors, the weights and its own copies. */
export const BATCH_BUDGET: BatchBudget = { runtime: 2 ** 29, staged: 2 ** 31 }

/** What ONNX Runtime makes within a stage, in units of what it reads and returns: not all of it can be known. */
const WITHIN = 2

/** Two batches of both streams, each with a copy that is padded (samplePlan.ts), in units of what a layer reads. */
const STAGED = 8

export interface TensorSizes {
  /** Types of the stages' outputs. */
  readonly types: ReadonlyMap<string, Tensor['type']>
  /** Bytes of all tensors that a stage holds in both streams, at most, for each byte of the inputs. */
  readonly held: number
  /** Bytes of the model's outputs in both streams, for each byte of the inputs: some batches hold them. */
  readonly results: number
  /** Most samples of a batch whose tensors fit. At least 1. */
  readonly most: number
}

/**
 * Runs samples of the first batch once through the float network.
 * @param batches all of the run: they say which axes count samples
 * @throws GpfqError INVALID_DATA for outputs that are not finite, OUT_OF_MEMORY, RUNTIME_FAILED
 */
export async function measureTensors(
  runner: Runner,
  float: Network,
  stages: readonly Stage[],
  batches: readonly Feeds[],
  budget: BatchBudget,
): Promise<TensorSizes> {
  const [feeds = {}] = batches
  const graph = indexGraph(float.float)
  const run = (own: Feeds): Promise<Ran> => runFloat(runner, float, stages, graph.computedOutputs, own)
  const samples = samplesIn(feeds)
  const axes = samples > 1 ? sampleAxes(batches, inputsOf(float.float)) : null
  const one = axes === null ? null : await runOne(run, cutFeeds(feeds, axes, 0, 1))
  const found = one ?? (await run(feeds))
  const { perStage, read, held } = sizesOf(stages, found)
  const fitting = (bytes: number, each: number): number => Math.max(1, Math.floor(bytes / Math.max(1, each)))
  const fits = fitting(budget.runtime, WITHIN * perStage)
  const checked =
    one === null || axes === null ? found : await checkedOf(run, feeds, axes, Math.min(samples, fits), one)
  checkFloatOutputs(graph, checked.feeds, checked.outputs)
  const results = [...found.outputs.values()].reduce((bytes, { data }) => bytes + data.byteLength, 0)
  return {
    types: found.types,
    held: held / Math.max(1, inputBytes(found.feeds)),
    results: (2 * results) / Math.max(1, inputBytes(found.feeds)),
    most: one === null ? samples : Math.min(fits, fitting(budget.staged, STAGED * read)),
  }
}

/** What one run through the float network says. */
interface Ran {
  readonly feeds: Feeds
  readonly types: ReadonlyMap<string, Tensor['type']>
  /** Bytes of the inputs and of all tensors that stages return. */
  readonly bytes: ReadonlyMap<string, number>
  /** Outputs of the model that it computes. */
  readonly outputs: ReadonlyMap<string, Tensor>
}

type Run = (feeds: Feeds) => Promise<Ran>

/** Runs stage after stage; what no later one reads is dropped. */
async function runFloat(
  runner: Runner,
  float: Network,
  stages: readonly Stage[],
  computed: readonly string[],
  feeds: Feeds,
): Promise<Ran> {
  const held = freshPair(feeds)
  const wanted = new Set(computed)
  const types = new Map([...held.float].map(([name, { type }]) => [name, type]))
  const bytes = new Map([...held.float].map(([name, { data }]) => [name, data.byteLength]))
  const sessions = new StageSessions(runner, float, (name) => types.get(name) ?? 'float32')
  try {
    for (const [index, stage] of stages.entries()) {
      const { float: session } = await sessions.of(float, index, stage, () => [])
      const fetched = [...new Set([...stage.outputs, ...stage.measured])]
      const find = (name: string): Tensor | undefined => held.float.get(name)
      const tensors = await runOn(session, float.names.port, stage.inputs, find, fetched)
      for (const [name, tensor] of tensors) {
        types.set(name, tensor.type)
        bytes.set(name, tensor.data.byteLength)
        held.float.set(name, tensor)
      }
      keepOnly(held, new Set([...stage.live, ...computed]))
      await sessions.close()
    }
  } finally {
    await sessions.close()
  }
  return {
    feeds,
    types,
    bytes,
    outputs: new Map([...held.float].filter(([name]) => wanted.has(name))),
  }
}

/** One sample; null where the model cannot run on one, though it declares no size. */
async function runOne(run: Run, feeds: Feeds): Promise<Ran | null> {
  try {
    return await run(feeds)
  } catch (error) {
    if (error instanceof GpfqError && error.code === 'RUNTIME_FAILED') return null
    throw error
  }
}

/** The first samples of a batch, for the check of the outputs. */
function checkedOf(run: Run, feeds: Feeds, axes: SampleAxes, samples: number, one: Ran): Promise<Ran> | Ran {
  if (samples === 1) return one
  return run(samples === samplesIn(feeds) ? feeds : cutFeeds(feeds, axes, 0, samples))
}

/**
 * Bytes of a run's tensors: of the largest stage, of the largest that a layer reads, and of what a stage holds of both
 * streams.
 */
function sizesOf(
  stages: readonly Stage[],
  { bytes, feeds }: Ran,
): { readonly perStage: number; readonly read: number; readonly held: number } {
  const bytesOf = (name: string): number => bytes.get(name) ?? 0
  const sum = (names: Iterable<string>): number =>
    [...names].reduce((total, name) => total + bytesOf(name), 0)
  const given = new Set(Object.keys(feeds))
  let [perStage, read, held] = [0, 0, 0]
  for (const stage of stages) {
    perStage = Math.max(perStage, sum(new Set([...stage.inputs, ...stage.outputs, ...stage.measured])))
    for (const { uses } of stage.quantize) for (const { input } of uses) read = Math.max(read, bytesOf(input))
    const changed = new Set(stage.changed)
    const kept = [...keptIn(stage)].filter((name) => !given.has(name))
    held = Math.max(held, sum(kept) + sum(kept.filter((name) => changed.has(name))))
  }
  return { perStage, read, held }
}
