/** A shard: some of the calibration samples, with their place among all. */
import type { Feeds } from '../tensor/tensor.js'
import { samplesIn, samplesOf } from './streamTensors.js'

/** Some of the calibration samples: batches of them, and where they lie among all. */
export interface Shard {
  readonly batches: readonly Feeds[]
  /** Batches of samples that are kept out of calibration (heldOut.ts): both networks run on them after the others. */
  readonly heldOut?: readonly Feeds[]
  /** Samples before the first one of these. */
  readonly first: number
  /** Samples of all shards, without those kept out. */
  readonly total: number
}

/** All samples as one shard. */
export function wholeShard(batches: readonly Feeds[], heldOut: readonly Feeds[] = []): Shard {
  return { batches, heldOut, first: 0, total: samplesOf(batches) }
}

/** Samples before each batch. */
export const firstSamples = (batches: readonly Feeds[], first: number): readonly number[] =>
  batches.map((_, i) => batches.slice(0, i).reduce((sum, feeds) => sum + samplesIn(feeds), first))
