/**
 * observe: samples in, Observations out. The first of the three verbs of a layer; merge (observations.ts) and solve
 * (solve.ts) are the others.
 */
import { rangeError } from '../checks.js'
import { imagesOf } from './convolution.js'
import type { Engine } from './engine.js'
import { GramSums } from './gramSums.js'
import type { Observations } from './observations.js'
import type { Batches, ObserveOptions } from './observeOptions.js'
import { observeRows } from './observeRows.js'
import { checkFinite, named } from './sampleChecks.js'
import { planSamples, type SampleShape } from './samplePlan.js'
import { sumUp } from './sumUp.js'

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

function checkSegments({ segmentRows, correlation }: SampleShape): void {
  if (correlation === undefined || Number.isInteger(imagesOf(correlation.convolution, segmentRows))) return
  throw rangeError('segmentRows', 'whole images for a convolution', segmentRows)
}
