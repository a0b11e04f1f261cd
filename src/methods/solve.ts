/**
 * solve: observations and a layer's weights in, its codes and scales out. Any number of layers that read the same samples
 * are solved from one set of observations; of a layer all neurons, or a range of them.
 */
import { rangeError, typeError } from '../checks.js'
import type { RunOptions } from '../engine/pool.js'
import { atPlace, GpfqError } from '../errors.js'
import type { Note } from '../notes.js'
import { GRID } from './alphabet.js'
import type { Engine } from './engine.js'
import { solveFrame } from './frame.js'
import { GramSolver } from './gramSolver.js'
import { allocate } from './layout.js'
import { loadMatrices } from './matrices.js'
import type { Observations } from './observations.js'
import { isOnePath, needsSamples, type Recipe } from './recipe.js'
import { solveByRounding } from './round.js'
import {
  ALIVE,
  type Chosen,
  type LayerSolution,
  type NeuronRange,
  requestOf,
  type SolveRequest,
  solutionOf,
} from './solution.js'
import { planSolve, type SolveShape, usesTriangles } from './solvePlan.js'

export interface SolveOptions extends RunOptions {
  readonly recipe: Recipe
  /** A range of the neurons of every request; all of them if left out. */
  readonly neurons?: NeuronRange | undefined
  /** Share of the requests that are solved, 0..1. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** For messages: the layers. */
  readonly place: string
}

export interface SolveResult {
  /** One for each request. */
  readonly solutions: readonly LayerSolution[]
  /** Inputs that are zero in every sample: their weights were rounded, which costs nothing on the samples. */
  readonly deadInputs: number
  readonly notes: readonly Note[]
}

/** What a method has to see of the samples. */
export type Needs = 'gram' | 'rows' | 'none'

/** Whether a method needs H and G, the samples themselves, or none of them. */
export const needsOf = (recipe: Recipe, searching: boolean): Needs =>
  recipe.preprocess
    ? 'rows'
    : recipe.method !== 'frame' && (searching || needsSamples(recipe))
      ? 'gram'
      : 'none'

/** Whether all of G is needed, not its lower triangle alone. */
export const needsWholeG = (recipe: Recipe, searching: boolean): boolean => searching || !isOnePath(recipe)

/**
 * @param observations null where the method looks at no samples (needsOf)
 * @throws GpfqError INVALID_DATA where the observations are of another kind or shape than the requests need,
 * OUT_OF_MEMORY, WORKER_FAILED; TypeError for a range of neurons that the method cannot take; the signal's reason
 */
export async function solve(
  engine: Engine,
  observations: Observations | null,
  requests: readonly SolveRequest[],
  options: SolveOptions,
): Promise<SolveResult> {
  const { recipe, neurons, place } = options
  checkRange(neurons, recipe)
  const own = requests.map((request) =>
    neurons === undefined ? request : requestOf(checked(request, neurons), neurons),
  )
  const withErrors = own.some(({ withError }) => withError === true)
  const needs = withErrors
    ? 'gram'
    : needsOf(
        recipe,
        own.some(({ search }) => search !== 'none'),
      )
  checkKind(observations, needs, own, recipe, place)
  const mark = engine.arena.mark()
  try {
    const solver =
      observations === null || needs !== 'gram'
        ? recipe.method === 'frame'
          ? solveFrame(engine, own, recipe)
          : solveByRounding(engine, observations, own)
        : await solveGram(engine, observations, own, options)
    const solutions: LayerSolution[] = []
    for (const request of own) {
      solutions.push(solutionOf(request, await solver.solve(request, options)))
      options.onProgress?.(solutions.length / own.length)
    }
    return { solutions, deadInputs: solver.deadInputs, notes: solver.notes }
  } catch (error) {
    throw error instanceof GpfqError &&
      /^(OUT_OF_MEMORY|INVALID_DATA)$/.test(error.code) &&
      !error.place.startsWith(place)
      ? atPlace(error, `${place}: ${error.place}`)
      : error
  } finally {
    engine.arena.release(mark)
  }
}

/** One way of solving, with its memory taken and its matrices prepared. */
export interface Solver {
  readonly deadInputs: number
  readonly notes: readonly Note[]
  solve(request: SolveRequest, options: RunOptions): Promise<Chosen>
}

async function solveGram(
  engine: Engine,
  observations: Observations,
  requests: readonly SolveRequest[],
  { recipe, place, ...run }: SolveOptions,
): Promise<Solver> {
  const shape = solveShape(observations, requests, recipe)
  const plan = planSolve(shape, engine.pool.threads)
  const regions = allocate(engine.arena, plan.layout)
  const matrices = await loadMatrices(engine, observations, shape, plan, regions, run)
  const { diagonal } = matrices
  if (!diagonal.every(Number.isFinite)) {
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'finite sums',
      got: 'NaN or infinite ones',
      hint: 'check-data',
    })
  }
  const solver = new GramSolver(engine, shape, plan, regions, matrices)
  return {
    deadInputs: diagonal.reduce((count, norm2) => count + (norm2 < ALIVE ? 1 : 0), 0),
    notes: await solver.prepare(run),
    solve: (request, options) => solver.solve(request, options),
  }
}

function solveShape(
  { shape: { inputs, groups, streamsEqual } }: Observations,
  requests: readonly SolveRequest[],
  recipe: Recipe,
): SolveShape {
  return {
    ...{ inputs, groups, streamsEqual, recipe },
    neurons: Math.max(1, ...requests.map(({ shape }) => shape.neurons)),
    candidates: requests.some(({ search }) => search !== 'none') ? GRID.length : 1,
    blockSize: Math.min(inputs, ...requests.map(({ scales }) => scales.blockSize)),
    withErrors: requests.some(({ withError }) => withError === true),
  }
}

function checked(request: SolveRequest, { from, to }: NeuronRange): SolveRequest {
  if (Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= request.shape.neurons)
    return request
  throw rangeError('neurons', `a range within 0 to ${request.shape.neurons}`, `${from} to ${to}`)
}

/** Draws of spfq depend on a neuron's number, and a share of zeros is that of a whole layer. */
function checkRange(range: NeuronRange | undefined, { method, sparsity }: Recipe): void {
  if (range === undefined || (method !== 'spfq' && sparsity?.rule !== 'target')) return
  throw typeError({
    place: 'neurons',
    expected: `all neurons with ${method === 'spfq' ? 'method spfq' : 'a target of sparsity'}`,
    got: `${range.from} to ${range.to}`,
  })
}

function checkKind(
  observations: Observations | null,
  needs: Needs,
  requests: readonly SolveRequest[],
  recipe: Recipe,
  place: string,
): void {
  const fail = (expected: string, got: string): GpfqError =>
    new GpfqError('INVALID_DATA', { place, expected, got })
  if (needs === 'none') return
  if (observations === null) throw fail('observations of the layer’s samples', 'none')
  const { kind, inputs, groups, streamsEqual, wholeG } = observations.shape
  if (kind !== needs) throw fail(`observations of kind ${needs}`, `observations of kind ${kind}`)
  if (observations.rows === 0) throw fail('observations of at least one sample', 'none')
  if (kind === 'rows' && observations.rows >= inputs) {
    throw fail(`fewer samples than inputs (${inputs}) for preprocess`, String(observations.rows))
  }
  for (const { shape } of requests) {
    if (shape.inputs === inputs && shape.groups === groups) continue
    throw fail(`observations of ${shape.groups} × ${shape.inputs} inputs`, `${groups} × ${inputs}`)
  }
  const candidates = requests.some(({ search }) => search !== 'none') ? GRID.length : 1
  const withErrors = requests.some(({ withError }) => withError === true)
  if (kind === 'gram' && !streamsEqual && !wholeG && !usesTriangles({ candidates, withErrors, recipe })) {
    throw fail('observations with all of G', 'only its lower triangle')
  }
}
