/**
 * The core API: a quantizer owns a pool of workers and their shared memory; quantizeLayer chooses the codes of one layer
 * from its weights and samples. Knows nothing of ONNX: "gpfq/onnx" builds on it.
 */
import { checkName, checkWhole, rangeError } from './checks.js'
import { createTurns } from './engine/turns.js'
import { GpfqError } from './errors.js'
import { createExecutor } from './executor/choose.js'
import type { Executor, ExecutorMode } from './executor/executor.js'
import { checkLevels, GRID, scalesFor, type WeightShape, zeroPoint } from './methods/alphabet.js'
import type { Form, LayerShape } from './methods/plan.js'
import { checkLevelsFor, isPlain, needsSamples, resolveRecipe, resolveScales } from './methods/recipe.js'
import { denseGather, type SampleBatch } from './methods/samples.js'
import type { SolveRequest } from './methods/solution.js'
import type { MethodOptions, Radius, ScalePer } from './options.js'

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

export type LayerOptions = MethodOptions & {
  /** Alphabet size M, 2..256. Default 15 (4 bits). */
  readonly levels?: number
  /** Default 'neuron'. */
  readonly scalePer?: ScalePer
  /** Default { rule: 'search' }. */
  readonly radius?: Radius
  /** The form of the computation; the cost model chooses if left out. Only plain gpfq without search has a choice. */
  readonly form?: 'gram' | 'direct'
  /** Measure the output error (default true). It costs about as much as a pass of the layer over the samples, twice. */
  readonly measure?: boolean
  readonly signal?: AbortSignal
  /** Share done, 0..1. */
  readonly onProgress?: (fraction: number) => void
}

export interface LayerResult {
  readonly codes: Uint8Array // (inputs, neurons), 0..levels−1; of frame (coefficients, neurons)
  /** (inputs, neurons): what the codes of method frame stand for; absent where value = scale · (code − zero). */
  readonly values?: Float32Array
  /** (blocks, neurons): value = scale · (code − zero). */
  readonly scales: Float32Array
  readonly blockSize: number // inputs that share a scale
  readonly zero: number // (levels − 1)/2
  readonly form: Form
  /** ‖XW − XqQ‖ / ‖XW‖ (Frobenius), null if not measured. */
  readonly relativeError: number | null
  /** Inputs that are zero in every sample; 0 where `form` is `none`, which looks at none. */
  readonly deadInputs: number
  /** What had to be mended on the way. */
  readonly notes: readonly string[]
  readonly seconds: number // for choosing the codes, without measuring
}

export interface Quantizer extends AsyncDisposable {
  readonly threads: number
  /** What the runtime allows: a pool of workers, one worker, or the calling thread; src/executor/executor.ts. */
  readonly mode: ExecutorMode
  /**
   * Quantizes one dense layer by greedy path following (2010.15979).
   * @throws TypeError, RangeError for arguments; GpfqError INVALID_DATA, OUT_OF_MEMORY, WORKER_FAILED, CLOSED; the
   * signal's reason when aborted.
   */
  quantizeLayer(problem: LayerProblem, options?: LayerOptions): Promise<LayerResult>
  /** Runs on relaxed SIMD; false too where that was asked for and the runtime lacks it. */
  readonly fastMath: boolean
  /** Most bytes of shared memory in use so far. */
  readonly peakMemoryBytes: number
  close(): Promise<void>
}

export interface QuantizerOptions {
  /** Worker threads; default what init() says, else all that the machine offers. */
  readonly threads?: number
  /**
   * Kernels with relaxed SIMD, which can be faster where one instruction multiplies and adds: codes may then differ from
   * machine to machine. Without effect where the runtime lacks it. Default false: the same bytes everywhere.
   */
  readonly fastMath?: boolean
}

/** Samples are staged in batches of about this many bytes: large enough to amortize a dispatch, small beside the panels. */
const BATCH_BYTES = 8 * 2 ** 20

export async function createQuantizer(options: QuantizerOptions = {}): Promise<Quantizer> {
  const executor = await createExecutor(options)
  const turns = createTurns() // layers of one quantizer share its memory
  const close = (): Promise<void> => executor.close()
  return {
    threads: executor.threads,
    mode: executor.mode,
    fastMath: executor.fastMath,
    quantizeLayer: (problem, layerOptions = {}) =>
      turns.take(() => runLayer(executor, problem, layerOptions), layerOptions.signal),
    get peakMemoryBytes() {
      return executor.peakMemoryBytes
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function runLayer(
  executor: Executor,
  problem: LayerProblem,
  options: LayerOptions,
): Promise<LayerResult> {
  const { levels = 15 } = options
  const rows = checkProblem(problem)
  checkLevels('levels', levels)
  const recipe = resolveRecipe(options)
  const { scalePer, radius } = resolveScales(recipe, options)
  checkLevelsFor(recipe, 'levels', levels)
  const { weights, inputs, neurons, samples, quantizedSamples } = problem
  const shape: WeightShape = { groups: 1, inputs, neurons }
  const scales = scalesFor(weights, shape, levels, scalePer, radius)
  const searching = radius.rule === 'search'
  checkName('form', options.form ?? 'gram', ['gram', 'direct'])
  if (options.form === 'direct' && (searching || !isPlain(recipe))) {
    throw new TypeError(
      "form: expected 'gram', for 'direct' is plain gpfq in the inputs' own order, without passes and search",
    )
  }
  const request: SolveRequest = {
    weights,
    shape,
    levels,
    scales,
    search: !searching ? 'none' : scalePer === 'layer' ? 'layer' : 'neuron',
  }
  const common = { blockSize: scales.blockSize, zero: zeroPoint(levels) }
  const batchRows = Math.min(rows, Math.max(1, Math.floor(BATCH_BYTES / (4 * inputs))))
  const layer: LayerShape = {
    samples: rows,
    inputs,
    neurons,
    groups: 1,
    same: quantizedSamples === undefined,
    candidates: searching ? GRID.length : 1,
    blockSize: scales.blockSize,
    batchBytes: 4 * batchRows * inputs,
    batchPaddedBytes: 0,
    batchRows,
    recipe,
  }
  function* batches(): Iterable<SampleBatch> {
    for (let row = 0; row < rows; row += batchRows) {
      const end = Math.min(rows, row + batchRows)
      yield {
        x: samples.subarray(row * inputs, end * inputs),
        xq: quantizedSamples?.subarray(row * inputs, end * inputs) ?? null,
        gather: denseGather(end - row, inputs),
      }
    }
  }
  const run = { signal: options.signal, onProgress: options.onProgress }
  const form = needsSamples(recipe) || searching ? options.form : 'none'
  const { solutions, plan, deadInputs, notes, seconds, relativeError } = await executor.quantizeSamples(
    layer,
    batches,
    [request],
    { ...run, form, measure: options.measure ?? true, place: 'samples' },
  )
  const [solution] = solutions
  if (solution === undefined)
    throw new GpfqError('WORKER_FAILED', 'quantizeLayer: expected a solution, got none')
  return { ...common, ...solution, form: plan.form, relativeError, deadInputs, notes, seconds }
}

/** Returns the number of sample rows. */
function checkProblem({ weights, inputs, neurons, samples, quantizedSamples }: LayerProblem): number {
  checkWhole('inputs', inputs, 1)
  checkWhole('neurons', neurons, 1)
  const arrays = { weights, samples, ...(quantizedSamples && { quantizedSamples }) }
  for (const [name, values] of Object.entries(arrays)) {
    if (!(values instanceof Float32Array)) {
      throw new TypeError(`${name}: expected a Float32Array, got another kind of value`)
    }
  }
  if (weights.length !== inputs * neurons) {
    throw rangeError('weights', `${inputs} × ${neurons} = ${inputs * neurons} values`, weights.length)
  }
  if (!weights.every(Number.isFinite)) throw rangeError('weights', 'finite values', 'NaN or infinity')
  if (samples.length === 0 || samples.length % inputs !== 0) {
    throw rangeError('samples', `rows of ${inputs} values`, `${samples.length} values`)
  }
  if (quantizedSamples !== undefined && quantizedSamples.length !== samples.length) {
    throw rangeError(
      'quantizedSamples',
      `as many values as samples, ${samples.length}`,
      quantizedSamples.length,
    )
  }
  return samples.length / inputs
}
