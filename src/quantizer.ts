/**
 * The core API: a quantizer owns workers and their memory. It observes a layer's samples, solves layers on observations, and
 * does both at once in quantizeLayer. It knows nothing of ONNX: "gpfq/onnx" builds on it.
 */
import { checkWhole, rangeError, typeError } from './checks.js'
import { createExecutor } from './executor/choose.js'
import type { Executor, ExecutorMode } from './executor/executor.js'
import { createLayerObserver, type LayerInputs, type LayerObserver } from './layerObserver.js'
import { batchesOf, checkFloats, checkSamples, itemsOf, sampleShape } from './layerSamples.js'
import { checkLevels, scalesFor, type WeightShape } from './methods/alphabet.js'
import { relativeErrorOf } from './methods/measure.js'
import type { Observations } from './methods/observations.js'
import { checkLevelsFor, type Recipe, resolveRecipe, resolveScales } from './methods/recipe.js'
import { SEGMENT_ROWS } from './methods/samplePlan.js'
import type { NeuronRange, SolveRequest } from './methods/solution.js'
import { needsOf, needsWholeG } from './methods/solve.js'
import { describeNote } from './notes.js'
import type { MethodOptions, Radius, ScalePer } from './options.js'

/** A dense layer Y = X·W with its calibration samples, all float32. */
export interface LayerProblem {
  /** W, (inputs, neurons) row-major. */
  readonly weights: Float32Array
  readonly inputs: number
  readonly neurons: number
  /** X, (rows, inputs) row-major: the layer's inputs in the float network. */
  readonly samples: Float32Array
  /** Xq, same shape: its inputs in the network quantized so far. Left out, Xq = X as for a first layer. */
  readonly quantizedSamples?: Float32Array
}

/** How the codes of a layer are chosen. */
export type SolveLayerOptions = MethodOptions & {
  /** Alphabet size M, 2..256. Default 15 (4 bits). */
  readonly levels?: number
  /** Default 'neuron'. */
  readonly scalePer?: ScalePer
  /** Default { rule: 'search' }. */
  readonly radius?: Radius
  readonly signal?: AbortSignal
  /** Called with the share done, 0..1. */
  readonly onProgress?: (fraction: number) => void
}

/** Options of quantizeLayer. */
export type LayerOptions = SolveLayerOptions & {
  /** Measure the output error (default true). It costs about as much as a pass of the layer over the samples, twice. */
  readonly measure?: boolean
}

/** A layer that is solved: a LayerSolution, which travels as bytes (solutionBytes), with what happened on the way. */
export interface SolvedLayer extends WeightShape {
  /** M, 2..256. */
  readonly levels: number
  /** (groups, inputs, neurons), 0..levels−1; of frame (groups, coefficients, neurons). */
  readonly codes: Uint8Array
  /** (groups, inputs, neurons): what the codes of method frame stand for; absent where value = scale · (code − zero). */
  readonly values?: Float32Array
  /** (groups, blocks, neurons): value = scale · (code − zero). */
  readonly scales: Float32Array
  /** Inputs that share a scale. */
  readonly blockSize: number
  /** (levels − 1)/2. */
  readonly zero: number
  /** Inputs that are zero in every sample; 0 where the method looks at none. */
  readonly deadInputs: number
  /** What had to be changed on the way, a sentence each. */
  readonly notes: readonly string[]
  /** For choosing the codes, without measuring. */
  readonly seconds: number
}

/** A quantized layer with what was lost. */
export interface LayerResult extends SolvedLayer {
  /** ‖XW − XqQ‖ / ‖XW‖ (Frobenius), null if not measured. */
  readonly relativeError: number | null
}

/** Workers and the memory that they share. Calls may overlap: they take turns. Between calls no process is kept alive. */
export interface Quantizer extends AsyncDisposable {
  readonly threads: number
  /** What the runtime allows: a pool of workers, one worker, or the calling thread; src/executor/executor.ts. */
  readonly mode: ExecutorMode
  /** Runs on relaxed SIMD; false too where that was asked for and the runtime lacks it. */
  readonly fastMath: boolean
  /** Most bytes of shared memory in use so far. */
  readonly peakMemoryBytes: number
  /**
   * Quantizes one dense layer by greedy path following (2010.15979).
   * @param problem W (inputs, neurons), X and perhaps Xq (rows, inputs), row-major
   * @param options alphabet, method and its options
   * @returns codes (inputs, neurons) and scales (blocks, neurons): value = scale · (code − zero)
   * @throws TypeError, RangeError for arguments; the signal's reason when aborted
   * @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, WORKER_FAILED, CLOSED
   * @example
   * const { codes, scales, zero } = await quantizer.quantizeLayer({ weights, inputs, neurons, samples })
   */
  quantizeLayer(problem: LayerProblem, options?: LayerOptions): Promise<LayerResult>
  /**
   * Begins to observe a layer's inputs: its samples are added in any number of calls and forgotten.
   * @param inputs the number of inputs of a dense layer, or a convolution
   * @throws TypeError, RangeError for arguments
   * @example
   * const seen = await quantizer.observe({ inputs: 512 })
   * for await (const { x, xq } of samples) await seen.add(x, xq)
   * const solved = await quantizer.solve(seen, weights, { levels: 15 })
   */
  observe(inputs: LayerInputs): Promise<LayerObserver>
  /**
   * Chooses a layer's codes from observations: those of an observer, or of parts that were merged.
   * @param observations of all samples
   * @param weights W, (groups, inputs, neurons) row-major
   * @param options also `neurons`, a range of them to be solved: neurons do not depend on each other
   * @throws as quantizeLayer
   * @example
   * const { codes, scales } = await quantizer.solve(merge(first, second), weights, { levels: 7, neurons: { from: 0, to: 64 } })
   */
  solve(
    observations: Observations | LayerObserver,
    weights: Float32Array,
    options?: SolveLayerOptions & { readonly neurons?: NeuronRange },
  ): Promise<SolvedLayer>
  /** Ends the workers. Calls that run, and later ones, fail with code CLOSED. */
  close(): Promise<void>
}

/** Options of createQuantizer. */
export interface QuantizerOptions {
  /** Worker threads; default what init() says, else all that the machine offers. */
  readonly threads?: number
  /**
   * Kernels with relaxed SIMD, which can be faster where one instruction multiplies and adds: codes may then differ from
   * machine to machine. Without effect where the runtime lacks it. Default false: the same bytes everywhere.
   */
  readonly fastMath?: boolean
}

/** Measuring takes about as long as choosing: each is this share of the progress. */
const HALF = 0.5

const executors = new WeakMap<Quantizer, Executor>()

/** The executor of a quantizer: for quantizeModel, which can use one that is there already. */
export function executorOf(quantizer: Quantizer): Executor {
  const executor = executors.get(quantizer)
  if (executor !== undefined) return executor
  throw typeError({ place: 'quantizer', expected: 'what createQuantizer made', got: 'another value' })
}

/**
 * Creates a quantizer: compiles the kernels, unless init() or an earlier quantizer has, and starts the workers.
 * @param options threads and kernels
 * @throws RangeError for a number of threads out of 1..256
 * @throws GpfqError RUNTIME_MISSING without WebAssembly SIMD or the kernels' file, WORKER_FAILED if a worker does not start
 * @example
 * await using quantizer = await createQuantizer({ threads: 4 })
 * const { codes, scales, zero } = await quantizer.quantizeLayer({ weights, inputs, neurons, samples })
 */
export async function createQuantizer(options: QuantizerOptions = {}): Promise<Quantizer> {
  const executor = await createExecutor(options)
  const close = (): Promise<void> => executor.close()
  const quantizer: Quantizer = {
    threads: executor.threads,
    mode: executor.mode,
    fastMath: executor.fastMath,
    get peakMemoryBytes() {
      return executor.peakMemoryBytes
    },
    quantizeLayer: (problem, layerOptions = {}) => quantizeLayer(executor, problem, layerOptions),
    observe: async (inputs) => createLayerObserver(executor, inputs),
    async solve(observations, weights, solveOptions = {}) {
      const seen = 'add' in observations ? await observations.observations() : observations
      return solveLayer(executor, seen, weights, solveOptions)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
  executors.set(quantizer, executor)
  return quantizer
}

/** What a layer is asked for, with defaults filled in and combinations checked. */
function requestFor(
  weights: Float32Array,
  shape: WeightShape,
  options: SolveLayerOptions,
): { readonly request: SolveRequest; readonly recipe: Recipe } {
  const { levels = 15 } = options
  checkLevels('levels', levels)
  const recipe = resolveRecipe(options)
  const { scalePer, radius } = resolveScales(recipe, options)
  checkLevelsFor(recipe, 'levels', levels)
  if (!weights.every(Number.isFinite)) throw rangeError('weights', 'finite values', 'NaN or infinity')
  const search = radius.rule !== 'search' ? 'none' : scalePer === 'layer' ? 'layer' : 'neuron'
  const scales = scalesFor(weights, shape, levels, scalePer, radius)
  return { request: { weights, shape, levels, scales, search }, recipe }
}

async function solveLayer(
  executor: Executor,
  observations: Observations,
  weights: Float32Array,
  options: SolveLayerOptions & { readonly neurons?: NeuronRange },
): Promise<SolvedLayer> {
  const { groups, inputs } = observations.shape
  checkFloats('weights', weights)
  const neurons = weights.length / (groups * inputs)
  if (!Number.isInteger(neurons) || neurons === 0) {
    throw rangeError('weights', `a multiple of ${groups} × ${inputs} values`, `${weights.length} values`)
  }
  const { request, recipe } = requestFor(weights, { groups, inputs, neurons }, options)
  const { signal, onProgress, neurons: range } = options
  return solveOne(executor, observations, request, { recipe, signal, onProgress, neurons: range })
}

async function solveOne(
  executor: Executor,
  observations: Observations | null,
  request: SolveRequest,
  options: Omit<Parameters<Executor['solve']>[2], 'place'>,
): Promise<SolvedLayer> {
  const start = performance.now()
  const { solutions, deadInputs, notes } = await executor.solve(observations, [request], {
    ...options,
    place: 'samples',
  })
  return {
    ...solutions[0]!,
    deadInputs,
    notes: notes.map(describeNote),
    seconds: (performance.now() - start) / 1000,
  }
}

async function quantizeLayer(
  executor: Executor,
  problem: LayerProblem,
  options: LayerOptions,
): Promise<LayerResult> {
  const { weights, inputs, neurons, samples, quantizedSamples } = problem
  const items = itemsOf({ inputs })
  checkWhole('neurons', neurons, 1)
  checkFloats('weights', weights)
  if (weights.length !== inputs * neurons) {
    throw rangeError('weights', `${inputs} × ${neurons} = ${inputs * neurons} values`, weights.length)
  }
  checkSamples(items, samples, quantizedSamples, quantizedSamples !== undefined)
  const { request, recipe } = requestFor(weights, { groups: 1, inputs, neurons }, options)
  const { signal, onProgress, measure = true } = options
  const searching = request.search !== 'none'
  const needs = needsOf(recipe, searching)
  const shape = sampleShape(items, samples.length / inputs, {
    ...{ streamsEqual: quantizedSamples === undefined, means: false, segmentRows: SEGMENT_ROWS },
    wholeG: needsWholeG(recipe, searching),
  })
  const batches = () => batchesOf(items, samples, quantizedSamples ?? null)
  const chosen = measure ? HALF : 1
  const part = (from: number, share: number) => (fraction: number) => onProgress?.(from + share * fraction)
  const run = { signal, place: 'samples' }
  const start = performance.now()
  const observations =
    needs === 'none'
      ? null
      : await executor.observe(shape, batches(), { ...run, kind: needs, onProgress: part(0, 0.8 * chosen) })
  const solved = await solveOne(executor, observations, request, {
    ...{ recipe, signal },
    onProgress: part(0.8 * chosen, 0.2 * chosen),
  })
  const seconds = (performance.now() - start) / 1000
  const relativeError = measure
    ? relativeErrorOf(
        await executor.measure(shape, batches(), request, solved, { ...run, onProgress: part(HALF, HALF) }),
      )
    : null
  return { ...solved, seconds, relativeError }
}
