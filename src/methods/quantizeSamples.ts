/**
 * The whole life of one set of samples: plan, stream them in, quantize every layer that reads them, measure if asked,
 * give the memory back. quantizeLayer and quantizeModel both end here; what differs is where batches come from.
 */
import type { Pool, RunOptions } from '../engine/pool.js'
import { GpfqError } from '../errors.js'
import type { Arena } from '../wasm/arena.js'
import type { Correlations } from './correlations.js'
import { DirectForm } from './directForm.js'
import { FrameForm } from './frame.js'
import { GramForm } from './gramForm.js'
import { Measure, measureRegions } from './measure.js'
import type { Packer } from './packing.js'
import { type Form, type LayerPlan, type LayerShape, planLayer, withRegions } from './plan.js'
import { RoundForm } from './roundForm.js'
import type { SampleBatch } from './samples.js'
import type { LayerForm, Solution, SolveRequest } from './solution.js'

export interface Engine {
  readonly pool: Pool
  readonly arena: Arena
}

export interface SamplesResult {
  readonly solutions: readonly Solution[]
  readonly plan: LayerPlan
  readonly deadInputs: number
  /** What had to be mended on the way. */
  readonly notes: readonly string[]
  /** Seconds for choosing the codes, without measuring. */
  readonly seconds: number
  /** ‖XW − XqQ‖ / ‖XW‖ of the first request, or null unless measured. */
  readonly relativeError: number | null
}

export interface SamplesOptions extends RunOptions {
  readonly form?: Form | undefined
  readonly measure?: boolean
  /** Share of the work that is done, 0..1, after each batch and each request; measuring is half of it. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** Who knows how to sum correlations, so that who has no convolutions need not load it; without it patches are summed. */
  readonly Correlations?: typeof Correlations
  /** For messages: what the samples belong to. */
  readonly place: string
}

/** @param batches called once, and once more to measure in the Gram form; must give the same batches each time. */
export async function quantizeSamples(
  engine: Engine,
  shape: LayerShape,
  batches: () => Iterable<SampleBatch> | AsyncIterable<SampleBatch>,
  requests: readonly SolveRequest[],
  options: SamplesOptions,
): Promise<SamplesResult> {
  const { arena } = engine
  const { place } = options
  const progress = (fraction: number): void => options.onProgress?.(fraction)
  // Measuring takes about as long as choosing.
  const chosen = options.measure === true ? 0.5 : 1
  const mark = arena.mark()
  const run: RunOptions = { signal: options.signal }
  let packer: Packer | undefined
  try {
    const start = performance.now()
    // All memory is taken before work starts, so that a lack of it is not found out after hours.
    const { plan, form, measure } = await named(place, () => layOut(engine, shape, options))
    packer = form.packer
    let rows = 0
    for await (const batch of batches()) {
      await form.add(batch, run)
      rows += batch.gather.rows
      progress((chosen * 0.8 * rows) / shape.samples)
    }
    await form.finish(run)
    const { dead, finite } = form.diagnose()
    const notes = await named(place, () => {
      checkFinite(finite)
      return form.prepare?.(run)
    })
    const solutions: Solution[] = []
    for (const request of requests) {
      solutions.push(await form.solve(request, run))
      progress(chosen * (0.8 + (0.2 * solutions.length) / requests.length))
    }
    const seconds = (performance.now() - start) / 1000
    let relativeError: number | null = null
    if (measure !== null && requests[0] !== undefined && solutions[0] !== undefined) {
      await measure.begin(requests[0], solutions[0], run)
      rows = 0
      if (plan.form !== 'direct') {
        for await (const batch of batches()) {
          await measure.add(batch, run)
          rows += batch.gather.rows
          progress(0.5 + (0.49 * rows) / shape.samples)
        }
      }
      const measured = await measure.finish(run)
      await named(place, () => checkFinite(!Number.isNaN(measured)))
      relativeError = measured
      progress(1)
    }
    return { solutions, plan, deadInputs: dead, notes: notes ?? [], seconds, relativeError }
  } finally {
    // Nothing may still write to memory that the next layer will own.
    await packer?.settled().catch(() => {})
    arena.release(mark)
  }
}

/** Lets errors of what knows nothing of layers say where they come from. */
async function named<T>(place: string, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof GpfqError) || !/MEMORY|DATA/.test(error.code)) throw error
    throw new GpfqError(error.code, `${place}: ${error.message}`, { cause: error })
  }
}

function checkFinite(finite: boolean): void {
  if (finite) return
  throw new GpfqError(
    'INVALID_DATA',
    'expected finite inputs, got NaN or infinite ones (or squares beyond float32); check the calibration data',
  )
}

/** Plans the work and takes all memory it needs. */
function layOut(
  { pool, arena }: Engine,
  shape: LayerShape,
  { form: asked, measure: measures = false, Correlations }: SamplesOptions,
): { readonly plan: LayerPlan; readonly form: LayerForm; readonly measure: Measure | null } {
  const { samples, inputs, recipe } = shape
  if (recipe?.preprocess === true && samples >= inputs) {
    throw new GpfqError(
      'INVALID_DATA',
      `expected fewer samples than inputs (${inputs}) for preprocess, got ${samples}; use fewer samples or patches, or another method`,
    )
  }
  const own = planLayer(shape, pool.threads, asked)
  const plan = measures ? withRegions(own, measureRegions(shape, own, pool.threads)) : own
  const Rounded = recipe?.method === 'frame' ? FrameForm : RoundForm
  const form =
    plan.form === 'gram'
      ? new GramForm(pool, arena, shape, plan, Correlations)
      : plan.form === 'direct'
        ? new DirectForm(pool, arena, shape, plan)
        : new Rounded(pool, arena, shape, plan)
  return { plan, form, measure: measures ? new Measure(pool, arena, shape, plan, form) : null }
}
