/**
 * Measures a model on labelled data, batch by batch. Only counts are kept.
 *
 * Labels (samples) with outputs (samples, classes) give top-1 and top-5. Labels (samples, positions) with outputs
 * (samples, positions, vocabulary) give next-token accuracy, the mean negative log-likelihood in nats, and its
 * exponential, the perplexity. A label is first if no other score is larger; of equal scores the earlier class is first,
 * as in numpy's argmax. Scores that are not numbers are refused. Log-sum-exp is computed in float64.
 */
import { eachUntilAborted } from '../aborts.js'
import { abortable } from '../calibration/abortable.js'
import type { Runner, RunnerSession } from '../calibration/runner.js'
import { GpfqError } from '../errors.js'
import { elementCount, numberAt, numbersOf } from '../tensor/elements.js'
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { checkBatch, checkBatches, checkBytes, checkRun } from './arguments.js'
import { type Carry, carrying, checkCarry } from './carry.js'

/** Options of evaluate. */
export interface EvaluateOptions {
  /** Runs the model. */
  readonly runner: Runner
  /** The bytes of the model, its external data packed in. */
  readonly model: Uint8Array
  /** Batches of model inputs; the first axis of each tensor counts samples. */
  readonly feeds: Iterable<Feeds> | AsyncIterable<Feeds>
  /** Samples that `feeds` holds in all. */
  readonly samples: number
  /**
   * Integer labels (samples), or next tokens (samples, positions), in the order of `feeds`. More labels than samples are
   * allowed. Negative next tokens are not counted.
   */
  readonly labels: Tensor
  /** The output that holds the scores. Default: the model's first. */
  readonly output?: string | undefined
  /** States that the model carries along sequences. Default: batches run as they are. */
  readonly carry?: Carry | undefined
  /** Aborts between batches. */
  readonly signal?: AbortSignal | undefined
  /** Called after every batch with the number of samples done and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/** Accuracy of a classifier. */
export interface ClassEvaluation {
  /** The share of samples whose label has the largest score, from 0 to 1. */
  readonly top1: number
  /** The share of samples whose label is among the five largest scores, from 0 to 1. */
  readonly top5: number
  readonly samples: number
  /** Seconds of all runs, without loading the model. */
  readonly seconds: number
}

/** Accuracy of a model that predicts the next token. */
export interface SequenceEvaluation {
  /** Mean negative log-likelihood of the next token, in nats. */
  readonly nll: number
  /** exp(nll) */
  readonly perplexity: number
  /** The share of positions whose next token has the largest score, from 0 to 1. */
  readonly nextToken: number
  readonly samples: number
  /** Positions that are counted. Those with a negative label (padding) are not. */
  readonly positions: number
  /** Seconds of all runs, without loading the model. */
  readonly seconds: number
}

/**
 * Loads a model, runs it over the batches, compares its outputs with the labels, and closes it.
 * @param options the model's bytes, the batches with their labels, and a runner
 * @returns shares from 0 to 1, the negative log-likelihood in nats
 * @throws GpfqError INVALID_DATA if labels and outputs do not fit; RUNTIME_FAILED if the model does not run
 * @throws the signal's reason if it aborts
 * @example
 * const feeds = await loadFeeds([{ name: 'images', files }], inputs, { scale: 255 })
 * const { top1 } = await evaluate({ runner, model, feeds, labels, samples: feeds.samples })
 */
export async function evaluate(options: EvaluateOptions): Promise<ClassEvaluation | SequenceEvaluation> {
  checkRun(options)
  checkBytes('model', options.model)
  checkBatches('feeds', options.feeds)
  if (options.carry !== undefined) checkCarry(options.carry)
  checkBatch('labels', { labels: options.labels })
  const target = labelTarget(options.labels, options.samples)
  const session = await abortable(options.runner, options.signal).load(options.model)
  try {
    return await evaluateSession(session, target, options)
  } finally {
    await session.close()
  }
}

async function evaluateSession(
  session: RunnerSession,
  target: Target,
  { feeds, samples: total, signal, onProgress, ...options }: EvaluateOptions,
): Promise<ClassEvaluation | SequenceEvaluation> {
  const start = performance.now()
  const output = options.output ?? session.outputs[0]
  if (output === undefined) throw invalid('model', 'an output with scores', 'a model without outputs')
  const run = carrying(session, options.carry)
  const tally: Tally = { first: 0, firstFive: 0, nll: 0, counted: 0 }
  let samples = 0
  for await (const batch of eachUntilAborted(signal, feeds)) {
    checkBatch('feeds', batch)
    const { outputs } = await run(batch, [output])
    const scores = tensorNamed(outputs, output)
    if (scores === undefined) throw invalid('model', `an output ${output}`, 'none of that name')
    const size = Object.values(batch)[0]?.dims[0] ?? 0
    count(scores, output, size, samples, target, tally)
    samples += size
    onProgress?.(samples, total)
  }
  if (tally.counted === 0) throw invalid('labels', 'at least one label to count', 'none')
  const seconds = (performance.now() - start) / 1000
  if (target.positions === undefined)
    return { top1: tally.first / tally.counted, top5: tally.firstFive / tally.counted, samples, seconds }
  const nll = tally.nll / tally.counted
  return {
    nll,
    perplexity: Math.exp(nll),
    nextToken: tally.first / tally.counted,
    samples,
    positions: tally.counted,
    seconds,
  }
}

/** Sums over the labels so far. */
interface Tally {
  first: number
  firstFive: number
  nll: number
  counted: number
}

interface Target {
  readonly labels: Tensor
  /** Labels per sample of a sequence; undefined for one class per sample. */
  readonly positions: number | undefined
}

/** Checks the shape of the labels against the number of samples. */
function labelTarget(labels: Tensor, total: number): Target {
  const [samples, ...rest] = labels.dims
  if (samples === undefined || samples < total)
    throw invalid('labels', `one for each of ${total} samples`, `shape (${labels.dims.join(', ')})`)
  if (rest.length === 0) return { labels, positions: undefined }
  const [positions] = rest
  if (rest.length > 1 || positions === undefined)
    throw invalid('labels', 'shape (samples) or (samples, positions)', `(${labels.dims.join(', ')})`)
  return { labels, positions: positions === 1 ? undefined : positions }
}

/** Adds one batch of scores to the tally. `offset` is the number of samples before it. */
function count(
  scores: Tensor,
  output: string,
  batch: number,
  offset: number,
  target: Target,
  tally: Tally,
): void {
  const positions = target.positions ?? 1
  const classes = elementCount(scores.dims) / (batch * positions)
  const expected = target.positions === undefined ? [batch] : [batch, positions]
  const leading = scores.dims.filter((dim, axis) => axis < expected.length || dim !== 1)
  if (leading.length !== expected.length + 1 || !expected.every((dim, axis) => dim === leading[axis]))
    throw invalid(
      `output ${output}`,
      `shape (${expected.join(', ')}, classes) to compare with the labels`,
      `(${scores.dims.join(', ')})`,
    )
  const values = numbersOf(scores)
  for (let row = 0; row < batch * positions; row++) {
    const label = numberAt(target.labels.type, target.labels.data, offset * positions + row)
    if (label < 0 && target.positions !== undefined) continue
    if (label < 0 || label >= classes)
      throw invalid(
        'labels',
        `classes 0 to ${classes - 1}`,
        `${label} for sample ${offset + Math.floor(row / positions)}`,
      )
    checkNumbers(output, values, row * classes, classes, offset + Math.floor(row / positions))
    const rank = rankOf(values, row * classes, classes, label)
    if (rank === 0) tally.first++
    if (rank < 5) tally.firstFive++
    if (target.positions !== undefined)
      tally.nll += logSumExp(values, row * classes, classes) - (values[row * classes + label] ?? Number.NaN)
    tally.counted++
  }
}

/** Scores that are not numbers are in no order. @throws {GpfqError} INVALID_DATA */
function checkNumbers(
  output: string,
  values: ArrayLike<number>,
  start: number,
  classes: number,
  sample: number,
): void {
  for (let c = 0; c < classes; c++)
    if (Number.isNaN(values[start + c]))
      throw invalid(`output ${output}`, 'scores that are numbers', `NaN for sample ${sample}`)
}

/** The number of classes before `label` in the order of scores. */
function rankOf(values: ArrayLike<number>, start: number, classes: number, label: number): number {
  const own = values[start + label] ?? Number.NaN
  let rank = 0
  for (let c = 0; c < classes; c++) {
    const value = values[start + c] ?? Number.NaN
    if (value > own || (value === own && c < label)) rank++
  }
  return rank
}

function logSumExp(values: ArrayLike<number>, start: number, classes: number): number {
  let largest = Number.NEGATIVE_INFINITY
  for (let c = 0; c < classes; c++) largest = Math.max(largest, values[start + c] ?? Number.NaN)
  let sum = 0
  for (let c = 0; c < classes; c++) sum += Math.exp((values[start + c] ?? Number.NaN) - largest)
  return largest + Math.log(sum)
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_DATA', { place, expected, got })
}
