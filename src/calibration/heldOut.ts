/**
 * Samples that are kept out of calibration. Both networks run on them too, but no code depends on them directly: they judge
 * what the codes are worth on data that was not fitted (src/model/guard.ts, quality.ts). They are spread evenly over all
 * samples, by their numbers alone, so the choice does not depend on how the samples come in batches.
 */
import { rangeError } from '../checks.js'
import { allocateElements } from '../tensor/elements.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor, TensorData } from '../tensor/tensor.js'
import { samplesIn, samplesOf } from './streamTensors.js'

/** Calibration batches, and batches of the samples that are kept out of them. */
export interface SplitSamples {
  readonly calibration: readonly Feeds[]
  readonly heldOut: readonly Feeds[]
}

/** Fewest samples that are kept out where there are four times as many. */
const FEW = 8

/** How many of so many samples are kept out by default: an eighth, at least 8, but never more than a quarter. */
export const heldOutOf = (samples: number): number =>
  Math.max(Math.floor(samples / 8), Math.min(FEW, Math.floor(samples / 4)))

/**
 * @param wanted samples to keep out; null for the default
 * @param inputs those of the model: where it takes batches of one size only, whole batches are kept out
 * @throws RangeError where no sample would be left
 */
export function splitSamples(
  batches: readonly Feeds[],
  wanted: number | null,
  inputs: readonly RunnerInput[],
): SplitSamples {
  const total = samplesOf(batches)
  if (wanted !== null && wanted > 0 && wanted >= total)
    throw rangeError('holdout', `fewer than the ${total} samples`, wanted)
  const count = wanted ?? heldOutOf(total)
  if (count === 0) return { calibration: batches, heldOut: [] }
  const axes = sampleAxes(batches, inputs)
  if (axes === null) return splitBatches(batches, count, total)
  const isHeldOut = (sample: number): boolean =>
    Math.floor(((sample + 1) * count) / total) > Math.floor((sample * count) / total)
  const calibration: Feeds[] = []
  const heldOut: Feeds[] = []
  let first = 0
  for (const feeds of batches) {
    const samples = Array.from({ length: samplesIn(feeds) }, (_, i) => i)
    const start = first
    const out = samples.filter((i) => isHeldOut(start + i))
    first += samples.length
    if (out.length === 0) calibration.push(feeds)
    else if (out.length === samples.length) heldOut.push(feeds)
    else {
      calibration.push(
        picked(
          feeds,
          axes,
          samples.filter((i) => !isHeldOut(start + i)),
        ),
      )
      heldOut.push(picked(feeds, axes, out))
    }
  }
  return { calibration, heldOut: joined(heldOut, axes, samplesIn(batches[0])) }
}

/**
 * The inputs whose leading axis counts samples; null where samples cannot be taken out of a batch, because the model fixes its
 * size or a tensor has another leading axis. A tensor that is the same in all batches needs none.
 */
function sampleAxes(batches: readonly Feeds[], inputs: readonly RunnerInput[]): ReadonlySet<string> | null {
  const names = new Set<string>()
  for (const name of Object.keys(batches[0] ?? {})) {
    const tensors = batches.map((feeds) => tensorNamed(feeds, name))
    const counts = batches.map((feeds) => samplesIn(feeds))
    if (tensors.every((tensor, i) => tensor?.dims[0] === counts[i])) names.add(name)
    else if (tensors.some((tensor) => tensor !== tensors[0])) return null
  }
  const isFixed = ({ name, dims }: RunnerInput): boolean => names.has(name) && typeof dims?.[0] === 'number'
  return batches.some((feeds) => samplesIn(feeds) > 1) && inputs.some(isFixed) ? null : names
}

function splitBatches(batches: readonly Feeds[], count: number, total: number): SplitSamples {
  const wanted = Math.min(batches.length - 1, Math.round((count * batches.length) / total))
  const isHeldOut = (_: Feeds, batch: number): boolean =>
    Math.floor(((batch + 1) * wanted) / batches.length) > Math.floor((batch * wanted) / batches.length)
  return {
    calibration: batches.filter((feeds, batch) => !isHeldOut(feeds, batch)),
    heldOut: batches.filter(isHeldOut),
  }
}

/** Some samples of a batch. */
const picked = (feeds: Feeds, axes: ReadonlySet<string>, samples: readonly number[]): Feeds =>
  changed(feeds, axes, (tensor) => {
    const { data } = tensor
    const length = data.length / Math.max(1, tensor.dims[0] ?? 1)
    return stacked(
      tensor,
      samples.map((i) => data.subarray(i * length, (i + 1) * length)),
    )
  })

/** Batches of up to `most` samples, where neighbours have the same shapes: a run of a few samples costs as much as one of many. */
function joined(batches: readonly Feeds[], axes: ReadonlySet<string>, most: number): readonly Feeds[] {
  const groups: Feeds[][] = []
  let samples = 0
  for (const feeds of batches) {
    const group = groups.at(-1)
    const fits = group !== undefined && samples + samplesIn(feeds) <= most
    if (fits && shapesOf(group[0]!) === shapesOf(feeds)) group.push(feeds)
    else {
      groups.push([feeds])
      samples = 0
    }
    samples += samplesIn(feeds)
  }
  return groups.map((group) =>
    changed(group[0]!, axes, (tensor, name) =>
      stacked(
        tensor,
        group.map((feeds) => tensorNamed(feeds, name)!.data),
      ),
    ),
  )
}

const shapesOf = (feeds: Feeds): string =>
  JSON.stringify(Object.entries(feeds).map(([name, { type, dims }]) => [name, type, dims.slice(1)]))

const changed = (
  feeds: Feeds,
  axes: ReadonlySet<string>,
  change: (tensor: Tensor, name: string) => Tensor,
): Feeds =>
  namedTensors(
    Object.entries(feeds).map(([name, tensor]) => [name, axes.has(name) ? change(tensor, name) : tensor]),
  )

/** A tensor of these parts along its leading axis. */
function stacked({ type, dims: [, ...dims] }: Tensor, parts: readonly TensorData[]): Tensor {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const out = allocateElements(type, length)
  const bytes = new Uint8Array(out.buffer)
  let at = 0
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at)
    at += part.byteLength
  }
  const sample = dims.reduce((product, dim) => product * dim, 1)
  return { type, dims: [sample === 0 ? 0 : length / sample, ...dims], data: out }
}

/**
 * Whether all samples are equal, or even all values of each input. Reading ends at the first difference.
 * @param batches at least one sample
 */
export function samenessOf(batches: readonly Feeds[]): 'different' | 'equal' | 'constant' {
  let constant = true
  for (const [name, { data, dims }] of Object.entries(batches[0] ?? {})) {
    const sample = data.subarray(0, data.length / Math.max(1, dims[0] ?? 1))
    for (const feeds of batches) {
      const values = tensorNamed(feeds, name)?.data ?? sample
      for (let i = 0; i < values.length; i++) {
        if (values[i] !== sample[i % sample.length]) return 'different'
        constant &&= values[i] === sample[0]
      }
    }
  }
  return constant ? 'constant' : 'equal'
}
