/** What callers of observe say beside the samples' shape. */
import type { RunOptions } from '../engine/pool.js'
import type { ObservationShape } from './observations.js'
import type { SampleBatch } from './samples.js'

export type Batches = Iterable<SampleBatch> | AsyncIterable<SampleBatch>

export interface ObserveOptions extends RunOptions {
  /** `rows` copies the samples for the vertex walk (observeRows.ts); sums of kind gram if left out. */
  readonly kind?: ObservationShape['kind'] | undefined
  /** These samples come after others that are observed elsewhere: the sum of each segment is kept. */
  readonly later?: boolean | undefined
  /** Share of the rows that are summed, 0..1, after each batch. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** For messages: what the samples belong to. */
  readonly place: string
}
