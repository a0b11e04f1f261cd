/** What callers of observe say beside the samples' shape. */
import type { RunOptions } from '../engine/pool.js'
import type { ObservationShape, Observations } from './observations.js'
import type { SampleBatch } from './samples.js'

export type Batches = Iterable<SampleBatch> | AsyncIterable<SampleBatch>

export interface ObserveOptions extends RunOptions {
  /** `rows` copies the samples for the vertex walk (observeRows.ts); sums of kind gram if left out. */
  readonly kind?: ObservationShape['kind'] | undefined
  /** Observations of the samples before, to be continued: their open segment must hold whole blocks of 256 rows. */
  readonly from?: Observations | undefined
  /** More samples will follow: the open segment is kept by itself. */
  readonly open?: boolean | undefined
  /** These samples come behind others that are observed elsewhere: the segments' sums are kept one by one. */
  readonly later?: boolean | undefined
  /** Share of the rows that are summed, 0..1, after each batch. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** For messages: what the samples belong to. */
  readonly place: string
}
