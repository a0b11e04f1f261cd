/**
 * Captures: layers that read the same rows of the same tensors (q, k and v projections; gate and up) share one set of
 * samples, and so one H and one G. A capture's batches come out of the streams as views, ready for packing.
 */
import { preferCorrelation } from '../methods/correlationPlan.js'
import type { SampleShape } from '../methods/samplePlan.js'
import { type Convolution, type Gather, paddedBytes, type SampleBatch } from '../methods/samples.js'
import type { LayerUse } from '../onnx/layer.js'
import type { Network } from '../onnx/network.js'
import { floatsOf } from '../tensor/floats.js'
import type { Tensor } from '../tensor/tensor.js'
import { BLOCK, MOST_INTEGER_ROWS } from '../wasm/kernels.js'
import { gatherFor, type RandomPatches } from './gather.js'
import { roundSamples } from './roundTensor.js'
import type { Streams } from './streams.js'
import { checkSameShape, type Pair, samplesOf } from './streamTensors.js'

/** What a capture has to know of a layer. */
export interface CapturedLayer {
  readonly name: string
  readonly inputs: number // per group
  readonly groups: number
  /** Channels of a group that are paths of their own; 1 for one path through all of them. */
  readonly planes: number
  /** Whether it reads its input rounded to 8 bits with a range for each sample, where other layers do not. */
  readonly rounded: boolean
  readonly uses: readonly LayerUse[]
}

export interface Capture {
  readonly layers: readonly CapturedLayer[]
  readonly uses: readonly LayerUse[]
}

export function groupByCapture(layers: readonly CapturedLayer[]): Capture[] {
  const captures = new Map<string, { layers: CapturedLayer[]; uses: readonly LayerUse[] }>()
  for (const layer of layers) {
    const reads = layer.uses.map(({ input, sampling }) => ({ input, sampling }))
    // Groups of a convolution have weights of their own shape each; only layers that read whole rows share them.
    const own = layer.groups > 1 || layer.planes > 1
    const key = JSON.stringify([reads, layer.inputs, layer.groups, layer.rounded, own ? layer.name : ''])
    const known = captures.get(key)
    if (known === undefined) captures.set(key, { layers: [layer], uses: layer.uses })
    else known.layers.push(layer)
  }
  return [...captures.values()]
}

/** For messages. */
export const placeOf = ({ layers }: Capture): string => layers.map(({ name }) => `layer '${name}'`).join(', ')

/** How rows are taken. */
export interface CaptureRule {
  /** Most rows of a convolution, 0 for all. */
  readonly patches: number
  /** Patches drawn at random instead. */
  readonly random: RandomPatches | null
  /** All of G, not its lower triangle alone. */
  readonly wholeG: boolean
  readonly means: boolean
  /** Rows are divided by their norms; default false. */
  readonly weighted?: boolean
  /** Samples that are kept out of calibration, instead of those of calibration. */
  readonly heldOut?: boolean
}

/** About as many rows of the samples that are kept out say well enough what a layer loses. */
export const JUDGED_ROWS = 1024

export interface CapturedSamples {
  readonly shape: SampleShape
  batches(): AsyncIterable<SampleBatch>
}

/**
 * Samples of a segment of the canonical sum: a power of two, so that there are eight segments or more where there are as
 * many samples. It depends on the number of all samples alone, so shards that are cut at its multiples merge to the same
 * bytes at every layer.
 */
export const segmentSamples = (total: number): number =>
  2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, total) / 8)))

/** The samples of a capture in the streams' shard, at the current stage. @param network as in the stage's advance */
export function captureSamples(
  { layers, uses }: Capture,
  streams: Streams,
  network: Network,
  rule: CaptureRule,
): CapturedSamples {
  const { name, planes, rounded, ...layer } = layers[0]!
  const inputs = layer.inputs / planes
  const groups = layer.groups * planes
  const streamsEqual = !rounded && !uses.some(({ input }) => streams.differs(input))
  const perUse = rule.patches === 0 ? 0 : Math.max(1, Math.floor(rule.patches / uses.length))
  const total = rule.heldOut === true ? samplesOf(streams.heldOut) : streams.shard.total
  const own = Array.from({ length: streams.batches }, (_, batch) => batch).filter(
    (batch) => streams.isHeldOut(batch) === (rule.heldOut === true),
  )
  let stride = 1

  /** Rows of one use in a batch, or in one image of it. */
  function gather(use: LayerUse, batch: number, image: number | null): Gather {
    const dims = streams.dims(batch, use.input)
    const images = dims[0] ?? 1
    const perSample = images / Math.max(1, streams.samples(batch))
    const before = streams.firstSample(batch) * perSample
    const rows = gatherFor({
      place: `layer '${name}'`,
      sampling: use.sampling,
      dims: image === null ? dims : [1, ...dims.slice(1)],
      ...{ inputs, groups },
      firstImage: before + (image ?? 0),
      images: total * perSample,
      patches: perUse,
      random: rule.random,
    })
    // Counted from the first sample, so that the rows do not depend on the batches.
    const perImage = rows.rows / (image === null ? images : 1)
    return stride === 1 ? rows : everyRow(rows, stride, (before + (image ?? 0)) * perImage)
  }

  /** What the layers read in the quantized network; null where it is what they read in the float one. */
  const reads = (name: string, batch: number, { float, quantized }: Pair): Tensor | null =>
    rounded ? roundSamples(name, quantized ?? float, streams.samples(batch)) : quantized

  async function* batches(): AsyncIterable<SampleBatch> {
    const names = [...new Set(uses.map(({ input }) => input))]
    for (const batch of own) {
      const tensors = await streams.tensors(network, batch, names)
      const images = uses.length > 1 ? imagesInCommon(uses, (input) => streams.dims(batch, input)) : 1
      const read = new Map([...tensors].map(([tensor, pair]) => [tensor, reads(tensor, batch, pair)]))
      // Rows of several uses take turns sample by sample, so that their order does not depend on the batches.
      for (let image = 0; image < images; image++) {
        for (const use of uses) {
          const { float, quantized } = tensors.get(use.input)!
          if (quantized !== null)
            checkSameShape(`layer '${name}', its input '${use.input}'`, float, quantized)
          const one = images > 1 ? image : null
          const x = valuesOf(float, one)
          const other = read.get(use.input) ?? null
          const xq = streamsEqual ? null : other === null ? x : valuesOf(other, one)
          yield { x, xq, gather: gather(use, batch, one) }
        }
      }
    }
  }

  if (rule.heldOut === true) {
    const rows = own.reduce((sum, batch) => sum + gather(uses[0]!, batch, null).rows, 0)
    stride = Math.max(1, Math.floor(rows / JUDGED_ROWS))
  }
  const { wholeG, means, weighted = false } = rule
  const known = { inputs, groups, streamsEqual, wholeG, means, weighted }
  const shape = shapeOf(streams, own, uses, (use, batch) => gather(use, batch, null), known)
  const { correlation, segmentRows } = shape
  const scale = streamsEqual || rounded ? undefined : stepOf(uses, network)
  // The end of a segment passes over all sums: where one has less than a block of rows, that takes more than integers save.
  const suits =
    correlation === undefined && !weighted && segmentRows >= BLOCK && segmentRows <= MOST_INTEGER_ROWS
  return { batches, shape: suits && scale !== undefined ? { ...shape, scale } : shape }
}

/** Every `stride`-th row. @param first rows of earlier batches */
const everyRow = (gather: Gather, stride: number, first: number): Gather => {
  const rowAt = gather.rowAt.filter((_, row) => (first + row) % stride === 0)
  return { ...gather, rowAt, rows: rowAt.length, images: 1, convolution: null }
}

/** The step of the quantizer whose values all uses read, if there is one. */
function stepOf(uses: readonly LayerUse[], { quantizers, integers }: Network): number | undefined {
  const [tensor, ...others] = new Set(uses.map(({ input }) => integers.like.get(input) ?? input))
  return others.length === 0 ? quantizers.get(tensor!)?.scale : undefined
}

/** Images that the tensors of all uses have on their leading axis; 1 where they differ or the axis counts no samples. */
function imagesInCommon(uses: readonly LayerUse[], dimsOf: (tensor: string) => readonly number[]): number {
  const counts = new Set(
    uses.map(({ input, sampling }) => {
      const dims = dimsOf(input)
      return dims.length > (sampling.kind === 'columns' ? 2 : 1) ? (dims[0] ?? 1) : 1
    }),
  )
  return counts.size === 1 ? [...counts][0]! : 1
}

/** The floats of a tensor, or of one image of it. */
function valuesOf(tensor: Tensor, image: number | null): Float32Array {
  if (image === null) return floatsOf(tensor)
  const length = tensor.data.length / (tensor.dims[0] ?? 1)
  return floatsOf({ ...tensor, data: tensor.data.subarray(image * length, (image + 1) * length) })
}

/** Sizes of all batches, and whether correlations of a convolution's channels take less work than its patches. */
function shapeOf(
  streams: Streams,
  batches: readonly number[],
  uses: readonly LayerUse[],
  gather: (use: LayerUse, batch: number) => Gather,
  known: Pick<SampleShape, 'inputs' | 'groups' | 'streamsEqual' | 'wholeG' | 'means' | 'weighted'>,
): SampleShape {
  const sizes = { rows: 0, batchBytes: 0, batchPaddedBytes: 0, batchRows: 0 }
  const convolutions = new Map<string, Convolution | null>()
  let perSample = 1
  for (const batch of batches) {
    let rows = 0
    for (const use of uses) {
      const plan = gather(use, batch)
      const { convolution = null } = plan
      convolutions.set(JSON.stringify(convolution), convolution)
      rows += plan.rows
      sizes.batchRows = Math.max(sizes.batchRows, plan.rows)
      sizes.batchPaddedBytes = Math.max(sizes.batchPaddedBytes, paddedBytes(plan))
      const count = streams.dims(batch, use.input).reduce((product, dim) => product * dim, 1)
      sizes.batchBytes = Math.max(sizes.batchBytes, 4 * count)
    }
    sizes.rows += rows
    perSample = Math.max(perSample, Math.ceil(rows / Math.max(1, streams.samples(batch))))
  }
  const shape: SampleShape = {
    ...known,
    ...sizes,
    segmentRows: perSample * segmentSamples(streams.shard.total),
  }
  const [convolution = null, ...others] = convolutions.values()
  // Rows with weights of their own are no correlations.
  return convolution !== null && others.length === 0 && !known.weighted
    ? preferCorrelation(shape, convolution)
    : shape
}
