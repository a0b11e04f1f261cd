/**
 * observe: samples in, Observations out. The first of the three verbs of a layer; merge (observations.ts) and solve
 * (solve.ts) are the others. A batch that crosses the border of a segment is cut there, so that the sums do not depend on
 * how the samples came.
 */
import { rangeError } from '../checks.js'
import { imagesOf } from './convolution.js'
import type { Engine } from './engine.js'
import { GramSums } from './gramSums.js'
import { Observations, type Sum } from './observations.js'
import type { Batches, ObserveOptions } from './observeOptions.js'
import { observeRows } from './observeRows.js'
import { checkFinite, named } from './sampleChecks.js'
import { observationShape, planSamples, type SampleShape } from './samplePlan.js'
import { cutBatch, type SampleBatch } from './samples.js'

/**
 * Sums what the samples say about a layer's inputs.
 * @param shape its `rows` are those of all batches
 * @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, WORKER_FAILED; the signal's reason when aborted
 */
export async function observe(
  engine: Engine,
  shape: SampleShape,
  batches: Batches,
  options: ObserveOptions,
): Promise<Observations> {
  if (options.kind === 'rows') return observeRows(shape, batches, options)
  const { arena } = engine
  const mark = arena.mark()
  let sums: GramSums | undefined
  try {
    checkSegments(shape)
    // All memory is taken before work starts, so that a lack of it is not found out after hours.
    const own = named(options.place, () => new GramSums(engine, shape, planSamples(shape, options.later)))
    sums = own
    const found = await sumUp(own, shape, batches, options)
    checkFinite(found, options.place)
    return found
  } finally {
    // Nothing may still write to memory that the next layer will own.
    await sums?.idle().catch(() => {})
    arena.release(mark)
  }
}

/** All segments from the first sample on, added up as they end; segments of later samples each by itself. */
async function sumUp(
  sums: GramSums,
  shape: SampleShape,
  batches: Batches,
  options: ObserveOptions,
): Promise<Observations> {
  const { later = false } = options
  const found: Sum[] = []
  let rows = 0
  const take = async (ends: boolean): Promise<void> => {
    await sums.finish(ends, options)
    found.push(sums.read())
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

function checkSegments({ segmentRows, correlation }: SampleShape): void {
  if (correlation === undefined || Number.isInteger(imagesOf(correlation.convolution, segmentRows))) return
  throw rangeError('segmentRows', 'whole images for a convolution', segmentRows)
}
