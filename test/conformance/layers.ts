/**
 * The layers that every runtime quantizes, made from seeds: Xq equal to X or not, every method and every way of choosing
 * scales, samples in one batch, in several and in parts that are merged, and convolution patches in groups. What comes back
 * is all that a result consists of, as bytes.
 */
import { createQuantizer, type LayerOptions, merge, type Quantizer } from 'gpfq'
import { gatherFor } from '#src/calibration/gather.js'
import { createExecutor } from '#src/executor/choose.js'
import { scalesFor } from '#src/methods/alphabet.js'
import { withCorrelation } from '#src/methods/correlationPlan.js'
import { GPFQ } from '#src/methods/recipe.js'
import type { SampleShape } from '#src/methods/samplePlan.js'
import { paddedBytes, type SampleBatch } from '#src/methods/samples.js'
import type { LayerSolution } from '#src/methods/solution.js'
import { activations, disturbed, reals } from '../random.js'

interface DenseCase {
  readonly name: string
  readonly inputs: number
  readonly neurons: number
  readonly rows: number
  /** Xq differs from X. */
  readonly other?: boolean
  readonly options: LayerOptions
}

const max = { rule: 'max' } as const

const DENSE: readonly DenseCase[] = [
  { name: 'path, Xq = X', inputs: 72, neurons: 20, rows: 400, options: { radius: max } },
  {
    name: 'path, Xq ≠ X, 16 levels',
    ...{ inputs: 200, neurons: 33, rows: 700, other: true },
    options: { radius: max, levels: 16 },
  },
  {
    name: 'path, Xq ≠ X, ternary',
    ...{ inputs: 150, neurons: 9, rows: 600, other: true },
    options: { levels: 3, radius: { rule: 'median', factor: 2 } },
  },
  { name: 'search, a scale a neuron', inputs: 96, neurons: 24, rows: 500, other: true, options: {} },
  {
    name: 'search, a scale a layer',
    ...{ inputs: 96, neurons: 24, rows: 500 },
    options: { scalePer: 'layer', levels: 4 },
  },
  {
    name: 'groups of 24 inputs, least weight error',
    ...{ inputs: 100, neurons: 16, rows: 300, other: true },
    options: { scalePer: { group: 24 }, radius: { rule: 'mse' } },
  },
  { name: 'rounding', inputs: 64, neurons: 64, rows: 300, options: { method: 'msq', radius: max } },
  {
    name: 'gptq, three passes',
    ...{ inputs: 136, neurons: 20, rows: 500, other: true },
    options: { method: 'gptq', levels: 7, passes: 3 },
  },
  {
    name: 'qronos, ternary',
    ...{ inputs: 136, neurons: 20, rows: 500, other: true },
    options: { method: 'qronos', levels: 3 },
  },
  {
    name: 'spfq',
    ...{ inputs: 72, neurons: 20, rows: 400, other: true },
    options: { method: 'spfq', seed: 5, levels: 9 },
  },
  {
    name: 'gpfq, act-order, sparse',
    ...{ inputs: 72, neurons: 20, rows: 400, other: true },
    options: { actOrder: true, levels: 5, sparsity: { rule: 'soft', value: 0.02 } },
  },
  {
    name: 'beacon',
    ...{ inputs: 72, neurons: 20, rows: 400, other: true },
    options: { method: 'beacon', levels: 7 },
  },
  {
    name: 'vertex walk, then rounding',
    ...{ inputs: 96, neurons: 12, rows: 30 },
    options: { method: 'msq', preprocess: true, radius: max },
  },
  { name: 'frame', inputs: 96, neurons: 12, rows: 30, options: { method: 'frame' } },
  // 8 MiB make a batch: two of them here.
  { name: 'two batches', inputs: 256, neurons: 16, rows: 9000, options: { radius: max } },
  {
    name: 'groups of 24 inputs, search along the path',
    ...{ inputs: 100, neurons: 16, rows: 300, other: true },
    options: { scalePer: { group: 24 }, levels: 7 },
  },
]

/** Quantizes every layer and hands over the bytes of its codes, scales and error. */
export async function quantizeLayers(
  threads: number,
  visit: (name: string, ...parts: ArrayBufferView[]) => Promise<void>,
): Promise<Pick<Quantizer, 'mode' | 'threads'>> {
  const quantizer = await createQuantizer({ threads })
  try {
    for (const [index, { name, inputs, neurons, rows, other = false, options }] of DENSE.entries()) {
      const samples = activations(rows * inputs, 100 + index)
      const { codes, scales, relativeError } = await quantizer.quantizeLayer(
        {
          weights: reals(inputs * neurons, 200 + index),
          inputs,
          neurons,
          samples,
          ...(other ? { quantizedSamples: disturbed(samples, 0.05, 300 + index) } : {}),
        },
        options,
      )
      await visit(name, codes, scales, Float64Array.of(relativeError ?? -1))
    }
    await visit('three parts, merged, solved in halves', ...(await quantizeInParts(quantizer)))
  } finally {
    await quantizer.close()
  }
  for (const { name, ...how } of CONVOLUTIONS) {
    const { codes, scales } = await quantizeConvolution(threads, how)
    await visit(name, codes, scales)
  }
  return { mode: quantizer.mode, threads: quantizer.threads }
}

/** A layer whose samples are observed in parts and whose neurons are solved in two halves: the observations, codes, scales. */
async function quantizeInParts(quantizer: Quantizer): Promise<readonly ArrayBufferView[]> {
  const [inputs, neurons, rows, segmentRows] = [72, 20, 900, 300]
  const x = activations(rows * inputs, 600)
  const xq = disturbed(x, 0.05, 601)
  const parts = []
  for (let row = 0; row < rows; row += segmentRows) {
    const seen = await quantizer.observe({ inputs, segmentRows, later: row > 0 })
    const [from, to] = [row * inputs, (row + segmentRows) * inputs]
    await seen.add(x.subarray(from, to), xq.subarray(from, to))
    parts.push(await seen.observations())
  }
  const observations = parts.reduce(merge)
  const weights = reals(inputs * neurons, 602)
  const found: ArrayBufferView[] = [observations.bytes]
  for (const range of [
    { from: 0, to: 11 },
    { from: 11, to: neurons },
  ]) {
    const { codes, scales } = await quantizer.solve(observations, weights, { neurons: range })
    found.push(codes, scales)
  }
  return found
}

/**
 * Quantizes a layer with relaxed SIMD beside the standard kernels.
 * @returns whether the runtime has it @throws if its codes are other codes than near-ties explain
 */
export async function fastMathIsNear(threads: number): Promise<boolean> {
  const [inputs, neurons, rows] = [96, 24, 600]
  const problem = {
    weights: reals(inputs * neurons, 500),
    inputs,
    neurons,
    samples: activations(rows * inputs, 501),
  }
  const results: { codes: Uint8Array; relativeError: number | null }[] = []
  let used = false
  for (const fastMath of [false, true]) {
    const quantizer = await createQuantizer({ threads, fastMath })
    results.push(await quantizer.quantizeLayer(problem))
    used = quantizer.fastMath
    await quantizer.close()
  }
  const [standard, fast] = results
  const equal = fast!.codes.filter((code, i) => code === standard!.codes[i]).length / fast!.codes.length
  const error = (fast!.relativeError ?? 0) / (standard!.relativeError ?? 0)
  if (equal < 0.97 || Math.abs(error - 1) > 1e-3) {
    throw new Error(`fastMath: expected near codes, got ${equal} of them equal and ${error} times the error`)
  }
  return used
}

const IMAGES = { batches: 2, batch: 3, channels: 6, height: 15, width: 14 }
const GROUPS = 2
const NEURONS = 5

/** `patches`: most of all images, 0 for all, whose H and G are then summed as correlations. */
const CONVOLUTIONS = [
  { name: 'convolution patches in groups', stride: 2, patches: 200, search: false },
  { name: 'convolution patches in groups, search', stride: 2, patches: 200, search: true },
  { name: 'convolution by correlations, search', stride: 1, patches: 0, search: true },
]

/** A padded 3 × 3 convolution, below the public API: patches belong to models there. */
async function quantizeConvolution(
  threads: number,
  { stride, patches, search }: { stride: number; patches: number; search: boolean },
): Promise<LayerSolution> {
  const { batches: batchCount, batch, channels, height, width } = IMAGES
  const inputs = (channels / GROUPS) * 9
  const shape = { groups: GROUPS, inputs, neurons: NEURONS }
  const weights = reals(GROUPS * inputs * NEURONS, 400)
  const batches: SampleBatch[] = Array.from({ length: batchCount }, (_, index) => {
    const x = activations(batch * channels * height * width, 410 + index)
    const gather = gatherFor({
      place: 'conformance',
      sampling: {
        kind: 'patches',
        kernel: [3, 3],
        strides: [stride, stride],
        dilations: [1, 1],
        pads: [1, 1, 1, 1],
        autoPad: 'NOTSET',
        groups: GROUPS,
      },
      dims: [batch, channels, height, width],
      inputs,
      groups: GROUPS,
      firstImage: index * batch,
      images: batchCount * batch,
      patches,
    })
    return { x, xq: disturbed(x, 0.05, 420 + index), gather }
  })
  const [first] = batches
  const executor = await createExecutor({ threads })
  try {
    const { rows, convolution = null } = first!.gather
    const samples: SampleShape = {
      rows: batchCount * rows,
      ...{ inputs, groups: GROUPS, streamsEqual: false, wholeG: search, means: true },
      segmentRows: (2 * rows) / batch, // two images
      batchBytes: first!.x.byteLength,
      batchPaddedBytes: paddedBytes(first!.gather),
      batchRows: rows,
    }
    const place = 'conformance'
    const observations = await executor.observe(
      convolution === null ? samples : withCorrelation(samples, convolution),
      batches,
      { place },
    )
    const { solutions } = await executor.solve(
      observations,
      [
        {
          weights,
          shape,
          levels: 15,
          scales: scalesFor(weights, shape, 15, 'neuron', search ? { rule: 'search' } : max),
          search: search ? 'neuron' : 'none',
        },
      ],
      { recipe: GPFQ, place },
    )
    return solutions[0]!
  } finally {
    await executor.close()
  }
}
