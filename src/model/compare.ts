/**
 * Compares a float model with its quantized one on unlabelled data: how their outputs differ, each in the terms that fit it
 * (outputDifference.ts), their sizes and their times. They are timed after that, on the first batch again and again
 * (src/calibration/speed.ts), so that the times do not depend on how much data there is.
 */
import { eachUntilAborted } from '../aborts.js'
import { abortable } from '../calibration/abortable.js'
import type { Runner, RunnerSession } from '../calibration/runner.js'
import { type Speed, samplesOf, timeInTurn } from '../calibration/speed.js'
import { GpfqError } from '../errors.js'
import { numbersOf } from '../tensor/elements.js'
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { checkBatch, checkBatches, checkBytes, checkRun } from './arguments.js'
import { type Carry, carrying, checkCarry } from './carry.js'
import { type OutputDifference, sumDifferences } from './outputDifference.js'

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
  /** The output to compare. Default: all that the float model has. */
  readonly output?: string | undefined
  /** States that each of the models carries along sequences, its own. Default: batches run as they are. */
  readonly carry?: Carry | undefined
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
  /** Every output that was compared, in the float model's order. */
  readonly outputs: readonly OutputDifference[]
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
 * const { outputs, speedup } = await compareModels({ runner, float, quantized, feeds, samples: feeds.samples })
 */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  checkRun(options)
  checkBytes('float', options.float)
  checkBytes('quantized', options.quantized)
  checkBatches('feeds', options.feeds)
  if (options.carry !== undefined) checkCarry(options.carry)
  const { float, quantized, signal } = options
  const runner = abortable(options.runner, signal)
  await (await runner.load(float)).close() // the first load starts ONNX Runtime itself, which is not to be timed
  const first = await timedLoad(runner, float)
  try {
    const second = await timedLoad(runner, quantized)
    try {
      const { outputs, samples, batch } = await runBoth(first.session, second.session, options)
      const bounds = { ...TIMING, fetches: outputs.map(({ output }) => output), signal }
      const speed = await timeInTurn(first.session, second.session, batch, bounds)
      return {
        outputs,
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
  const names = options.output === undefined ? float.outputs : [options.output]
  const unknown = names.find((name) => ![float, quantized].every(({ outputs }) => outputs.includes(name)))
  if (unknown !== undefined || names.length === 0) {
    const others = [...new Set([...float.outputs, ...quantized.outputs])].join(', ')
    throw invalid(`output ${unknown ?? ''}`, 'one that both models have', `only ${others || 'none'}`)
  }
  const missing = quantized.inputs.find(({ name }) => !float.inputs.some((input) => input.name === name))
  if (missing !== undefined)
    throw invalid(`input ${missing.name}`, 'one that both models have', `only the second model's`)
  const [runFloat, runQuantized] = [carrying(float, options.carry), carrying(quantized, options.carry)]
  const differences = names.map(sumDifferences)
  let samples = 0
  let first: Feeds | undefined
  for await (const batch of eachUntilAborted(signal, feeds)) {
    checkBatch('feeds', batch)
    const { feeds: whole, outputs: ys } = await runFloat(batch, names)
    const { outputs: zs } = await runQuantized(batch, names)
    first ??= whole
    for (const [i, name] of names.entries()) {
      const [y, z] = [outputOf('float model', ys, name), outputOf('quantized model', zs, name)]
      if (y.dims.join() !== z.dims.join())
        throw invalid(
          `output ${name}`,
          `shape (${y.dims.join(', ')}) from both models`,
          `(${z.dims.join(', ')})`,
        )
      differences[i]!.add(y, z)
    }
    samples += samplesOf(batch)
    onProgress?.(samples, total)
  }
  if (first === undefined) throw invalid('feeds', 'at least one batch', 'none')
  return { outputs: differences.map((sums) => sums.result()), samples, batch: first }
}

/** An output as a tensor of numbers. A network that gives NaN agrees with no other. @throws GpfqError INVALID_DATA */
function outputOf(model: string, outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = tensorNamed(outputs, name)
  if (tensor === undefined) throw invalid(model, `an output ${name}`, 'none of that name')
  checkNumbers(model, name, tensor)
  return tensor
}

function checkNumbers(model: string, output: string, scores: Tensor): void {
  const values = numbersOf(scores)
  let wrong = 0
  for (let i = 0; i < values.length; i++) wrong += Number(Number.isNaN(values[i]))
  if (wrong === 0) return
  throw new GpfqError('INVALID_DATA', {
    place: `${model}, output '${output}'`,
    problem: `${wrong} of ${values.length} values of a batch are not numbers (NaN): there is nothing to compare`,
  })
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_DATA', { place, expected, got })
}
