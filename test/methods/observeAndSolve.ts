/** The verbs of a layer one after another: observe its samples, solve requests on them, measure the first one if asked. */
import type { Executor } from '#src/executor/executor.js'
import type { Engine } from '#src/methods/engine.js'
import { measure, relativeErrorOf } from '#src/methods/measure.js'
import type { Observations } from '#src/methods/observations.js'
import { observe } from '#src/methods/observe.js'
import type { Batches } from '#src/methods/observeOptions.js'
import { GPFQ, type Recipe } from '#src/methods/recipe.js'
import { type SampleShape, SEGMENT_ROWS } from '#src/methods/samplePlan.js'
import type { SolveRequest } from '#src/methods/solution.js'
import { needsOf, needsWholeG, type SolveResult, solve } from '#src/methods/solve.js'

export type Verbs = Pick<Executor, 'observe' | 'solve' | 'measure'>

export const verbsOf = (engine: Engine): Verbs => ({
  observe: (...args) => observe(engine, ...args),
  solve: (...args) => solve(engine, ...args),
  measure: (...args) => measure(engine, ...args),
})

/** A shape of samples whose means and G follow from the rest. */
export type LayerSamples = Omit<SampleShape, 'wholeG' | 'means' | 'segmentRows'> &
  Partial<Pick<SampleShape, 'segmentRows' | 'wholeG'>>

export interface Run {
  readonly recipe?: Recipe
  readonly ridge?: number
  readonly measure?: boolean
  readonly signal?: AbortSignal
  /** Called after each batch of observing and each request solved. */
  readonly onProgress?: (fraction: number) => void
  readonly place?: string
}

export interface Quantized extends SolveResult {
  readonly observations: Observations | null
  readonly relativeError: number | null
}

export async function observeAndSolve(
  on: Engine | Verbs,
  given: LayerSamples,
  batches: () => Batches,
  requests: readonly SolveRequest[],
  { recipe = GPFQ, ridge, measure: measures = false, place = 'test', signal, onProgress }: Run = {},
): Promise<Quantized> {
  const verbs = 'pool' in on ? verbsOf(on) : on
  const searching = requests.some(({ search }) => search !== 'none')
  const withErrors = requests.some(({ withError }) => withError === true)
  const shape: SampleShape = {
    segmentRows: SEGMENT_ROWS,
    wholeG: needsWholeG(recipe, searching),
    ...given,
    means: false,
  }
  const kind = withErrors ? 'gram' : needsOf(recipe, searching)
  const run = { place, signal, onProgress }
  const observations = kind === 'none' ? null : await verbs.observe(shape, batches(), { ...run, kind })
  const ridged = ridge === undefined ? requests : requests.map((request) => ({ ...request, ridge }))
  const solved = await verbs.solve(observations, ridged, { ...run, recipe })
  const [request, solution] = [requests[0], solved.solutions[0]]
  const relativeError =
    measures && request !== undefined && solution !== undefined
      ? relativeErrorOf(await verbs.measure(shape, batches(), request, solution, run))
      : null
  return { ...solved, observations, relativeError }
}
