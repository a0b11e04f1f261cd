/**
 * Compares a float model with its quantized one on unlabelled data: how often they agree, the difference of their
 * outputs, their sizes and their times. They are timed after that, on the first batch again and again
 * (src/calibration/speed.ts), so that the times do not depend on how much data there is.
 */
import type { Runner, RunnerSession } from '../calibration/runner.js'
import { type Speed, samplesOf, timeInTurn } from '../calibration/speed.js'
import { GpfqError } from '../errors.js'
import { elementCount } from '../tensor/elements.js'
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { checkBatch, checkBatches, checkBytes, checkRun } from './arguments.js'
import { asNumbers } from './evaluate.js'

/** Timed runs of each model at most, and seconds for all of them. */
const TIMING = { runs: 300, seconds: 5 }

/** Options of compareModels. */
export interface CompareOptions {
  /** Runs both models. */
  readonly runner: Runner
  /** The bytes of the float model, its external data packed in. */
  readonly float: Uint8Array
  /** The bytes of the quantized model, its external data packed in. */
  readonly quantized: Uint8Array
  /** Batches of model inputs; the first axis of each tensor counts samples. */
  readonly feeds: Iterable<Feeds> | AsyncIterable<Feeds>
  /** Samples that `feeds` holds in all, for progress. */
  readonly samples: number
  /** The output to compare. Default: the float model's first. */
  readonly output?: string | undefined
  /** Aborts between runs. */
  readonly signal?: AbortSignal | undefined
  /** Called after every batch with the number of samples done and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/** The size and speed of one model. */
export interface ModelCost {
  /** Bytes of the model. */
  readonly bytes: number
  /** Seconds from the model's bytes to a session that can run. */
  readonly loadSeconds: number
  /** Milliseconds of the shortest timed run, divided by its samples. */
  readonly millisecondsPerSample: number
}

/** How two models differ on the same samples. */
export interface Comparison {
  /** The share of rows of the output (samples, or positions of sequences) whose largest score is of the same class. */
  readonly agreement: number
  /** 10·log10(Σ y² / Σ (y − ỹ)²) over the output; null if the two are equal. */
  readonly sqnrDb: number | null
  /** max |y − ỹ| over the output. */
  readonly largestDifference: number
  /** Samples compared. */
  readonly samples: number
  /** Time of the float model over that of the quantized one: above 1 where the quantized model is faster. */
  readonly speedup: number
  /** The times of both on the first batch, measured in turn for at most 5 seconds, unless one run takes longer. */
  readonly speed: Speed
  readonly float: ModelCost
  readonly quantized: ModelCost
}

/**
 * Loads both models, runs them over the batches, times them on the first one, and closes them.
 * @param options both models' bytes, the batches and a runner
 * @throws GpfqError INVALID_DATA if the models do not have the same inputs and output shape, or there is no
 * batch; RUNTIME_FAILED if one of them does not run
 * @throws the signal's reason if it aborts
 * @example
 * const { agreement, sqnrDb, speedup } = await compareModels({ runner, float, quantized, feeds, samples: feeds.samples })
 */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  checkRun(options)
  checkBytes('float', options.float)
  checkBytes('quantized', options.quantized)
  checkBatches('feeds', options.feeds)
  const { runner, float, quantized, signal } = options
  await (await runner.load(float)).close() // the first load starts ONNX Runtime itself, which is not to be timed
  const first = await timedLoad(runner, float)
  try {
    const second = await timedLoad(runner, quantized)
    try {
      const { differences, samples, batch, output } = await runBoth(first.session, second.session, options)
      const bounds = { ...TIMING, fetches: [output], signal }
      const speed = await timeInTurn(first.session, second.session, batch, bounds)
      return {
        agreement: differences.agreeing / Math.max(1, differences.rows),
        sqnrDb: differences.noise === 0 ? null : 10 * Math.log10(differences.signal / differences.noise),
        largestDifference: differences.largest,
        samples,
        speedup: speed.floatSeconds / speed.quantizedSeconds,
        speed,
        float: cost(float, first.seconds, speed.floatSeconds / speed.samples),
        quantized: cost(quantized, second.seconds, speed.quantizedSeconds / speed.samples),
      }
    } finally {
      await second.session.close()
    }
  } finally {
    await first.session.close()
  }
}

function cost(model: Uint8Array, loadSeconds: number, secondsPerSample: number): ModelCost {
  return { bytes: model.length, loadSeconds, millisecondsPerSample: 1000 * secondsPerSample }
}

async function timedLoad(
  runner: Runner,
  model: Uint8Array,
): Promise<{ session: RunnerSession; seconds: number }> {
  const start = performance.now()
  const session = await runner.load(model)
  return { session, seconds: (performance.now() - start) / 1000 }
}

async function runBoth(
  float: RunnerSession,
  quantized: RunnerSession,
  { feeds, samples: total, signal, onProgress, ...options }: CompareOptions,
) {
  const output = options.output ?? float.outputs[0]
  if (output === undefined || !quantized.outputs.includes(output))
    throw invalid(
      `output ${output ?? ''}`,
      'one that both models have',
      `only ${quantized.outputs.join(', ')}`,
    )
  const missing = quantized.inputs.find(({ name }) => !float.inputs.some((input) => input.name === name))
  if (missing !== undefined)
    throw invalid(`input ${missing.name}`, 'one that both models have', `only the second model's`)
  const differences: Differences = { agreeing: 0, rows: 0, signal: 0, noise: 0, largest: 0 }
  let samples = 0
  let first: Feeds | undefined
  for await (const batch of feeds) {
    signal?.throwIfAborted()
    checkBatch('feeds', batch)
    first ??= batch
    const [scores, others] = [await scoresOf(float, batch, output), await scoresOf(quantized, batch, output)]
    checkNumbers('float model', output, scores)
    checkNumbers('quantized model', output, others)
    add(scores, others, output, differences)
    samples += samplesOf(batch)
    onProgress?.(samples, total)
  }
  if (first === undefined) throw invalid('feeds', 'at least one batch', 'none')
  return { differences, samples, batch: first, output }
}

/** Sums over the rows so far. */
interface Differences {
  agreeing: number
  rows: number
  signal: number
  noise: number
  largest: number
}

async function scoresOf(session: RunnerSession, feeds: Feeds, output: string): Promise<Tensor> {
  const scores = tensorNamed(await session.run(feeds, [output]), output)
  if (scores === undefined) throw invalid('model', `an output ${output}`, 'none of that name')
  return scores
}

/** A network that gives NaN agrees with no other. @throws {GpfqError} INVALID_DATA */
function checkNumbers(model: string, output: string, scores: Tensor): void {
  const values = asNumbers(scores)
  let wrong = 0
  for (let i = 0; i < values.length; i++) wrong += Number(Number.isNaN(values[i]))
  if (wrong === 0) return
  throw new GpfqError('INVALID_DATA', {
    place: `${model}, output '${output}'`,
    problem: `${wrong} of ${values.length} values of a batch are not numbers (NaN): there is nothing to compare`,
  })
}

/** Adds the outputs of one batch, `a` of the float model and `b` of the quantized one. */
function add(a: Tensor, b: Tensor, output: string, into: Differences): void {
  if (a.dims.join() !== b.dims.join())
    throw invalid(
      `output ${output}`,
      `shape (${a.dims.join(', ')}) from both models`,
      `(${b.dims.join(', ')})`,
    )
  const x = asNumbers(a)
  const y = asNumbers(b)
  const classes = Math.max(1, a.dims.at(-1) ?? 1)
  for (let start = 0; start < elementCount(a.dims); start += classes) {
    let bestX = 0
    let bestY = 0
    for (let c = 0; c < classes; c++) {
      const u = x[start + c] ?? 0
      const v = y[start + c] ?? 0
      if (u > (x[start + bestX] ?? 0)) bestX = c
      if (v > (y[start + bestY] ?? 0)) bestY = c
      if (u === v && !Number.isFinite(u)) continue // values that both mask
      into.signal += u * u
      into.noise += (u - v) * (u - v)
      into.largest = Math.max(into.largest, Math.abs(u - v))
    }
    if (bestX === bestY) into.agreeing++
    into.rows++
  }
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_DATA', { place, expected, got })
}
