/**
 * How good a model is on labelled data, batch by batch, nothing kept but counts.
 *
 * Labels (samples) with outputs (samples, classes): top-1 and top-5. Labels (samples, positions) with outputs
 * (samples, positions, vocabulary): next-token accuracy, mean negative log-likelihood in nats, and perplexity, its
 * exponential. A label counts as first if no other score is larger, the earlier class winning ties (numpy's
 * argmax); a score that is not a number is never right. Log-sum-exp is taken in float64.
 */
import type { RunnerSession } from '../calibration/runner.js'
import { GpfqError } from '../errors.js'
import { elementCount, numberAt } from '../tensor/elements.js'
import { float16ToFloat32 } from '../tensor/float16.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'

export interface EvaluateOptions {
  /** Output that holds the scores; the model's first unless told. */
  readonly output?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

export interface ClassEvaluation {
  /** Fractions of 1. */
  readonly top1: number
  readonly top5: number
  readonly samples: number
  readonly seconds: number
}

export interface SequenceEvaluation {
  readonly nll: number
  readonly perplexity: number
  /** Fraction of positions whose next token was the likeliest. */
  readonly nextToken: number
  readonly samples: number
  /** Positions counted: negative labels (padding) are not. */
  readonly positions: number
  readonly seconds: number
}

/**
 * Runs `session` over the batches and compares with `labels`, whose leading axis is counted off along.
 * @param total samples that the batches hold, for progress and to check the labels against
 * @throws {GpfqError} INVALID_DATA if labels and outputs do not fit; the signal's reason if it aborts
 */
export async function evaluate(
  session: RunnerSession,
  batches: Iterable<Feeds> | AsyncIterable<Feeds>,
  labels: Tensor,
  total: number,
  options: EvaluateOptions = {},
): Promise<ClassEvaluation | SequenceEvaluation> {
  const start = performance.now()
  const target = labelTarget(labels, total)
  const output = options.output ?? session.outputs[0]
  if (output === undefined) throw invalid('model', 'an output with scores', 'a model without outputs')
  const tally = { first: 0, firstFive: 0, nll: 0, counted: 0 }
  let samples = 0
  for await (const feeds of batches) {
    options.signal?.throwIfAborted()
    const scores = (await session.run(feeds, [output]))[output]
    if (scores === undefined) throw invalid('model', `an output ${output}`, 'none of that name')
    const batch = Object.values(feeds)[0]?.dims[0] ?? 0
    count(scores, output, batch, samples, target, tally)
    samples += batch
    options.onProgress?.(samples, total)
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

interface Target {
  readonly labels: Tensor
  /** Labels per sample of a sequence; undefined for one class per sample. */
  readonly positions: number | undefined
}

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

function count(
  scores: Tensor,
  output: string,
  batch: number,
  offset: number,
  target: Target,
  tally: { first: number; firstFive: number; nll: number; counted: number },
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
  const values = asNumbers(scores)
  for (let row = 0; row < batch * positions; row++) {
    const label = numberAt(target.labels.type, target.labels.data, offset * positions + row)
    if (label < 0 && target.positions !== undefined) continue
    if (label < 0 || label >= classes)
      throw invalid(
        'labels',
        `classes 0 to ${classes - 1}`,
        `${label} for sample ${offset + Math.floor(row / positions)}`,
      )
    const rank = rankOf(values, row * classes, classes, label)
    if (rank === 0) tally.first++
    if (rank < 5) tally.firstFive++
    if (target.positions !== undefined)
      tally.nll += logSumExp(values, row * classes, classes) - (values[row * classes + label] ?? Number.NaN)
    tally.counted++
  }
}

/** How many classes score above `label`; infinitely many if its score is not a number. */
function rankOf(values: ArrayLike<number>, start: number, classes: number, label: number): number {
  const own = values[start + label] ?? Number.NaN
  if (Number.isNaN(own)) return Number.POSITIVE_INFINITY
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

/** A tensor's elements as numbers: its own array where that holds numbers already. */
export function asNumbers(tensor: Tensor): ArrayLike<number> {
  const { data, type } = tensor
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number)
  return type === 'float16' ? Float32Array.from(data, float16ToFloat32) : data
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_DATA', `${place}: expected ${expected}, got ${got}`)
}
