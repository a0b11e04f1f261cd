/**
 * The work of one layer as the executor's arguments: shape and batches of samples, weights and scales. Seeded; dense or a
 * convolution with groups; inputs as after a ReLU, which differ a little in the quantized network. A layer is quantized by
 * the verbs observe and solve, each with its seconds.
 */
import { gatherFor } from '#src/calibration/gather.js'
import type { Executor } from '#src/executor/executor.js'
import { scalesFor } from '#src/methods/alphabet.js'
import { preferCorrelation } from '#src/methods/correlationPlan.js'
import type { Observations } from '#src/methods/observations.js'
import { GPFQ, type Recipe } from '#src/methods/recipe.js'
import { type SampleShape, SEGMENT_ROWS } from '#src/methods/samplePlan.js'
import { denseGather, paddedBytes, type SampleBatch } from '#src/methods/samples.js'
import type { SolveRequest } from '#src/methods/solution.js'
import { needsOf, needsWholeG } from '#src/methods/solve.js'
import type { Radius } from '#src/options.js'
import { uniform } from './measure.js'

export interface Shape {
  readonly samples: number
  readonly inputs: number
  readonly neurons: number
}

/** A 3 × 3 convolution, stride 1, padded to keep its size. */
export interface Convolution {
  readonly channels: number
  readonly side: number // of the square images
  readonly images: number
  readonly groups: number
  readonly neurons: number // per group
}

export interface Work {
  readonly name: string
  readonly shape: SampleShape
  readonly neurons: number // per group
  readonly batches: readonly SampleBatch[]
  readonly weights: Float32Array // (groups, inputs, neurons)
}

const LEVELS = 15

/** Bytes of one batch of a dense layer, as the quantizer stages them. */
const BATCH_BYTES = 8 * 2 ** 20

/** One group of a convolution. */
export const shapeOf = ({ channels, groups, neurons, side, images }: Convolution): Shape => ({
  samples: images * side * side,
  inputs: (9 * channels) / groups,
  neurons,
})

export const nameOf = ({ samples, inputs, neurons }: Shape): string => `${samples}×${inputs}×${neurons}`

/** X, and Xq unless `same`. */
export function streamsOf(values: number, same: boolean): { x: Float32Array; xq: Float32Array | null } {
  const next = uniform(7)
  const x = new Float32Array(values)
  const xq = same ? null : new Float32Array(values)
  for (let i = 0; i < values; i++) {
    const value = 2 * next() - 1
    x[i] = Math.max(0, value)
    if (xq !== null) xq[i] = Math.max(0, value + 0.1 * (next() - 0.5))
  }
  return { x, xq }
}

export function weightsOf(inputs: number, columns: number): Float32Array {
  const next = uniform(8)
  return Float32Array.from({ length: inputs * columns }, () => (next() - 0.5) / Math.sqrt(inputs))
}

export function denseWork(shape: Shape, same: boolean): Work {
  const { samples, inputs, neurons } = shape
  const { x, xq } = streamsOf(samples * inputs, same)
  const rows = Math.min(samples, Math.max(1, Math.floor(BATCH_BYTES / (4 * inputs))))
  const batches = Array.from({ length: Math.ceil(samples / rows) }, (_, b) => {
    const [from, to] = [b * rows, Math.min(samples, (b + 1) * rows)]
    const part = (values: Float32Array): Float32Array => values.subarray(from * inputs, to * inputs)
    return { x: part(x), xq: xq === null ? null : part(xq), gather: denseGather(to - from, inputs) }
  })
  return {
    name: nameOf(shape),
    shape: samplesOf(shape, 1, SEGMENT_ROWS, same, batches),
    neurons,
    batches,
    weights: weightsOf(inputs, neurons),
  }
}

export function convolutionWork(layer: Convolution, same: boolean): Work {
  const { channels, side, images, groups, neurons } = layer
  const { inputs } = shapeOf(layer)
  const image = channels * side * side
  const { x, xq } = streamsOf(images * image, same)
  const perBatch = Math.max(1, Math.floor(BATCH_BYTES / (4 * image)))
  const batches = Array.from({ length: Math.ceil(images / perBatch) }, (_, b) => {
    const [from, to] = [b * perBatch, Math.min(images, (b + 1) * perBatch)]
    const part = (values: Float32Array): Float32Array => values.subarray(from * image, to * image)
    const gather = gatherFor({
      place: 'bench',
      sampling: { ...SAME_3X3, groups },
      dims: [to - from, channels, side, side],
      inputs,
      groups,
      firstImage: from,
      images,
      patches: 0,
    })
    return { x: part(x), xq: xq === null ? null : part(xq), gather }
  })
  const shape = shapeOf(layer)
  // As many whole images as fit into a segment.
  const segmentRows = side * side * Math.max(1, Math.floor(SEGMENT_ROWS / (side * side)))
  return {
    name: nameOf(shape),
    shape: samplesOf(shape, groups, segmentRows, same, batches),
    neurons,
    batches,
    weights: weightsOf(inputs, groups * neurons),
  }
}

/** The same convolution as in a model that samples all patches: by correlations where these take less time. */
export function allPositions(work: Work): Work {
  const { convolution = null } = work.batches[0]!.gather
  return convolution === null ? work : { ...work, shape: preferCorrelation(work.shape, convolution) }
}

const SAME_3X3 = {
  kind: 'patches',
  kernel: [3, 3],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [1, 1, 1, 1],
  autoPad: 'NOTSET',
} as const

const samplesOf = (
  { samples, inputs }: Shape,
  groups: number,
  segmentRows: number,
  same: boolean,
  batches: readonly SampleBatch[],
): SampleShape => ({
  ...{ rows: samples, inputs, groups, streamsEqual: same, wholeG: false, means: false, segmentRows },
  batchBytes: Math.max(...batches.map(({ x }) => x.byteLength)),
  batchPaddedBytes: Math.max(...batches.map(({ gather }) => paddedBytes(gather))),
  batchRows: Math.max(...batches.map(({ gather }) => gather.rows)),
})

export interface WorkOptions {
  readonly recipe?: Recipe
  readonly rule?: 'max' | 'search'
  /** Default 15. */
  readonly levels?: number
}

/** Sums what the samples say; null where the method looks at none. */
export function observe(
  executor: Executor,
  { name, shape, batches }: Work,
  { recipe = GPFQ, rule = 'max' }: WorkOptions = {},
): Promise<Observations | null> {
  const searching = rule === 'search'
  const kind = needsOf(recipe, searching)
  if (kind === 'none') return Promise.resolve(null)
  const wholeG = needsWholeG(recipe, searching)
  return executor.observe({ ...shape, wholeG }, batches, { kind, place: name })
}

/** Chooses the codes, without measuring their error. */
export async function solve(
  executor: Executor,
  { name, shape: { groups, inputs }, neurons, weights }: Work,
  observations: Observations | null,
  { recipe = GPFQ, rule = 'max', levels = LEVELS }: WorkOptions = {},
): Promise<void> {
  const radius: Radius = { rule }
  const shape = { groups, inputs, neurons }
  const request: SolveRequest = {
    weights,
    shape,
    levels,
    scales: scalesFor(weights, shape, levels, 'neuron', radius),
    search: rule === 'search' ? 'neuron' : 'none',
  }
  await executor.solve(observations, [request], { recipe, place: name })
}

/** Seconds of both verbs. */
export interface Spent {
  readonly observe: number
  readonly solve: number
}

/** Chooses the codes of the layer from its samples. */
export async function quantize(executor: Executor, work: Work, options: WorkOptions = {}): Promise<Spent> {
  const start = performance.now()
  const observations = await observe(executor, work, options)
  const middle = performance.now()
  await solve(executor, work, observations, options)
  return { observe: (middle - start) / 1000, solve: (performance.now() - middle) / 1000 }
}

/**
 * Operations of plain GPFQ; a multiply-add counts twice, padding does not count (except that of correlations): H, where
 * Xq ≠ X the lower triangle of G, and the path.
 */
export function operations({ shape, neurons: k }: Work): {
  readonly observe: number
  readonly solve: number
} {
  const { rows: m, inputs: n, groups, streamsEqual, correlation } = shape
  const streams = streamsEqual ? 1 : 2
  return {
    observe: correlation === undefined ? streams * groups * n * n * m : 2 * correlation.work,
    solve: streams * groups * n * n * k,
  }
}
