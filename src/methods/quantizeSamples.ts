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
  /** Share of the work that is done, 0..1, after each batch and each request. */
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
  const { pool, arena } = engine
  if (shape.recipe?.preprocess === true && shape.samples >= shape.inputs) {
    throw new GpfqError(
      'INVALID_DATA',
      `${options.place}: expected fewer samples than inputs for preprocess, got ${shape.samples} samples of ${shape.inputs} ` +
        'inputs, which leave no weight free to move; use fewer samples or patches, exclude the layer, or use method gpfq',
    )
  }
  const layerPlan = planLayer(shape, pool.threads, options.form)
  const plan =
    options.measure === true
      ? withRegions(layerPlan, measureRegions(shape, layerPlan, pool.threads))
      : layerPlan
  const mark = arena.mark()
  const run: RunOptions = { signal: options.signal }
  let packer: Packer | undefined
  try {
    const start = performance.now()
    const form = createForm(engine, shape, plan, options)
    packer = form.packer
    // Its memory is taken before work starts, so that a lack of it is not found out after hours.
    const measure = options.measure === true ? new Measure(pool, arena, shape, plan, form) : null
    let rows = 0
    for await (const batch of batches()) {
      await form.add(batch, run)
      rows += batch.gather.rows
      options.onProgress?.((0.8 * rows) / shape.samples)
    }
    await form.finish(run)
    const { dead, finite } = form.diagnose()
    if (!finite) throw notFinite(options.place)
    const notes = (await form.prepare?.(run)) ?? []
    const solutions: Solution[] = []
    for (const request of requests) {
      solutions.push(await form.solve(request, run))
      options.onProgress?.(0.8 + (0.2 * solutions.length) / requests.length)
    }
    const seconds = (performance.now() - start) / 1000
    let relativeError: number | null = null
    if (measure !== null && requests[0] !== undefined && solutions[0] !== undefined) {
      await measure.begin(requests[0], solutions[0], run)
      if (plan.form !== 'direct') for await (const batch of batches()) await measure.add(batch, run)
      relativeError = await measure.finish(run)
      if (Number.isNaN(relativeError)) throw notFinite(options.place)
    }
    return { solutions, plan, deadInputs: dead, notes, seconds, relativeError }
  } finally {
    // Nothing may still write to memory that the next layer will own.
    await packer?.settled().catch(() => {})
    arena.release(mark)
  }
}

const notFinite = (place: string): GpfqError =>
  new GpfqError(
    'INVALID_DATA',
    `${place}: expected finite inputs, got NaN or infinite ones (or some whose squares overflow float32); ` +
      'check the calibration data and its preprocessing',
  )

function createForm(
  { pool, arena }: Engine,
  shape: LayerShape,
  plan: LayerPlan,
  { Correlations }: SamplesOptions,
): LayerForm {
  switch (plan.form) {
    case 'gram':
      return new GramForm(pool, arena, shape, plan, Correlations)
    case 'direct':
      return new DirectForm(pool, arena, shape, plan)
    case 'none':
      return shape.recipe?.method === 'frame'
        ? new FrameForm(pool, arena, shape, plan)
        : new RoundForm(pool, arena, shape, plan)
  }
}
