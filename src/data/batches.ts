/**
 * Which axis of an input counts samples, and which samples are a batch. The samples of a batch follow each other and have one
 * shape, so nothing is padded, and their order is that of the files.
 */
import { invalidData } from '../errors.js'
import type { RunnerInput } from '../tensor/tensor.js'
import type { ReadyFeeder } from './feeder.js'
import type { FeedNote } from './feedNote.js'

/** The axis that the user names for an input. */
export const axisAt = (axes: Readonly<Record<string, number>>, name: string): number | undefined =>
  Object.hasOwn(axes, name) ? axes[name] : undefined

/** The name of the batch dimension: that of the first axis, of the first input whose axis the user does not say. */
export function batchName(
  inputs: readonly RunnerInput[],
  axes: Readonly<Record<string, number>>,
): string | undefined {
  return inputs
    .filter((input) => axisAt(axes, input.name) === undefined)
    .map(({ dims }) => dims?.[0])
    .find((dim) => typeof dim === 'string')
}

/**
 * The axis of an input that counts samples: what the user says, else the one whose dimension has the name of the first
 * input's batch dimension, else the first.
 */
export function batchAxisOf(
  inputs: readonly RunnerInput[],
  axes: Readonly<Record<string, number>>,
): (input: RunnerInput) => number {
  const batch = batchName(inputs, axes)
  return (input) =>
    axisAt(axes, input.name) ?? (batch === undefined ? 0 : Math.max(0, input.dims?.indexOf(batch) ?? 0))
}

/** The batch dimension of the first input that fixes one. */
export function fixedBatch(
  inputs: readonly RunnerInput[],
  axisOf: (input: RunnerInput) => number,
): number | undefined {
  return inputs
    .map((input) => input.dims?.[axisOf(input)])
    .find((dim): dim is number => typeof dim === 'number' && dim > 0)
}

/** Samples begin … end − 1. */
export type Range = readonly [begin: number, end: number]

/** The samples of a batch. */
export type Batch = readonly Range[]

/** How many samples a batch has. */
export const batchLength = (batch: Batch): number => batch.reduce((sum, [begin, end]) => sum + end - begin, 0)

/** Batches of samples that have one shape and follow each other. */
export function cutBatches(feeders: readonly ReadyFeeder[], batchSize: number): readonly Range[] {
  const samples = Math.min(...feeders.map((feeder) => feeder.samples))
  const batches: Range[] = []
  for (let begin = 0, end = 0; begin < samples; begin = end) {
    end = Math.min(begin + batchSize, samples, ...feeders.map((feeder) => feeder.sameShapeUntil(begin)))
    batches.push([begin, end])
  }
  return batches
}

/**
 * Batches of the model's fixed size: the last samples are left out where they do not fill one.
 * @throws {GpfqError} INVALID_DATA where that leaves nothing, or samples of another shape follow
 */
export function wholeBatches(
  batches: readonly Range[],
  fixed: number | undefined,
  notes: FeedNote[],
): readonly Range[] {
  const short = batches.findIndex(([begin, end]) => end - begin < (fixed ?? 0))
  if (fixed === undefined || short < 0) return batches
  const [begin, end] = batches[short]!
  if (begin === 0 && batches.length === 1)
    throw invalidData('data', `at least ${fixed} samples for the model's fixed batch`, String(end))
  if (short < batches.length - 1)
    throw invalidData(
      'data',
      `samples of one shape for the model's fixed batch of ${fixed}`,
      `only ${end - begin} before those of another`,
    )
  notes.push({
    code: 'SAMPLES_LEFT_OUT',
    place: null,
    text: `the model takes batches of ${fixed}: the last ${end - begin} of the samples are left out`,
  })
  return batches.slice(0, short)
}

/** Sizes of the dimensions that have a name, in a batch. */
export function namedSizes(feeders: readonly ReadyFeeder[], batch: Batch): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>()
  for (const { input, dims } of feeders) {
    const found = dims(batch[0]?.[0] ?? 0, batchLength(batch))
    for (const [axis, name] of (input.dims ?? []).entries())
      if (typeof name === 'string' && !sizes.has(name)) sizes.set(name, found[axis] ?? 1)
  }
  return sizes
}
