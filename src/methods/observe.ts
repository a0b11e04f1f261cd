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
  const started = options.from?.rows ?? 0
  let sums: GramSums | undefined
  try {
    checkSegments(shape)
    // All memory is taken before work starts, so that a lack of it is not found out after hours.
    const own = named(options.place, () => {
      const plan = planSamples({ ...shape, rows: started + shape.rows }, options.later)
      return new GramSums(engine, shape, plan)
    })
    sums = own
    if (options.from !== undefined) own.load(...continued(options.from))
    const found = await (options.later === true ? sumApart : sumInOrder)(own, shape, batches, options)
    checkFinite(found, options.place)
    return found
  } finally {
    // Nothing may still write to memory that the next layer will own.
    await sums?.idle().catch(() => {})
    arena.release(mark)
  }
}

/** All segments from the first on, into one sum and perhaps that of an open segment. */
async function sumInOrder(
  sums: GramSums,
  shape: SampleShape,
  batches: Batches,
  options: ObserveOptions,
): Promise<Observations> {
  const { from, open = false } = options
  const { segmentRows } = shape
  let rows = from?.rows ?? 0
  for await (const { piece, ends } of pieces(batches, shape, rows, options)) {
    rows += piece.gather.rows
    await sums.add(piece, ends, options)
  }
  const over = rows % segmentRows === 0
  const keepsOpen = open && !over
  await sums.finish(!keepsOpen && !over, options)
  const found = !keepsOpen
    ? [sums.read('total')]
    : rows > segmentRows
      ? [sums.read('total'), sums.read('segment')]
      : [sums.read('segment')]
  return new Observations(observationShape(shape), rows, true, from?.exact ?? true, found)
}

/** Each segment's sum by itself, for samples that come behind others. */
async function sumApart(
  sums: GramSums,
  shape: SampleShape,
  batches: Batches,
  options: ObserveOptions,
): Promise<Observations> {
  const apart: Sum[] = []
  let rows = 0
  const take = async (): Promise<void> => {
    await sums.finish(true, options)
    apart.push(sums.read('total'))
    sums.clear()
  }
  for await (const { piece, ends } of pieces(batches, shape, 0, options)) {
    rows += piece.gather.rows
    await sums.add(piece, ends, options)
    if (ends) await take()
  }
  if (rows % shape.segmentRows > 0) await take()
  return new Observations(observationShape(shape), rows, false, true, apart)
}

/** The batches, cut at the borders of segments. */
async function* pieces(
  batches: Batches,
  { segmentRows, rows: expected }: SampleShape,
  started: number,
  { onProgress }: ObserveOptions,
): AsyncIterable<{ readonly piece: SampleBatch; readonly ends: boolean }> {
  let row = started
  for await (const batch of batches) {
    const { rows } = batch.gather
    for (let done = 0; done < rows; ) {
      const count = Math.min(rows - done, segmentRows - (row % segmentRows))
      row += count
      yield { piece: cutBatch(batch, done, done + count), ends: row % segmentRows === 0 }
      done += count
    }
    onProgress?.(Math.min(1, (row - started) / Math.max(1, expected)))
  }
}

/** What observations hold of the whole segments and of the open one. */
function continued({ shape, rows, sums }: Observations): [Sum | undefined, Sum | undefined] {
  const [first, second] = sums
  return rows < shape.segmentRows ? [undefined, first] : [first, second]
}

function checkSegments({ segmentRows, correlation }: SampleShape): void {
  if (correlation === undefined || Number.isInteger(imagesOf(correlation.convolution, segmentRows))) return
  throw rangeError('segmentRows', 'whole images for a convolution', segmentRows)
}
