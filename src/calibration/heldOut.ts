/**
 * Samples that are kept out of calibration. Both networks run on them too, but no code depends on them directly: they judge
 * what the codes are worth on data that was not fitted (src/model/guard.ts, quality.ts). They are spread evenly over all
 * samples, by their numbers alone, so the choice does not depend on how the samples come in batches.
 */
import { rangeError } from '../checks.js'
import { allocateElements, elementCount } from '../tensor/elements.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import { swapLeading } from '../tensor/shapes.js'
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
 * @throws RangeError where no sample would be left, or none can be kept out
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
  if (axes === null) return splitBatches(batches, count, total, wanted !== null)
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

/** The axis of each input that counts samples. */
type SampleAxes = ReadonlyMap<string, number>

/**
 * The axes that count samples: of an input the first one that the model leaves open and that has their number in all batches.
 * Null where samples cannot be taken out of a batch, because the model fixes its size or a tensor has no such axis. A tensor
 * that is the same in all batches needs none.
 */
function sampleAxes(batches: readonly Feeds[], inputs: readonly RunnerInput[]): SampleAxes | null {
  const axes = new Map<string, number>()
  const counts = batches.map((feeds) => samplesIn(feeds))
  const declared = new Map(inputs.map(({ name, dims }) => [name, dims]))
  for (const [name, { dims }] of Object.entries(batches[0] ?? {})) {
    const tensors = batches.map((feeds) => tensorNamed(feeds, name))
    const counting = dims.map((_, axis) => tensors.every((tensor, i) => tensor?.dims[axis] === counts[i]))
    const isFixed = (axis: number): boolean => typeof declared.get(name)?.[axis] === 'number'
    const axis = counting.findIndex((counts, at) => counts && !isFixed(at))
    if (axis >= 0) axes.set(name, axis)
    else if (
      counting[0] ? counts.some((count) => count > 1) : tensors.some((tensor) => tensor !== tensors[0])
    )
      return null
    else if (counting[0]) axes.set(name, 0)
  }
  return axes
}

function splitBatches(
  batches: readonly Feeds[],
  count: number,
  total: number,
  isAsked: boolean,
): SplitSamples {
  const wanted = Math.min(batches.length - 1, Math.round((count * batches.length) / total))
  if (isAsked && wanted === 0)
    throw rangeError('holdout', 'enough samples for a whole batch, since batches cannot be cut', count)
  const isHeldOut = (_: Feeds, batch: number): boolean =>
    Math.floor(((batch + 1) * wanted) / batches.length) > Math.floor((batch * wanted) / batches.length)
  return {
    calibration: batches.filter((feeds, batch) => !isHeldOut(feeds, batch)),
    heldOut: batches.filter(isHeldOut),
  }
}

/** Some samples of a batch. */
const picked = (feeds: Feeds, axes: SampleAxes, samples: readonly number[]): Feeds =>
  changed(feeds, axes, (tensor, axis) => {
    const data = oneByOne(tensor, axis)
    const length = data.length / Math.max(1, tensor.dims[axis] ?? 1)
    return stacked(
      tensor,
      axis,
      samples.map((i) => data.subarray(i * length, (i + 1) * length)),
    )
  })

/** Batches of up to `most` samples, where neighbours have the same shapes: a run of a few samples costs as much as one of many. */
function joined(batches: readonly Feeds[], axes: SampleAxes, most: number): readonly Feeds[] {
  const groups: Feeds[][] = []
  let samples = 0
  for (const feeds of batches) {
    const group = groups.at(-1)
    const fits = group !== undefined && samples + samplesIn(feeds) <= most
    if (fits && shapesOf(group[0]!, axes) === shapesOf(feeds, axes)) group.push(feeds)
    else {
      groups.push([feeds])
      samples = 0
    }
    samples += samplesIn(feeds)
  }
  return groups.map((group) =>
    changed(group[0]!, axes, (tensor, axis, name) =>
      stacked(
        tensor,
        axis,
        group.map((feeds) => oneByOne(tensorNamed(feeds, name)!, axis)),
      ),
    ),
  )
}

const shapesOf = (feeds: Feeds, axes: SampleAxes): string =>
  JSON.stringify(
    Object.entries(feeds).map(([name, { type, dims }]) => {
      const axis = axes.get(name)
      return [name, type, axis === undefined ? dims : dims.toSpliced(axis, 1)]
    }),
  )

const changed = (
  feeds: Feeds,
  axes: SampleAxes,
  change: (tensor: Tensor, axis: number, name: string) => Tensor,
): Feeds =>
  namedTensors(
    Object.entries(feeds).map(([name, tensor]) => {
      const axis = axes.get(name)
      return [name, axis === undefined ? tensor : change(tensor, axis, name)]
    }),
  )

/** The elements of a tensor, one sample after another. */
function oneByOne({ type, dims, data }: Tensor, axis: number): TensorData {
  if (axis === 0) return data
  const [outer, inner] = [elementCount(dims.slice(0, axis)), elementCount(dims.slice(axis + 1))]
  return swapLeading(type, data, outer, dims[axis] ?? 1, inner)
}

/** A tensor of samples that lie one after another in these parts. */
function stacked({ type, dims }: Tensor, axis: number, parts: readonly TensorData[]): Tensor {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const out = allocateElements(type, length)
  const bytes = new Uint8Array(out.buffer)
  let at = 0
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at)
    at += part.byteLength
  }
  const sample = elementCount(dims.toSpliced(axis, 1))
  const samples = sample === 0 ? 0 : length / sample
  if (axis === 0) return { type, dims: dims.with(0, samples), data: out }
  const [outer, inner] = [elementCount(dims.slice(0, axis)), elementCount(dims.slice(axis + 1))]
  return { type, dims: dims.with(axis, samples), data: swapLeading(type, out, samples, outer, inner) }
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
