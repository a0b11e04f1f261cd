/**
 * Batches cut into smaller ones, where ONNX Runtime has no memory for those of the caller. The networks see every sample by
 * itself and sums over samples are canonical, so the size of a batch changes no result.
 */
import { namedTensors } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { samplesIn } from './streamTensors.js'

/** Whether a batch can be cut into samples: the model fixes no size, and every tensor counts the samples on its first axis. */
export function canBeCut(feeds: Feeds, inputs: readonly RunnerInput[]): boolean {
  const samples = samplesIn(feeds)
  return (
    samples > 1 &&
    Object.values(feeds).every(({ dims }) => dims[0] === samples) &&
    inputs.every(({ dims }) => typeof dims?.[0] !== 'number')
  )
}

/** Samples `from` to `to`, without `to`, of a batch: views of its values. */
export function cutFeeds(feeds: Feeds, from: number, to: number): Feeds {
  const samples = samplesIn(feeds)
  return namedTensors(
    Object.entries(feeds).map(([name, { type, dims, data }]): [string, Tensor] => {
      const length = data.length / samples
      return [
        name,
        { type, dims: [to - from, ...dims.slice(1)], data: data.subarray(from * length, to * length) },
      ]
    }),
  )
}

/** Batches of at most so many samples: larger ones are cut, where they can be. */
export const cutBatches = (
  batches: readonly Feeds[],
  inputs: readonly RunnerInput[],
  most: number,
): readonly Feeds[] =>
  batches.flatMap((feeds) => {
    const samples = samplesIn(feeds)
    if (samples <= most || !canBeCut(feeds, inputs)) return [feeds]
    return Array.from({ length: Math.ceil(samples / most) }, (_, i) =>
      cutFeeds(feeds, i * most, Math.min(samples, (i + 1) * most)),
    )
  })
