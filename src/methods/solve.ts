/**
 * solve: observations and a layer's weights in, its codes and scales out. Any number of layers that read the same samples
 * are solved from one set of observations; of a layer all neurons, or a range of them.
 */
import { rangeError, typeError } from '../checks.js'
import type { RunOptions } from '../engine/pool.js'
import { invalidData } from '../errors.js'
import type { Note } from '../notes.js'
import { GRID } from './alphabet.js'
import type { Engine } from './engine.js'
import { kindOf } from './family.js'
import { solveFrame } from './frame.js'
import { gramSystem, solveLayer } from './gramSolver.js'
import { allocate } from './layout.js'
import { loadMatrices, type Matrices } from './matrices.js'
import { type Observations, sumLayout } from './observations.js'
import { isOnePath, needsSamples, type Recipe } from './recipe.js'
import { addRidge } from './ridge.js'
import { solveByRounding } from './round.js'
import { atSamples, notFinite, tooManyRows } from './sampleChecks.js'
import {
  ALIVE,
  type Chosen,
  type LayerSolution,
  type NeuronRange,
  requestOf,
  type SolveRequest,
  solutionOf,
  widestOf,
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
  const own = neurons === undefined ? requests : rangesOf(requests, neurons, recipe)
  const needs = withErrorsOf(own) ? 'gram' : needsOf(recipe, searchesOf(own))
  if (needs !== 'none') checkKind(observations, needs, own, place)
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
    return { solutions, deadInputs: solver.deadInputs ?? 0, notes: solver.notes ?? [] }
  } catch (error) {
    throw atSamples(error, place)
  } finally {
    engine.arena.release(mark)
  }
}

/** One way of solving, with its memory taken and its matrices prepared. */
export interface Solver {
  /** None where the method looks at no H. */
  readonly deadInputs?: number
  readonly notes?: readonly Note[]
  solve(request: SolveRequest, options: RunOptions): Promise<Chosen>
}

async function solveGram(
  engine: Engine,
  observations: Observations,
  requests: readonly SolveRequest[],
  { recipe, place, ...run }: SolveOptions,
): Promise<Solver> {
  const shape = solveShape(observations, requests, recipe)
  const { streamsEqual, wholeG } = observations.shape
  if (!streamsEqual && !wholeG && !usesTriangles(shape)) {
    throw invalidData(place, 'observations with all of G', 'only its lower triangle')
  }
  const plan = planSolve(shape, engine.pool.threads)
  const regions = allocate(engine.arena, plan.layout)
  const kind = kindOf(recipe)
  const damping = kind.ownDamping ? 0 : (recipe.damping ?? 0)
  const shareOf = ({ ridge = 0 }: SolveRequest): number => damping + ridge
  const load = (): Promise<Matrices> => loadMatrices(engine, observations, shape, plan, regions, run)
  const prepare = async (matrices: Matrices, share: number) => {
    const system = gramSystem(engine, shape, plan, regions, matrices, share)
    addRidge(system, share)
    const method = kind.create(system)
    return { system, method, notes: (await method.prepare?.(run)) ?? [] }
  }
  const matrices = await load()
  const shares = requests.map(shareOf)
  if (!matrices.diagonal.every((norm2) => norm2 * (1 + Math.max(...shares)) < 2 ** 128))
    throw notFinite(place)
  let current = await prepare(matrices, shares[0]!)
  return {
    deadInputs: matrices.diagonal.filter((norm2) => norm2 < ALIVE).length,
    notes: current.notes,
    async solve(request, options) {
      const share = shareOf(request)
      const { system, method } = current
      // What a method prepares takes the place of H and G.
      if (share !== system.ridge) current = await prepare(method.prepare ? await load() : matrices, share)
      return solveLayer(current.system, current.method, request, options)
    },
  }
}

const searchesOf = (requests: readonly SolveRequest[]): boolean =>
  requests.some(({ search }) => search !== 'none')

const withErrorsOf = (requests: readonly SolveRequest[]): boolean =>
  requests.some(({ withError }) => withError === true)

function solveShape(
  { shape: observed }: Observations,
  requests: readonly SolveRequest[],
  recipe: Recipe,
): SolveShape {
  const { inputs, groups, streamsEqual } = observed
  const { pixelH, pixelG, length } = sumLayout(observed)
  return {
    ...{ inputs, groups, streamsEqual, recipe },
    pixelBytes: 4 * Math.max(pixelG - pixelH, length - pixelG),
    neurons: widestOf(requests).neurons,
    candidates: searchesOf(requests) ? GRID.length : 1,
    blockSize: Math.min(inputs, ...requests.map(({ scales }) => scales.blockSize)),
    withErrors: withErrorsOf(requests),
  }
}

/**
 * Why layers are solved as a whole, null where ranges of their neurons give the same codes. Draws of spfq depend on a neuron's
 * number, a share of zeros is that of a whole layer, and so is one fraction that is searched for all neurons.
 */
export const whyWhole = (requests: readonly SolveRequest[], { method, sparsity }: Recipe): string | null =>
  method === 'spfq'
    ? 'with method spfq'
    : sparsity?.rule === 'target'
      ? 'with a target of sparsity'
      : requests.some(({ search }) => search === 'layer')
        ? 'with one scale for the whole layer'
        : null

/** The requests of a range of their neurons. */
function rangesOf(
  requests: readonly SolveRequest[],
  range: NeuronRange,
  recipe: Recipe,
): readonly SolveRequest[] {
  const { from, to } = range
  const whole = whyWhole(requests, recipe)
  if (whole !== null) {
    throw typeError({ place: 'neurons', expected: `all neurons ${whole}`, got: `${from} to ${to}` })
  }
  return requests.map((request) => {
    const { neurons } = request.shape
    if (Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= neurons)
      return requestOf(request, range)
    throw rangeError('neurons', `a range within 0 to ${neurons}`, `${from} to ${to}`)
  })
}

function checkKind(
  observations: Observations | null,
  needs: Needs,
  requests: readonly SolveRequest[],
  place: string,
): void {
  if (observations === null) throw invalidData(place, 'observations of the layer’s samples', 'none')
  const { rows, shape } = observations
  const { kind, inputs, groups } = shape
  if (kind !== needs)
    throw invalidData(place, `observations of kind ${needs}`, `observations of kind ${kind}`)
  if (rows === 0) throw invalidData(place, 'observations of at least one sample', 'none')
  if (kind === 'rows' && rows >= inputs) throw tooManyRows(place, rows, inputs)
  for (const { shape: own } of requests) {
    if (own.inputs === inputs && own.groups === groups) continue
    throw invalidData(place, `observations of ${own.groups} × ${own.inputs} inputs`, `${groups} × ${inputs}`)
  }
}
