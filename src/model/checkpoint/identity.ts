/**
 * What the result of a run depends on, each by itself, so that a checkpoint of another run is refused with what differs. What
 * changes no byte of the result is left out: threads, memory and the size of batches.
 */
import { isSame } from '../../calibration/sampleAxes.js'
import type { Shard } from '../../calibration/shard.js'
import { samplesIn } from '../../calibration/streamTensors.js'
import { encodeModel } from '../../onnx/model.js'
import type { Model } from '../../onnx/openModel.js'
import type { ModelPlan } from '../../options.js'
import type { Feeds, Tensor } from '../../tensor/tensor.js'
import { VERSION } from '../../version.js'
import { Digest, digestOf } from './digest.js'

/** What is known before samples are read. */
export interface RunIdentity {
  /** Version of this package. */
  readonly version: string
  /** Digests of the model with its external data, and of the plan. */
  readonly model: string
  readonly plan: string
  /** ONNX Runtime with its version. */
  readonly runtime: string
  /** Whether relaxed SIMD runs. */
  readonly fastMath: boolean
}

/** Digests of the samples of calibration, and of those that are kept out or were given to judge on. */
export interface SampleIdentity {
  readonly samples: string
  readonly heldOut: string
}

export async function identityOf(
  model: Model,
  plan: ModelPlan,
  runner: string,
  fastMath: boolean,
  signal: AbortSignal | undefined,
): Promise<RunIdentity> {
  return {
    version: VERSION,
    model: await modelDigest(model, signal),
    plan: await digestOf(JSON.stringify(comparable(plan))),
    runtime: runner.replace(/ \(.*/, ''), // without threads
    fastMath,
  }
}

async function modelDigest(model: Model, signal: AbortSignal | undefined): Promise<string> {
  const digest = new Digest(signal)
  if (model.externalData.length === 0) await digest.add(await model.runnable())
  else {
    await digest.add(encodeModel(model.proto))
    for (const file of (await model.whole()).files) await digest.add(file)
  }
  return digest.result()
}

/** What of a plan decides the result. */
export function comparable({ version, settings, inputs, layers, stages }: ModelPlan) {
  const { memory: _, ...others } = settings
  const own = layers.map(({ memoryBytes: _, parts: __, ...layer }) => layer)
  return { version, settings: others, inputs, layers: own, stages }
}

export async function sampleIdentity(
  { batches, heldOut = [] }: Shard,
  signal: AbortSignal | undefined,
): Promise<SampleIdentity> {
  return { samples: await feedsDigest(batches, signal), heldOut: await feedsDigest(heldOut, signal) }
}

/** The values of one input in all batches. */
interface Column {
  readonly digest: Digest
  /** Samples in a row that have the same type and dims. */
  readonly runs: { readonly type: string; readonly dims: readonly number[]; samples: number }[]
  /** The last tensor of those that do not count samples. */
  constant: Tensor | null
}

/** Samples have the same digest however they come in batches, if the leading axis of their tensors counts them. */
async function feedsDigest(batches: readonly Feeds[], signal: AbortSignal | undefined): Promise<string> {
  const columns = new Map<string, Column>()
  for (const feeds of batches) {
    const samples = samplesIn(feeds)
    for (const [name, tensor] of Object.entries(feeds)) {
      signal?.throwIfAborted()
      const column = columns.get(name) ?? { digest: new Digest(signal), runs: [], constant: null }
      columns.set(name, column)
      await addTensor(column, tensor, samples)
    }
  }
  const all: unknown[] = []
  for (const [name, { digest, runs }] of [...columns].sort(([a], [b]) => (a < b ? -1 : 1)))
    all.push([name, runs, await digest.result()])
  return digestOf(JSON.stringify(all))
}

async function addTensor(column: Column, tensor: Tensor, samples: number): Promise<void> {
  const { type, dims, data } = tensor
  const counts = dims.length > 0 && dims[0] === samples
  if (!counts && column.constant !== null && isSame(column.constant, tensor)) return
  column.constant = counts ? null : tensor
  const own = counts ? dims.slice(1) : dims
  const last = column.runs.at(-1)
  const goesOn = counts && last?.type === type && last.dims.join() === own.join()
  if (goesOn) last.samples += samples
  else column.runs.push({ type, dims: own, samples: counts ? samples : 0 })
  await column.digest.add(bytesOf(data))
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Tensor['data']): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)
