/**
 * The incremental form of observing a layer's inputs: samples are added as often as one likes, the sums are a value
 * (methods/observations.ts). Samples are forgotten once their segment is summed; those of a segment that is not full yet are
 * kept until the next ones come. So the sums are the same to the last bit however the samples are cut into calls.
 */
import { checkWhole } from './checks.js'
import { createTurns } from './engine/turns.js'
import type { Executor } from './executor/executor.js'
import { batchesOf, checkSamples, itemsOf, type LayerShape, sampleShape } from './layerSamples.js'
import { joined, merge, type Observations } from './methods/observations.js'
import { SEGMENT_ROWS } from './methods/samplePlan.js'

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
  const turns = createTurns()
  let summed: Observations | null = null
  /** X and Xq of the segment that is not full yet, by call, and the number of values of X. */
  let open: readonly [x: Float32Array[], xq: Float32Array[]] = [[], []]
  let openFloats = 0

  /** A sum with more samples. */
  async function observe(
    sum: Observations | null,
    x: Float32Array,
    xq: Float32Array | null,
    signal?: AbortSignal,
  ): Promise<Observations> {
    const shape = sampleShape(items, x.length / items.floats, {
      ...{ streamsEqual: !quantized, wholeG: true, means: false, segmentRows: segmentItems * items.rows },
    })
    const run = { signal, place: 'samples', later: later || sum !== null }
    const part = await executor.observe(shape, batchesOf(items, x, xq), run)
    return sum === null ? part : merge(sum, part)
  }

  async function add(x: Float32Array, xq?: Float32Array, signal?: AbortSignal): Promise<void> {
    checkSamples(items, x, xq, quantized)
    let [sum, held] = [summed, open]
    let at = 0
    for (let left = openFloats + x.length; left >= segmentFloats; ) {
      // Later segments are summed one by one: until it is merged, each has a sum of its own, as large as H and G.
      left -= sum === null ? left - (left % segmentFloats) : segmentFloats
      const to = x.length - left
      const whole = (of: Float32Array, before: Float32Array[]): Float32Array =>
        joined([...before, of.subarray(at, to)])
      sum = await observe(sum, whole(x, held[0]), xq ? whole(xq, held[1]) : null, signal)
      held = [[], []]
      at = to
    }
    // Only now, so that a call that fails leaves everything as it was.
    openFloats += x.length - (sum === summed ? 0 : openFloats + at)
    summed = sum
    open = held
    open[0].push(x.slice(at))
    if (xq) open[1].push(xq.slice(at))
  }

  const observations = async (): Promise<Observations> =>
    summed !== null && openFloats === 0
      ? summed
      : observe(summed, joined(open[0]), quantized ? joined(open[1]) : null)

  return {
    get rows() {
      return (summed?.rows ?? 0) + (openFloats / items.floats) * items.rows
    },
    add: (x, xq, { signal } = {}) => turns.take(() => add(x, xq, signal), signal),
    observations: () => turns.take(observations),
    get bytes() {
      return turns.take(async () => (await observations()).bytes)
    },
  }
}
