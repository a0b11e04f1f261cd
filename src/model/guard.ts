/**
 * The guard of path following. A layer that is fitted to few or lopsided samples can lose more on others than one whose weights
 * are rounded. So each layer is judged on samples that are kept out of calibration, by the mean over rows of the relative error:
 * rows count alike, whatever their size. Where the path is not clearly better than rounding, or has not many rows, it is solved
 * again with some λ, on H + λ·mean(diag H)·I and G + λ·mean(diag H)·I. That leads from path following (0) to rounding (∞),
 * and the least error wins. Of wide layers, λ is chosen on some neurons. Where no samples can be kept out, λ follows from the number of rows.
 */
import { type Capture, type CapturedSamples, captureSamples, placeOf } from '../calibration/captures.js'
import type { Streams } from '../calibration/streams.js'
import type { Executor } from '../executor/executor.js'
import { methodEntry } from '../methods/methods.js'
import type { Observations } from '../methods/observations.js'
import { GPFQ, type Recipe } from '../methods/recipe.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import { needsOf, type SolveResult } from '../methods/solve.js'
import type { Network } from '../onnx/network.js'
import { captureRule } from './captureRule.js'
import { dominatingInputs, withoutInputs } from './dominating.js'
import type { Settings } from './settings.js'
import { solveInRanges } from './solveRanges.js'
import { someNeurons, someSolved, strideOf } from './someNeurons.js'

/** What the samples that are kept out say of a layer. */
export interface Judgement {
  readonly kept: 'path' | 'damped path' | 'rounding'
  /** λ of the path that was kept. */
  readonly damping: number
  /** Why it is not the plain path; empty where it is. */
  readonly reasons: readonly PathFault[]
  /**
   * Means over rows of ‖e‖/‖y‖ (error and output of a row), at most 1 a row: of what was kept, of the plain path, of rounding;
   * null where no samples are kept out.
   */
  readonly errors: { readonly kept: number; readonly path: number; readonly rounding: number } | null
}

/**
 * What makes path following lose: `few rows` than inputs, or not many more; `dominating inputs`, a few with most of the energy;
 * `loud rows` with most of it; `low rank`, rows that say the same.
 */
export type PathFault = 'few rows' | 'dominating inputs' | 'loud rows' | 'low rank'

/** λ that are tried. */
const DAMPINGS = [0.01, 0.1, 1, 10] as const

/** The path is kept without trying others where its error is at most this share of that of rounding … */
const CLEARLY_BETTER = 0.9

/** … and there are so many rows for each input. */
const MANY_ROWS = 4

/** Where no samples are kept out, λ is this times (inputs/rows)², for layers with fewer rows than inputs. */
const BLIND_DAMPING = 0.1

/** Whether layers can be judged: their codes stand for weights and follow from H, and rounding is allowed instead. */
export const isGuarded = (settings: Settings): boolean =>
  needsOf(settings, settings.radius.rule === 'search') === 'gram' && settings.sparsity === null

/** Settings with the scales of rounding: those of least weight error, unless the caller fixes the scales. */
export const roundingSettings = (settings: Settings): Settings =>
  settings.radius.rule === 'search' || methodEntry(settings.method).ownScales
    ? { ...settings, radius: { rule: 'mse' } }
    : settings

const ROUNDING: Recipe = { ...GPFQ, method: 'msq' }

/** λ without samples to judge it on. @param rows that differ from each other */
export const blindDamping = (rows: number, inputs: number): number =>
  rows < inputs ? BLIND_DAMPING * (inputs / Math.max(1, rows)) ** 2 : 0

/** What the guard works with. */
export interface GuardContext {
  readonly settings: Settings
  readonly executor: Executor
  readonly signal: AbortSignal | undefined
  /** Streams that hold samples that are kept out, at the layers' stage. */
  readonly streams: Streams
  readonly network: Network
}

/** The layers of a capture, each as it is judged best. */
export interface Guarded {
  readonly solutions: readonly LayerSolution[]
  readonly rounded: readonly LayerSolution[]
  readonly judgements: readonly Judgement[]
}

/** What is asked of a capture's layers, and in how many ranges of neurons each is solved. */
export interface Asked {
  readonly requests: readonly SolveRequest[]
  readonly parts: readonly number[]
}

/**
 * @param asked the capture's layers
 * @param rounding the same with the scales of rounding
 * @param solved the layers by the plain path
 * @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, WORKER_FAILED; the signal's reason
 */
export async function guard(
  context: GuardContext,
  capture: Capture,
  observations: Observations,
  { requests, parts }: Asked,
  rounding: readonly SolveRequest[],
  solved: SolveResult,
): Promise<Guarded> {
  const { settings, executor, signal, streams, network } = context
  const place = placeOf(capture)
  const samples = captureSamples(capture, streams, network, { ...captureRule(settings), heldOut: true })
  const options = { recipe: ROUNDING, signal, place }
  const rounded = (await solveInRanges(executor, null, rounding, parts, options)).solutions
  const own = { ...context, place, samples, observations, dominating: dominatingInputs(observations) }
  const found: { readonly solution: LayerSolution; readonly judgement: Judgement }[] = []
  for (const [i, request] of requests.entries())
    found.push(await judge({ ...own, parts: parts[i]! }, request, solved.solutions[i]!, rounded[i]!))
  return {
    rounded,
    solutions: found.map(({ solution }) => solution),
    judgements: found.map(({ judgement }) => judgement),
  }
}

interface JudgeContext extends GuardContext {
  readonly place: string
  readonly samples: CapturedSamples
  readonly observations: Observations
  readonly dominating: readonly number[]
  /** Ranges of neurons that the layer is solved in. */
  readonly parts: number
}

interface Candidate {
  readonly kept: Judgement['kept']
  readonly damping: number
  readonly solution: LayerSolution
  /** The error of the layer, then that of the inputs that do not dominate, where some do. */
  readonly errors: readonly number[]
}

async function judge(
  context: JudgeContext,
  request: SolveRequest,
  path: LayerSolution,
  rounded: LayerSolution,
): Promise<{ readonly solution: LayerSolution; readonly judgement: Judgement }> {
  const { rows, shape } = context.observations
  const plain = await candidateOf(context, request, 'path', 0, path)
  const end = await candidateOf(context, request, 'rounding', 0, rounded)
  const candidates = [plain]
  if (rows < MANY_ROWS * shape.inputs || scoreOf(plain, end) > CLEARLY_BETTER) {
    const damped = await bestDamped(context, request, plain, end)
    candidates.push(...(damped === null ? [] : [damped]), end)
  }
  const { kept, damping, solution, errors: own } = leastOf(candidates, end)
  const errors = { kept: own[0]!, path: plain.errors[0]!, rounding: end.errors[0]! }
  const reasons = kept === 'path' ? [] : await faultsOf(context, request, plain)
  return { solution, judgement: { kept, damping, reasons, errors } }
}

/** The path with the λ that is best on some of the layer's neurons; null where the plain path or rounding is better there. */
async function bestDamped(
  context: JudgeContext,
  request: SolveRequest,
  plain: Candidate,
  end: Candidate,
): Promise<Candidate | null> {
  const stride = strideOf(request.shape.neurons)
  const some = someNeurons(request, stride)
  const part = ({ kept, solution }: Candidate): Promise<Candidate> =>
    candidateOf(context, some, kept, 0, someSolved(solution, stride))
  const [path, rounding] = stride === 1 ? [plain, end] : [await part(plain), await part(end)]
  const damped = await dampedPaths(context, some, stride, DAMPINGS)
  const best = leastOf([path, ...damped, rounding], rounding)
  if (best.kept !== 'damped path') return null
  return stride === 1 ? best : (await dampedPaths(context, request, 1, [best.damping]))[0]!
}

/** @param request of every `stride`-th neuron */
async function dampedPaths(
  context: JudgeContext,
  request: SolveRequest,
  stride: number,
  dampings: readonly number[],
): Promise<readonly Candidate[]> {
  const { executor, observations, settings, signal, place, parts } = context
  const requests = dampings.map((ridge) => ({ ...request, ridge }))
  const ranges = requests.map(() => Math.ceil(parts / stride))
  const options = { recipe: settings, signal, place }
  const { solutions } = await solveInRanges(executor, observations, requests, ranges, options)
  const paths: Candidate[] = []
  for (const [i, damping] of dampings.entries())
    paths.push(await candidateOf(context, request, 'damped path', damping, solutions[i]!))
  return paths
}

async function candidateOf(
  context: JudgeContext,
  request: SolveRequest,
  kept: Judgement['kept'],
  damping: number,
  solution: LayerSolution,
): Promise<Candidate> {
  return { kept, damping, solution, errors: await errorsOf(context, request, solution) }
}

/** The geometric mean of the errors in units of those of rounding, and never less than the first. */
function scoreOf({ errors }: Candidate, rounding: Candidate): number {
  const ratios = errors.map((error, i) => (error === 0 ? 0 : error / rounding.errors[i]!))
  const mean = ratios.reduce((product, ratio) => product * ratio, 1) ** (1 / ratios.length)
  return Math.max(ratios[0]!, mean)
}

const leastOf = (candidates: readonly Candidate[], rounding: Candidate): Candidate =>
  candidates.reduce((a, b) => (scoreOf(b, rounding) < scoreOf(a, rounding) ? b : a))

async function errorsOf(
  context: JudgeContext,
  request: SolveRequest,
  solution: LayerSolution,
): Promise<readonly number[]> {
  const { dominating } = context
  const all = await meanError(context, request, solution)
  if (dominating.length === 0) return [all]
  return [all, await meanError(context, ...withoutInputs(request, solution, dominating))]
}

/** The mean over rows of ‖e‖/‖y‖, at most 1 a row. */
async function meanError(
  { executor, samples, signal, place }: JudgeContext,
  request: SolveRequest,
  solution: LayerSolution,
): Promise<number> {
  const options = { signal, place, byRow: true }
  const { shape } = samples
  const { signal2, error2 } = await executor.measure(shape, samples.batches(), request, solution, options)
  return signal2 === 0 ? 0 : error2 / signal2
}

/** Loud rows have an error that is so much smaller than that of the mean row. */
const LOUD = 0.5

async function faultsOf(
  { executor, samples, signal, place, observations, dominating }: JudgeContext,
  request: SolveRequest,
  path: Candidate,
): Promise<readonly PathFault[]> {
  const { rows, shape } = observations
  const options = { signal, place }
  const { signal2, error2 } = await executor.measure(
    samples.shape,
    samples.batches(),
    request,
    path.solution,
    options,
  )
  const faults: PathFault[] = []
  if (rows < MANY_ROWS * shape.inputs) faults.push('few rows')
  if (dominating.length > 0) faults.push('dominating inputs')
  if (Math.sqrt(error2 / signal2) < LOUD * path.errors[0]!) faults.push('loud rows')
  return faults.length > 0 ? faults : ['low rank']
}
