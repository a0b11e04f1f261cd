/** How the samples of a run are cut for workers. */
import { cutFeeds } from '../calibration/batches.js'
import { segmentSamples } from '../calibration/captures.js'
import { sampleAxes } from '../calibration/sampleAxes.js'
import type { Shard } from '../calibration/shard.js'
import { samplesIn } from '../calibration/streamTensors.js'
import type { Feeds, RunnerInput } from '../tensor/tensor.js'

/** Cuts the samples between segments, into at most so many parts. Batches that cannot be cut are one part. */
export function cutShards(shard: Shard, inputs: readonly RunnerInput[], most: number): readonly Shard[] {
  const { batches, total } = shard
  const segment = segmentSamples(total)
  const segments = Math.ceil(total / segment)
  const axes = sampleAxes(batches, inputs)
  const parts = axes === null ? 1 : Math.min(most, segments)
  const bounds = Array.from({ length: parts + 1 }, (_, i) =>
    Math.min(total, Math.round((i * segments) / parts) * segment),
  )
  if (axes === null || parts === 1) return [{ batches, first: 0, total }]
  return bounds.slice(1).map((end, i) => {
    const first = bounds[i]!
    const own: Feeds[] = []
    let at = 0
    for (const feeds of batches) {
      const samples = samplesIn(feeds)
      const [from, to] = [Math.max(first - at, 0), Math.min(end - at, samples)]
      if (from < to) own.push(from === 0 && to === samples ? feeds : cutFeeds(feeds, axes, from, to))
      at += samples
    }
    return { batches: own, first, total }
  })
}
