/**
 * Batches cut into smaller ones, where ONNX Runtime has no memory for those of the caller. The networks see every sample by
 * itself and sums over samples are canonical, so the size of a batch changes no result.
 */
import { namedTensors } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import type { SampleAxes } from './sampleAxes.js'
import { takeSamples } from './sampleRows.js'
import { samplesIn } from './streamTensors.js'

/** Samples `from` to `to`, without `to`, of a batch: views of its values where the first axis counts samples. */
export const cutFeeds = (feeds: Feeds, axes: SampleAxes, from: number, to: number): Feeds =>
  namedTensors(
    Object.entries(feeds).map(([name, tensor]): [string, Tensor] => {
      const axis = axes.get(name)
      return [name, axis === undefined ? tensor : cutTensor(tensor, axis, from, to)]
    }),
  )

function cutTensor(tensor: Tensor, axis: number, from: number, to: number): Tensor {
  const { type, dims, data } = tensor
  const [samples = 1, ...sample] = dims
  if (axis > 0)
    return takeSamples(
      tensor,
      axis,
      Array.from({ length: to - from }, (_, i) => from + i),
    )
  const length = data.length / samples
  return { type, dims: [to - from, ...sample], data: data.subarray(from * length, to * length) }
}

/** Batches of at most so many samples: larger ones are cut, where they can be. @param axes null where they cannot */
export const cutBatches = (
  batches: readonly Feeds[],
  axes: SampleAxes | null,
  most: number,
): readonly Feeds[] =>
  batches.flatMap((feeds) => {
    const samples = samplesIn(feeds)
    if (samples <= most || axes === null) return [feeds]
    return Array.from({ length: Math.ceil(samples / most) }, (_, i) =>
      cutFeeds(feeds, axes, i * most, Math.min(samples, (i + 1) * most)),
    )
  })
