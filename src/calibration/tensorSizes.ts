/**
 * What the tensors of the float network take, learned from a run: one sample first, so that batches can be chosen that fit
 * into ONNX Runtime's memory, then as many of the first batch as fit, whose outputs must be finite.
 */
import { GpfqError } from '../errors.js'
import { indexGraph } from '../onnx/graph.js'
import type { Network } from '../onnx/network.js'
import { inputsOf } from '../onnx/openModel.js'
import type { Stage } from '../onnx/stages.js'
import { ELEM_TYPES } from '../onnx/tensor.js'
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { canBeCut, cutFeeds } from './batches.js'
import { checkFloatOutputs } from './finite.js'
import type { Runner } from './runner.js'
import { inputBytes, keptIn, runOn, samplesIn } from './streamTensors.js'

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
 * @throws GpfqError INVALID_DATA for outputs that are not finite, OUT_OF_MEMORY, RUNTIME_FAILED
 */
export async function measureTensors(
  runner: Runner,
  float: Network,
  stages: readonly Stage[],
  feeds: Feeds,
  budget: BatchBudget,
): Promise<TensorSizes> {
  const outputs = [...new Set(stages.flatMap((stage) => stage.outputs))]
  const graph = indexGraph(float.float)
  const given = graph.inputs.map((name) => ({
    name,
    elemType: ELEM_TYPES[tensorNamed(feeds, name)?.type ?? 'float32'],
  }))
  const session = outputs.length === 0 ? null : await runner.load(float.segment(given, outputs))
  const run = (own: Feeds): Promise<ReadonlyMap<string, Tensor>> =>
    runOn(session, float.names.port, graph.inputs, (name) => tensorNamed(own, name), outputs)
  try {
    const samples = samplesIn(feeds)
    const one = canBeCut(feeds, inputsOf(float.float)) ? await runOne(run, cutFeeds(feeds, 0, 1)) : null
    const found = one ?? { feeds, tensors: await run(feeds) }
    const { perRun, perStage, read, held } = sizesOf(stages, found)
    const fitting = (bytes: number, each: number): number =>
      Math.max(1, Math.floor(bytes / Math.max(1, each)))
    const checked =
      one === null
        ? found
        : await checkedOf(run, feeds, Math.min(samples, fitting(budget.runtime, perRun)), one)
    checkFloatOutputs(graph, checked.feeds, checked.tensors)
    return {
      types: new Map([...found.tensors].map(([name, { type }]) => [name, type])),
      held: held / Math.max(1, inputBytes(found.feeds)),
      results: (2 * bytesIn(found, graph.computedOutputs)) / Math.max(1, inputBytes(found.feeds)),
      most:
        one === null
          ? samples
          : Math.min(fitting(budget.runtime, WITHIN * perStage), fitting(budget.staged, STAGED * read)),
    }
  } finally {
    await session?.close()
  }
}

type Run = (feeds: Feeds) => Promise<ReadonlyMap<string, Tensor>>

interface Ran {
  readonly feeds: Feeds
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** One sample; null where the model cannot run on one, though it declares no size. */
async function runOne(run: Run, feeds: Feeds): Promise<Ran | null> {
  try {
    return { feeds, tensors: await run(feeds) }
  } catch (error) {
    if (error instanceof GpfqError && error.code === 'RUNTIME_FAILED') return null
    throw error
  }
}

/** The first samples of a batch, for the check of the outputs. */
async function checkedOf(run: Run, feeds: Feeds, samples: number, one: Ran): Promise<Ran> {
  if (samples === 1) return one
  const own = samples === samplesIn(feeds) ? feeds : cutFeeds(feeds, 0, samples)
  return { feeds: own, tensors: await run(own) }
}

const bytesOf = ({ feeds, tensors }: Ran, name: string): number =>
  (tensors.get(name) ?? tensorNamed(feeds, name))?.data.byteLength ?? 0

const bytesIn = (ran: Ran, names: Iterable<string>): number =>
  [...names].reduce((bytes, name) => bytes + bytesOf(ran, name), 0)

/**
 * Bytes of a run's tensors: of all that the run returns, of the largest stage, of the largest that a layer reads, and of what
 * a stage holds of both streams.
 */
function sizesOf(
  stages: readonly Stage[],
  ran: Ran,
): { readonly perRun: number; readonly perStage: number; readonly read: number; readonly held: number } {
  const { feeds, tensors } = ran
  const sum = (names: Iterable<string>): number => bytesIn(ran, names)
  let [perStage, read, held] = [0, 0, 0]
  for (const stage of stages) {
    perStage = Math.max(perStage, sum(new Set([...stage.inputs, ...stage.outputs, ...stage.measured])))
    for (const { uses } of stage.quantize)
      for (const { input } of uses) read = Math.max(read, bytesOf(ran, input))
    const changed = new Set(stage.changed)
    const kept = [...keptIn(stage)].filter((name) => tensors.has(name))
    held = Math.max(held, sum(kept) + sum(kept.filter((name) => changed.has(name))))
  }
  return { perRun: inputBytes(feeds) + sum(tensors.keys()), perStage, read, held }
}
