/**
 * A float model against its quantized one on unlabelled data: how often they agree, how far apart their outputs
 * are, what each weighs and how long each takes. Both are run on the same batches in turn, so that a busy machine
 * slows both; the first batch warms up and is not timed unless it is the only one.
 */
import type { Runner, RunnerSession } from '../calibration/runner.js'
import { GpfqError } from '../errors.js'
import { elementCount } from '../tensor/elements.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { asNumbers } from './evaluate.js'

export interface CompareOptions {
  readonly output?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

export interface ModelCost {
  readonly bytes: number
  readonly loadSeconds: number
  /** Time per sample over the timed batches. */
  readonly millisecondsPerSample: number
}

export interface Comparison {
  /** Share of rows of the output (samples, or positions of sequences) whose largest score is the same class. */
  readonly agreement: number
  /** 10·log10(Σ y² / Σ (y − ỹ)²) over the output; null if the two are equal. */
  readonly sqnrDb: number | null
  readonly largestDifference: number
  readonly samples: number
  readonly float: ModelCost
  readonly quantized: ModelCost
}

/**
 * @param total samples that the batches hold, for progress
 * @throws {GpfqError} INVALID_DATA if the models do not have the same inputs and output shape
 */
export async function compareModels(
  runner: Runner,
  float: Uint8Array,
  quantized: Uint8Array,
  batches: Iterable<Feeds> | AsyncIterable<Feeds>,
  total: number,
  options: CompareOptions = {},
): Promise<Comparison> {
  await (await runner.load(float)).close() // ONNX Runtime itself starts with the first load: not to be timed
  const first = await timedLoad(runner, float)
  try {
    const second = await timedLoad(runner, quantized)
    try {
      const { differences, samples, seconds } = await runBoth(
        first.session,
        second.session,
        batches,
        total,
        options,
      )
      return {
        agreement: differences.agreeing / Math.max(1, differences.rows),
        sqnrDb: differences.noise === 0 ? null : 10 * Math.log10(differences.signal / differences.noise),
        largestDifference: differences.largest,
        samples,
        float: cost(float, first.seconds, seconds.float, seconds.samples),
        quantized: cost(quantized, second.seconds, seconds.quantized, seconds.samples),
      }
    } finally {
      await second.session.close()
    }
  } finally {
    await first.session.close()
  }
}

function cost(model: Uint8Array, loadSeconds: number, runSeconds: number, samples: number): ModelCost {
  return {
    bytes: model.length,
    loadSeconds,
    millisecondsPerSample: (1000 * runSeconds) / Math.max(1, samples),
  }
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
  batches: Iterable<Feeds> | AsyncIterable<Feeds>,
  total: number,
  options: CompareOptions,
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
  const differences = { agreeing: 0, rows: 0, signal: 0, noise: 0, largest: 0 }
  let seconds = { float: 0, quantized: 0, samples: 0 }
  let samples = 0
  let batchIndex = 0
  for await (const feeds of batches) {
    options.signal?.throwIfAborted()
    const a = await timedRun(float, feeds, output)
    const b = await timedRun(quantized, feeds, output)
    const batch = Object.values(feeds)[0]?.dims[0] ?? 0
    if (batchIndex++ === 1) seconds = { float: 0, quantized: 0, samples: 0 }
    seconds.float += a.seconds
    seconds.quantized += b.seconds
    seconds.samples += batch
    add(a.scores, b.scores, output, differences)
    samples += batch
    options.onProgress?.(samples, total)
  }
  return { differences, samples, seconds }
}

async function timedRun(session: RunnerSession, feeds: Feeds, output: string) {
  const start = performance.now()
  const scores = (await session.run(feeds, [output]))[output]
  if (scores === undefined) throw invalid('model', `an output ${output}`, 'none of that name')
  return { scores, seconds: (performance.now() - start) / 1000 }
}

function add(
  a: Tensor,
  b: Tensor,
  output: string,
  into: { agreeing: number; rows: number; signal: number; noise: number; largest: number },
): void {
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
      into.signal += u * u
      into.noise += (u - v) * (u - v)
      into.largest = Math.max(into.largest, Math.abs(u - v))
    }
    if (bestX === bestY) into.agreeing++
    into.rows++
  }
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_DATA', `${place}: expected ${expected}, got ${got}`)
}
