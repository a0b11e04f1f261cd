/**
 * Samples that are kept out of calibration. Both networks run on them too, but no code depends on them directly: they judge
 * what the codes are worth on data that was not fitted (src/model/guard.ts, quality.ts). They are spread evenly over all
 * samples, by their numbers alone, so the choice does not depend on how the samples come in batches.
 */
import { rangeError } from '../checks.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { type SampleAxes, sampleAxes } from './sampleAxes.js'
import { joinSamples, takeSamples } from './sampleRows.js'
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
  changed(feeds, axes, (tensor, axis) => takeSamples(tensor, axis, samples))

/** Batches of up to `most` samples, where neighbours have the same shapes: a run of a few samples costs as much as one of many. */
function joined(batches: readonly Feeds[], axes: SampleAxes, most: number): readonly Feeds[] {
  const groups: [Feeds, ...Feeds[]][] = []
  let samples = 0
  for (const feeds of batches) {
    const group = groups.at(-1)
    const fits = group !== undefined && samples + samplesIn(feeds) <= most
    if (fits && shapesOf(group[0], axes) === shapesOf(feeds, axes)) group.push(feeds)
    else {
      groups.push([feeds])
      samples = 0
    }
    samples += samplesIn(feeds)
  }
  return groups.map(([first, ...others]) =>
    changed(first, axes, (tensor, axis, name) =>
      joinSamples([tensor, ...others.map((feeds) => tensorNamed(feeds, name)!)], axis),
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
