/**
 * Segment by segment: a batch that crosses the border of a segment is cut there, so that the sums do not depend on how the samples
 * came.
 */
import type { RunOptions } from '../engine/pool.js'
import { Observations, type Sum } from './observations.js'
import type { Batches, ObserveOptions } from './observeOptions.js'
import { observationShape, type SampleShape } from './samplePlan.js'
import { cutBatch, type SampleBatch } from './samples.js'

/** Sums of a layer, wherever they are: in wasm (gramSums.ts) or on a GPU (src/webgpu/gpuSums.ts). */
export interface SegmentSums {
  /** @param ends whether the batch's last row is the last one of a segment */
  add(batch: SampleBatch, ends: boolean, options: RunOptions): Promise<void>
  /** Resolves when all batches are summed; `ends` ends the segment that is open. */
  finish(ends: boolean, options: RunOptions): Promise<void>
  /** A copy of the total. */
  read(): Sum | Promise<Sum>
  /** Sets all sums to zero. */
  clear(): void
}

/** All segments from the first sample on, added up as they end; segments of later samples each by itself. */
export async function sumUp(
  sums: SegmentSums,
  shape: SampleShape,
  batches: Batches,
  options: ObserveOptions,
): Promise<Observations> {
  const { later = false } = options
  const found: Sum[] = []
  let rows = 0
  const take = async (ends: boolean): Promise<void> => {
    await sums.finish(ends, options)
    found.push(await sums.read())
  }
  for await (const { piece, ends } of pieces(batches, shape, options)) {
    rows += piece.gather.rows
    await sums.add(piece, ends, options)
    if (!(later && ends)) continue
    await take(true)
    sums.clear()
  }
  const open = rows % shape.segmentRows > 0
  if (open || !later) await take(open)
  return new Observations(observationShape(shape), rows, !later, true, found)
}

/** The batches, cut at the borders of segments. */
async function* pieces(
  batches: Batches,
  { segmentRows, rows: expected }: SampleShape,
  { onProgress }: ObserveOptions,
): AsyncIterable<{ readonly piece: SampleBatch; readonly ends: boolean }> {
  let row = 0
  for await (const batch of batches) {
    const { rows } = batch.gather
    for (let done = 0; done < rows; ) {
      const count = Math.min(rows - done, segmentRows - (row % segmentRows))
      row += count
      yield { piece: cutBatch(batch, done, done + count), ends: row % segmentRows === 0 }
      done += count
    }
    onProgress?.(Math.min(1, row / Math.max(1, expected)))
  }
}
