/**
 * The incremental form of observing a layer's inputs: samples are added as often as one likes, the sums are a value
 * (methods/observations.ts). Samples are forgotten once their segment is summed; those of a segment that is not full yet are
 * kept until the next ones come. So the sums are the same to the last bit however the samples are cut into calls.
 */
import { checkWhole } from './checks.js'
import { createTurns } from './engine/turns.js'
import type { Executor } from './executor/executor.js'
import { batchesOf, checkSamples, itemsOf, type LayerShape, sampleShape } from './layerSamples.js'
import { joined, merge, Observations } from './methods/observations.js'
import { observationShape, SEGMENT_ROWS } from './methods/samplePlan.js'

/** What is observed. */
export interface LayerInputs extends LayerShape {
  /** Xq differs from X: something before the layer is quantized. Default true; false for a first layer. */
  readonly quantized?: boolean
  /**
   * Rows of a segment of the sum; of a convolution as many whole images as fit. Default 4096. Parts that are observed on
   * their own can be merged to the same bytes where they were cut at multiples of this.
   */
  readonly segmentRows?: number
  /** These samples come after those of another part. Default false: the first sample is among them. */
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

export function createLayerObserver(executor: Executor, given: LayerInputs): LayerObserver {
  const items = itemsOf(given)
  const { quantized = true, later = false, segmentRows = SEGMENT_ROWS } = given
  checkWhole('segmentRows', segmentRows, 1)
  const segmentItems = Math.max(1, Math.floor(segmentRows / items.rows))
  const segmentFloats = segmentItems * items.floats
  const shapeOf = (count: number) =>
    sampleShape(items, count, {
      ...{ streamsEqual: !quantized, wholeG: true, means: false, segmentRows: segmentItems * items.rows },
    })
  const turns = createTurns()
  let summed: Observations | null = null
  let added = 0
  let restX = new Float32Array(0)
  let restXq = new Float32Array(0)

  /** What is summed so far with some more samples. */
  async function observe(
    x: Float32Array,
    xq: Float32Array | null,
    signal?: AbortSignal,
  ): Promise<Observations> {
    const part = await executor.observe(shapeOf(x.length / items.floats), batchesOf(items, x, xq), {
      ...{ signal, place: 'samples' },
      later: later || summed !== null,
    })
    return summed === null ? part : merge(summed, part)
  }

  async function add(x: Float32Array, xq: Float32Array | undefined, signal?: AbortSignal): Promise<void> {
    checkSamples(items, x, xq, quantized)
    const allX = joined(restX, x)
    const allXq = xq === undefined ? null : joined(restXq, xq)
    const whole = allX.length - (allX.length % segmentFloats)
    if (whole > 0) summed = await observe(allX.subarray(0, whole), allXq?.subarray(0, whole) ?? null, signal)
    restX = allX.slice(whole)
    restXq = allXq?.slice(whole) ?? restXq
    added += (x.length / items.floats) * items.rows
  }

  const observations = async (): Promise<Observations> =>
    restX.length > 0
      ? observe(restX, quantized ? restXq : null)
      : (summed ?? new Observations(observationShape(shapeOf(1)), 0, !later, true, []))

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
