/**
 * Ranges of activations: what calibration says about the values of a tensor, summed over samples, and the quantizer that
 * follows. Minimum, maximum and counts are exact whatever their order, so parts merge to the same range however samples
 * were cut.
 *
 * The histogram counts values by the upper 16 bits of their float32: sign, exponent and 7 bits of the fraction, so a bin is
 * at most 1/128 of its value wide, whatever the range. Where channels matter by different amounts, their values count by
 * whole numbers.
 */
import { invalidData } from '../errors.js'
import { type ActivationQuantizer, LARGEST_CODE, quantizerOver } from '../onnx/activations/quantizer.js'
import type { ActivationRanges } from '../options.js'

/** The values of a tensor over some samples. */
export interface RangeSums {
  /** The least and largest value; 0 is always between them. */
  readonly low: number
  readonly high: number
  /** Upper 16 bits of values → how often they occur, times the weight of their channel. Empty where the rule needs none. */
  readonly counts: ReadonlyMap<number, number>
}

/** How values of a tensor count. */
export interface ChannelWeights {
  /** One whole number from 1 on for each channel. */
  readonly weights: Float64Array
  /** Axis of the channels; −1 is the last. */
  readonly axis: 1 | -1
}

/** Sums over values as they come. */
export interface RangeCounter {
  /** @param dims of the tensor that the values are of @throws GpfqError INVALID_DATA for values that are not finite */
  add(values: Float32Array, dims: readonly number[]): void
  result(): RangeSums
}

const BINS = 2 ** 16

/**
 * Counts the values of one tensor.
 * @param place the tensor, for messages
 * @param counted whether the rule needs a histogram
 * @param channels how channels count; null where all count once
 */
export function countRange(place: string, counted: boolean, channels: ChannelWeights | null): RangeCounter {
  let low = 0
  let high = 0
  const counts = counted ? new Float64Array(BINS) : null
  return {
    add(values, dims) {
      let sum = 0 // NaN or infinite as soon as a value is
      for (const value of values) {
        if (value < low) low = value
        if (value > high) high = value
        sum += value * 0
      }
      if (sum !== 0) throw invalidData(place, 'finite values', 'NaN or infinity, in the quantized network')
      if (counts !== null) addCounts(counts, values, dims, channels)
    },
    result: () => ({
      ...{ low, high },
      counts: new Map([...(counts?.entries() ?? [])].filter(([, count]) => count > 0)),
    }),
  }
}

function addCounts(
  counts: Float64Array,
  values: Float32Array,
  dims: readonly number[],
  channels: ChannelWeights | null,
): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  if (channels === null) {
    for (const word of bits) counts[word >>> 16]!++
    return
  }
  const { weights, axis } = channels
  const inner = axis === -1 ? 1 : dims.slice(2).reduce((product, dim) => product * dim, 1)
  for (let i = 0; i < bits.length; ) {
    const weight = weights[Math.floor(i / inner) % weights.length]!
    for (const end = i + inner; i < end; i++) counts[bits[i]! >>> 16]! += weight
  }
}

/** Ranges over all samples of two parts. */
export function mergeRanges(a: RangeSums, b: RangeSums): RangeSums {
  const counts = new Map(a.counts)
  for (const [bin, count] of b.counts) counts.set(bin, (counts.get(bin) ?? 0) + count)
  return { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high), counts }
}

/** Whether a rule needs counts. */
export const needsCounts = ({ rule }: ActivationRanges): boolean => rule !== 'minmax'

/** Fractions of minmax that mse and search try, largest first: of equal errors the wider range is taken. */
const GRID = Array.from({ length: 50 }, (_, i) => 1 - i / 50)

/** The quantizer of a tensor by a rule. */
export function quantizerFor(sums: RangeSums, rule: ActivationRanges): ActivationQuantizer {
  const { low, high } = sums
  if (rule.rule === 'minmax') return quantizerOver(low, high)
  const bins = valuesOf(sums)
  if (rule.rule === 'percentile') return quantizerOver(...percentiles(bins, rule.percentile, low, high))
  let best = quantizerOver(low, high)
  let least = Infinity
  for (const fraction of GRID) {
    const quantizer = quantizerOver(Math.fround(low * fraction), Math.fround(high * fraction))
    const error = squaredError(bins, quantizer)
    if (error < least) [best, least] = [quantizer, error]
  }
  return best
}

interface Bin {
  /** The middle of the bin. */
  readonly value: number
  readonly count: number
}

/** The bins in ascending order of their values. */
function valuesOf({ counts }: RangeSums): readonly Bin[] {
  const word = new Uint32Array(1)
  const float = new Float32Array(word.buffer)
  const bins = [...counts].map(([bin, count]): Bin => {
    word[0] = (bin << 16) | 0x8000
    // The first bins of both signs hold zeros, and denormals that are as good as zeros.
    return { value: (bin & 0x7fff) === 0 ? 0 : float[0]!, count }
  })
  return bins.sort((a, b) => a.value - b.value)
}

/** The values with (100 − P) % of all below and above them. */
function percentiles(bins: readonly Bin[], percentile: number, low: number, high: number): [number, number] {
  const total = bins.reduce((sum, { count }) => sum + count, 0)
  const beyond = total * (1 - percentile / 100)
  const within = (ordered: readonly Bin[], end: number): number => {
    let passed = 0
    for (const { value, count } of ordered) {
      passed += count
      if (passed > beyond) return Math.fround(Math.min(high, Math.max(low, value)))
    }
    return end
  }
  return [within(bins, low), within(bins.toReversed(), high)]
}

/** Σ (x − rounded x)²: within the range a value is off by a step's uniform error, beyond it by its distance. */
function squaredError(bins: readonly Bin[], { scale, zeroPoint }: ActivationQuantizer): number {
  const [least, most] = [-scale * zeroPoint, scale * (LARGEST_CODE - zeroPoint)]
  let error = 0
  for (const { value, count } of bins) {
    if (value === 0) continue // zero is exact
    const beyond = Math.max(0, least - value, value - most)
    // A value below half a step becomes zero.
    const inside = Math.min(value * value, (scale * scale) / 12)
    error += count * (beyond > 0 ? beyond * beyond : inside)
  }
  return error
}
