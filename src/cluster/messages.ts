/**
 * What travels between a coordinator and its workers. A task names its inputs by their hashes: it has no paths and no code. The
 * inputs are blobs: the run, the samples of a shard, and after each stage the layers and quantizers that the network has got;
 * observations and weights where layers are solved (solveMessages.ts).
 */
import type { Shard } from '../calibration/shard.js'
import { invalidData } from '../errors.js'
import {
  type ContainerArray,
  type ContainerKind,
  openContainer,
  packContainer,
} from '../methods/container.js'
import { layerBytes, layerFrom, type StoredLayer } from '../model/checkpoint/layerFile.js'
import { field, parsed } from '../model/checkpoint/names.js'
import type { PlannedModel } from '../model/preparedModel.js'
import type { SolvedStage } from '../model/solveStage.js'
import type { ActivationQuantizer } from '../onnx/activations/quantizer.js'
import type { SolvedLayer } from '../onnx/network.js'
import type { ModelPlan } from '../options.js'
import { ELEMENT_BYTES, elementCount, elementsIn, isTensorType } from '../tensor/elements.js'
import { namedTensors } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { isHash, sha256 } from './blobs.js'

/** What one shard says at one stage. */
export interface StageTask {
  /** Version of this package, and ONNX Runtime with its version. */
  readonly version: string
  readonly runtime: string
  /** Hashes of the run and of the shard. */
  readonly run: string
  readonly shard: string
  /**
   * Hashes of what the network has got: first the layers that are rounded whatever the samples say, then for each stage its
   * quantizers and its layers. An odd number asks for `advance` of the next stage, an even one for `observe`.
   */
  readonly history: readonly string[]
}

/** The codes of a range of neurons. */
export interface SolveTask {
  readonly version: string
  /** Hashes of observations of all samples, and of what is asked (solveMessages.ts). */
  readonly observations: string
  readonly asked: string
}

export type Task = StageTask | SolveTask

/** A job: a task, and the worker that has its shard's tensors. */
export interface Job {
  readonly task: Task
  readonly prefers: string | null
}

/** What a worker returns. */
export interface Answer {
  readonly worker: string
}

export const isSolveTask = (task: Task): task is SolveTask => 'observations' in task

/** The same for the same task, however it is sent. */
export const taskId = (task: Task): string =>
  sha256(
    JSON.stringify(
      isSolveTask(task)
        ? ['solve', task.version, task.observations, task.asked]
        : [task.version, task.runtime, task.run, task.shard, task.history],
    ),
  )

/** @throws GpfqError INVALID_DATA for anything else */
export function jobFrom(data: unknown): Job {
  const [task, prefers] = [field(data, 'task'), field(data, 'prefers')]
  if (!isTask(task) || (prefers !== null && typeof prefers !== 'string'))
    throw invalidData('job', 'a task of gpfq', 'something else')
  return { task, prefers }
}

const isTask = (value: unknown): value is Task => {
  if (typeof field(value, 'version') !== 'string') return false
  if (isHash(field(value, 'observations'))) return isHash(field(value, 'asked'))
  const history = field(value, 'history')
  return (
    typeof field(value, 'runtime') === 'string' &&
    isHash(field(value, 'run')) &&
    isHash(field(value, 'shard')) &&
    Array.isArray(history) &&
    history.length > 0 &&
    history.every(isHash)
  )
}

const KIND: ContainerKind = { letters: 'CLUS', version: 1, name: 'a part of a run' }

/** A text with what it names behind it. */
export function pack(text: unknown, parts: readonly ContainerArray[]): Uint8Array {
  const encoded = new TextEncoder().encode(JSON.stringify(text))
  return packContainer(KIND, [encoded.length], [encoded, ...parts])
}

/** @throws GpfqError INVALID_DATA for bytes that `pack` has not made */
export function unpack(place: string, bytes: Uint8Array) {
  const reader = openContainer(place, KIND, bytes)
  return { reader, text: parsed(reader.bytes(reader.whole('text', 0, bytes.length))) }
}

const bytesOf = ({ data }: Tensor): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** The run: its plan and its model. */
export const runBytes = (plan: ModelPlan, model: Uint8Array): Uint8Array =>
  pack({ plan, bytes: model.length }, [model])

/** @returns the plan as it came: joinPlan compares it with the model */
export function runFrom(bytes: Uint8Array): { readonly plan: ModelPlan; readonly model: Uint8Array } {
  const { reader, text } = unpack('run', bytes)
  if (!hasPlan(text)) throw invalidData('run', 'a plan and a model', 'something else')
  const model = reader.bytes(text.bytes)
  reader.end()
  return { plan: text.plan, model }
}

const hasPlan = (text: unknown): text is { readonly plan: ModelPlan; readonly bytes: number } => {
  const plan = field(text, 'plan')
  return (
    isLength(field(text, 'bytes')) &&
    typeof field(plan, 'settings') === 'object' &&
    Array.isArray(field(plan, 'layers')) &&
    Array.isArray(field(plan, 'inputs'))
  )
}

/** Whether a value out of JSON can be a length. */
export const isLength = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** The samples of a shard. */
export function shardBytes({ batches, first, total }: Shard): Uint8Array {
  const text = {
    ...{ first, total },
    batches: batches.map((feeds) =>
      Object.entries(feeds).map(([name, { type, dims }]) => [name, type, dims]),
    ),
  }
  return pack(
    text,
    batches.flatMap((feeds) => Object.values(feeds).map(bytesOf)),
  )
}

/** @throws GpfqError INVALID_DATA for bytes that are no shard */
export function shardFrom(bytes: Uint8Array): Shard {
  const { reader, text } = unpack('shard', bytes)
  const fail = () => invalidData('shard', 'batches of tensors', 'something else')
  const [first, total, batches] = [field(text, 'first'), field(text, 'total'), field(text, 'batches')]
  if (!isLength(first) || !isLength(total) || !Array.isArray(batches)) throw fail()
  const tensorOf = (entry: unknown): [string, Tensor] => {
    if (!Array.isArray(entry)) throw fail()
    const [name, type, dims]: unknown[] = entry
    if (typeof name !== 'string' || typeof type !== 'string' || !isTensorType(type)) throw fail()
    if (!Array.isArray(dims) || !dims.every(isLength)) throw fail()
    const count = elementCount(dims)
    const { buffer, byteOffset } = reader.bytes(count * ELEMENT_BYTES[type])
    return [name, { type, dims, data: elementsIn(type, buffer, byteOffset, count) }]
  }
  const read = batches.map((batch: unknown): Feeds => {
    if (!Array.isArray(batch)) throw fail()
    return namedTensors(batch.map(tensorOf))
  })
  reader.end()
  return { batches: read, first, total }
}

/** Solved layers. What the report alone says of them stays behind, so that the same codes have the same bytes. */
export function layersBytes({ byName }: PlannedModel, layers: readonly SolvedLayer[]): Uint8Array {
  const reported = { samples: 0, deadInputs: 0, seconds: 0, zeros: 0, weights: null, judgement: null }
  return storedBytes(
    layers.map((solved) => {
      const planned = byName.get(solved.layer.name)!
      return { layer: { ...solved, ...reported, planned, rounded: null }, notes: [] }
    }),
  )
}

/** @throws GpfqError INVALID_DATA for bytes that are none, or of another model */
export const layersFrom = (planned: PlannedModel, bytes: Uint8Array): readonly SolvedLayer[] =>
  storedFrom(planned, bytes).map(({ layer }) => layer)

/** A solved stage with all that the report says of it. */
export const solvedStageBytes = ({ layers, notes }: SolvedStage): Uint8Array =>
  storedBytes(layers.map((layer, i) => ({ layer, notes: i === 0 ? notes : [] })))

/** @throws GpfqError INVALID_DATA for bytes that are none, or of another model */
export function solvedStageFrom(planned: PlannedModel, bytes: Uint8Array): SolvedStage {
  const stored = storedFrom(planned, bytes)
  return { layers: stored.map(({ layer }) => layer), notes: stored.flatMap(({ notes }) => notes) }
}

function storedBytes(layers: readonly StoredLayer[]): Uint8Array {
  const parts = layers.map((own) => layerBytes('', own))
  return pack(
    layers.map(({ layer }, i) => [layer.planned.name, parts[i]!.length]),
    parts,
  )
}

function storedFrom({ byName }: PlannedModel, bytes: Uint8Array): readonly StoredLayer[] {
  const { reader, text } = unpack('layers', bytes)
  const fail = () => invalidData('layers', 'layers of the model', 'something else')
  if (!Array.isArray(text)) throw fail()
  const layers = text.map((entry: unknown): StoredLayer => {
    if (!Array.isArray(entry) || !isLength(entry[1])) throw fail()
    const planned = byName.get(String(entry[0]))
    const stored = planned && layerFrom('layers', reader.bytes(entry[1]), '', planned)
    if (!stored) throw fail()
    return stored
  })
  reader.end()
  return layers
}

export const quantizersBytes = (quantizers: ReadonlyMap<string, ActivationQuantizer>): Uint8Array =>
  pack([...quantizers], [])

/** @throws GpfqError INVALID_DATA for bytes that are none */
export function quantizersFrom(bytes: Uint8Array): ReadonlyMap<string, ActivationQuantizer> {
  const { text } = unpack('quantizers', bytes)
  const fail = () => invalidData('quantizers', 'quantizers of tensors', 'something else')
  if (!Array.isArray(text)) throw fail()
  return new Map(
    text.map((entry: unknown): [string, ActivationQuantizer] => {
      if (!Array.isArray(entry)) throw fail()
      const [tensor, quantizer]: unknown[] = entry
      const [scale, zeroPoint] = [field(quantizer, 'scale'), field(quantizer, 'zeroPoint')]
      if (typeof tensor !== 'string' || typeof scale !== 'number' || typeof zeroPoint !== 'number')
        throw fail()
      return [tensor, { scale, zeroPoint }]
    }),
  )
}
