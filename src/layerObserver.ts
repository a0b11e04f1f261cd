/**
 * The incremental form of observing a layer's inputs: samples are added as often as one likes and forgotten, the sums are a
 * value (methods/observations.ts). However the samples are cut into calls, the sums are the same to the last bit: rows that
 * do not fill a block of 256 yet are kept until the next ones come.
 */
import { checkWhole, rangeError, typeError } from './checks.js'
import { createTurns } from './engine/turns.js'
import type { Executor } from './executor/executor.js'
import { preferCorrelation } from './methods/correlationPlan.js'
import { merge, Observations } from './methods/observations.js'
import { allPatches, type PatchGeometry, patchGrid } from './methods/patches.js'
import { observationShape, type SampleShape, SEGMENT_ROWS } from './methods/samplePlan.js'
import { denseGather, type Gather, paddedBytes, type SampleBatch } from './methods/samples.js'
import { BLOCK } from './wasm/kernels.js'

/** What is observed. */
export interface LayerInputs {
  /** Inputs N of a dense layer; samples are (rows, N). */
  readonly inputs?: number
  /** Or a convolution's; samples are images (images, channels, height, width), and each output position is a row. */
  readonly convolution?: PatchGeometry & {
    readonly channels: number
    readonly height: number
    readonly width: number
    readonly groups: number
  }
  /** Xq differs from X: something before the layer is quantized. Default true; false for a first layer. */
  readonly quantized?: boolean
  /** Sum X and Xq by input, too, for bias correction. Default false. */
  readonly means?: boolean
  /**
   * Rows of a segment of the sum; of a convolution as many whole images as fit. Default 4096. Parts that are observed on
   * their own can be merged to the same bytes where they were cut at multiples of this.
   */
  readonly segmentRows?: number
  /** These samples come behind those of another part. Default false: the first sample is among them. */
  readonly later?: boolean
}

/** A layer that is being observed. Only its sums are kept; samples are forgotten. */
export interface LayerObserver {
  /** Sample rows added so far. */
  readonly rows: number
  /**
   * Adds samples. They may be changed when the promise resolves.
   * @param x X, (rows, inputs) or (images, channels, height, width) row-major: inputs in the float network
   * @param xq Xq, the same shape: inputs in the network quantized so far; none where `quantized` is false
   * @param options a signal that aborts between batches
   * @throws TypeError, RangeError for arguments
   * @throws GpfqError INVALID_DATA for values that are not finite
   */
  add(x: Float32Array, xq?: Float32Array, options?: { readonly signal?: AbortSignal }): Promise<void>
  /** The sums of all samples added so far. */
  observations(): Promise<Observations>
  /** The same as bytes, for a file or another machine: `Observations.from(bytes)`. */
  readonly bytes: Promise<Uint8Array>
}

/** What one item of the samples is (a row, or an image) and how items become sample rows. */
interface Items {
  readonly floats: number // of one item
  readonly rows: number // of one item
  readonly inputs: number
  readonly groups: number
  gather(items: number): Gather
}

/** Samples are staged in batches of about this many bytes: large enough to amortize a dispatch, small beside the panels. */
const BATCH_BYTES = 8 * 2 ** 20

export function createLayerObserver(executor: Executor, given: LayerInputs): LayerObserver {
  const items = itemsOf(given)
  const { quantized = true, means = false, later = false, segmentRows = SEGMENT_ROWS } = given
  checkWhole('segmentRows', segmentRows, 1)
  const segmentItems = Math.max(1, Math.floor(segmentRows / items.rows))
  // What is summed at once: whole segments where their sums are kept apart, else whole blocks of a segment.
  const wholeBlocks = items.rows === 1 && segmentItems % BLOCK === 0
  const unit = !later && wholeBlocks ? BLOCK : segmentItems
  const shapeOf = (count: number): SampleShape => {
    const batchItems = batchOf(items, count)
    const gather = items.gather(batchItems)
    const shape: SampleShape = {
      rows: count * items.rows,
      ...{ inputs: items.inputs, groups: items.groups },
      ...{ streamsEqual: !quantized, wholeG: true, means, segmentRows: segmentItems * items.rows },
      batchBytes: 4 * batchItems * items.floats,
      batchPaddedBytes: paddedBytes(gather),
      batchRows: gather.rows,
    }
    return gather.convolution ? preferCorrelation(shape, gather.convolution) : shape
  }
  const turns = createTurns()
  let summed: Observations | null = null
  let added = 0
  let restX = new Float32Array(0)
  let restXq = new Float32Array(0)

  /** Sums items, behind what is summed; `open` where more can follow in their segment. */
  async function observe(
    x: Float32Array,
    xq: Float32Array | null,
    open: boolean,
    signal?: AbortSignal,
  ): Promise<Observations> {
    const shape = shapeOf(x.length / items.floats)
    const options = { signal, place: 'samples', later, open }
    const batches = batchesOf(items, x, xq)
    if (!later) return executor.observe(shape, batches, { ...options, from: summed ?? undefined })
    const part = await executor.observe(shape, batches, options)
    return summed === null ? part : merge(summed, part)
  }

  async function add(x: Float32Array, xq: Float32Array | undefined, signal?: AbortSignal): Promise<void> {
    checkSamples(items, x, xq, quantized)
    const allX = joined(restX, x)
    const allXq = quantized && xq !== undefined ? joined(restXq, xq) : null
    const whole = Math.floor(allX.length / items.floats / unit) * unit * items.floats
    if (whole > 0) {
      summed = await observe(allX.subarray(0, whole), allXq?.subarray(0, whole) ?? null, true, signal)
    }
    restX = allX.slice(whole)
    restXq = allXq?.slice(whole) ?? restXq
    added += (x.length / items.floats) * items.rows
  }

  async function observations(): Promise<Observations> {
    if (restX.length > 0) return observe(restX, quantized ? restXq : null, false)
    if (summed === null) return new Observations(observationShape(shapeOf(1)), 0, !later, true, [])
    const { shape, rows, first, exact } = summed
    return first && summed.sums.length > 1
      ? new Observations(shape, rows, first, exact, [summed.total()])
      : summed
  }

  return {
    get rows() {
      return added
    },
    add: (x, xq, { signal } = {}) => turns.take(() => add(x, xq, signal), signal),
    observations: () => turns.take(observations),
    get bytes() {
      return turns.take(observations).then(({ bytes }) => bytes)
    },
  }
}

function itemsOf({ inputs, convolution }: LayerInputs): Items {
  if (convolution === undefined) {
    if (inputs === undefined) {
      throw typeError({ place: 'inputs', expected: 'a number of inputs, or a convolution', got: 'neither' })
    }
    checkWhole('inputs', inputs, 1)
    return { floats: inputs, rows: 1, inputs, groups: 1, gather: (rows) => denseGather(rows, inputs) }
  }
  const { channels, height, width, groups, kernel } = convolution
  for (const [name, value] of Object.entries({ channels, height, width, groups }))
    checkWhole(`convolution: ${name}`, value, 1)
  for (const [name, values] of Object.entries({ ...convolution })) {
    if (!Array.isArray(values)) continue
    for (const value of values) checkWhole(`convolution: ${name}`, Number(value), name === 'pads' ? 0 : 1)
  }
  if (channels % groups > 0)
    throw rangeError('convolution: groups', `a divisor of ${channels} channels`, groups)
  const shape = (images: number) => ({ images, channels, height, width, groups })
  allPatches(convolution, shape(1)) // refuses an image smaller than the kernel
  const { out } = patchGrid(convolution, shape(1))
  return {
    floats: channels * height * width,
    rows: out[0] * out[1],
    inputs: (channels / groups) * kernel[0] * kernel[1],
    groups,
    gather: (images) => allPatches(convolution, shape(images)),
  }
}

const batchOf = ({ floats }: Items, count: number): number =>
  Math.max(1, Math.min(count, Math.floor(BATCH_BYTES / (4 * floats))))

function* batchesOf(items: Items, x: Float32Array, xq: Float32Array | null): Iterable<SampleBatch> {
  const count = x.length / items.floats
  const step = batchOf(items, count)
  for (let from = 0; from < count; from += step) {
    const to = Math.min(count, from + step)
    const part = (values: Float32Array): Float32Array =>
      values.subarray(from * items.floats, to * items.floats)
    yield { x: part(x), xq: xq === null ? null : part(xq), gather: items.gather(to - from) }
  }
}

function checkSamples(
  { floats }: Items,
  x: Float32Array,
  xq: Float32Array | undefined,
  quantized: boolean,
): void {
  if (!(x instanceof Float32Array)) {
    throw typeError({ place: 'samples', expected: 'a Float32Array', got: 'another kind of value' })
  }
  if (x.length === 0 || x.length % floats > 0) {
    throw rangeError('samples', `a multiple of ${floats} values`, `${x.length} values`)
  }
  if (quantized !== (xq !== undefined)) {
    throw typeError({
      place: 'quantizedSamples',
      expected: quantized ? 'the samples in the quantized network' : 'none where quantized is false',
      got: quantized ? 'none' : 'some',
    })
  }
  if (xq === undefined) return
  if (!(xq instanceof Float32Array)) {
    throw typeError({ place: 'quantizedSamples', expected: 'a Float32Array', got: 'another kind of value' })
  }
  if (xq.length !== x.length) {
    throw rangeError('quantizedSamples', `as many values as samples, ${x.length}`, xq.length)
  }
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  if (a.length === 0) return b
  const out = new Float32Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
