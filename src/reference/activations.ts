/**
 * Quantized activations in float64, without any optimization: the quantizer of a tensor, the rules that find its range
 * from samples, and a layer whose weights and inputs are both quantized. Twin of src/onnx/activations.
 *
 * A tensor has one scale s and one zero point z. Its values are s·(c − z) for the codes c = 0..255. The range always
 * holds zero, and zero is always a value, so that padding and what a ReLU cuts off stay exact:
 *
 *     s = (high − low) / 255,   z = round(−low / s),   c = clamp(round(x / s) + z, 0, 255)
 *
 * Rounding is to nearest, half to even.
 */
import { nearestEven } from '../methods/alphabet.js'
import { gpfq, type ReferenceLayer, type ReferenceResult } from './gpfq.js'

const LARGEST_CODE = 255

/** A narrower range is taken for that of zero alone: its scale would not be a normal float32. */
const SMALLEST_RANGE = 1e-30

/** Smallest and largest value. */
export interface Range {
  readonly low: number
  readonly high: number
}

/** value = scale·(code − zeroPoint) */
export interface ReferenceQuantizer {
  readonly scale: number
  readonly zeroPoint: number
}

/** The quantizer of a range, which is widened to hold zero. A range of zero alone has scale 1. */
export function quantizerOver(range: Range): ReferenceQuantizer {
  const low = Math.min(0, range.low)
  const high = Math.max(0, range.high)
  if (high - low < SMALLEST_RANGE) return { scale: 1, zeroPoint: 0 }
  const scale = (high - low) / LARGEST_CODE
  return { scale, zeroPoint: nearestEven(-low / scale) }
}

/** The nearest value of the quantizer. */
export function roundActivation(x: number, { scale, zeroPoint }: ReferenceQuantizer): number {
  const code = Math.min(LARGEST_CODE, Math.max(0, nearestEven(x / scale) + zeroPoint))
  return scale * (code - zeroPoint)
}

/** A range of samples by one of the rules below. */
export type RangeRule = (samples: ArrayLike<number>) => Range

/** The smallest and the largest sample, or zero. */
export const minmax: RangeRule = (samples) => {
  let low = 0
  let high = 0
  for (let i = 0; i < samples.length; i++) {
    low = Math.min(low, samples[i]!)
    high = Math.max(high, samples[i]!)
  }
  return { low, high }
}

/**
 * From the (100 − P)-th to the P-th percentile, widened to hold zero; what lies beyond is clipped. P = 100 is minmax.
 * Between two samples the percentile is on the line through them.
 */
export function percentile(percent: number): RangeRule {
  return (samples) => {
    const sorted = Float64Array.from(samples).sort()
    return { low: Math.min(0, at(sorted, 100 - percent)), high: Math.max(0, at(sorted, percent)) }
  }
}

function at(sorted: Float64Array, percent: number): number {
  if (sorted.length === 0) return 0
  const position = (percent / 100) * (sorted.length - 1)
  const [below, above] = [sorted[Math.floor(position)]!, sorted[Math.ceil(position)]!]
  return below + (above - below) * (position - Math.floor(position))
}

/**
 * The fraction of the minmax range, out of `grid`, with the least squared error on the samples. A narrow range clips more
 * and rounds less. Of equal fractions it is the largest.
 */
export function mse(grid: readonly number[]): RangeRule {
  return (samples) => {
    const { low, high } = minmax(samples)
    let best: Range = { low, high }
    let least = Number.POSITIVE_INFINITY
    for (const fraction of [...grid].sort((a, b) => b - a)) {
      const range = { low: fraction * low, high: fraction * high }
      const error = squaredError(samples, quantizerOver(range))
      if (error < least) [best, least] = [range, error]
    }
    return best
  }
}

/** Σ (x − x̂)² over the samples, of rounding and of clipping. */
export function squaredError(samples: ArrayLike<number>, quantizer: ReferenceQuantizer): number {
  let sum = 0
  for (let i = 0; i < samples.length; i++) sum += (samples[i]! - roundActivation(samples[i]!, quantizer)) ** 2
  return sum
}

/**
 * A layer with quantized weights and quantized inputs. The range is fixed on Xq, the layer's inputs in the network
 * quantized so far, and X̂q is Xq rounded. The path then runs on X and X̂q, so that each weight makes up for the rounding
 * of weights before it and of activations alike: nothing in the recursion changes.
 * @returns codes, and ‖XW − X̂qQ‖ / ‖XW‖ as `relativeError`
 */
export function gpfqWithActivations(
  layer: ReferenceLayer,
  rule: RangeRule,
): ReferenceResult & { readonly quantizer: ReferenceQuantizer; readonly rounded: Float64Array } {
  const quantizer = quantizerOver(rule(layer.quantizedSamples))
  const rounded = Float64Array.from(layer.quantizedSamples, (x) => roundActivation(x, quantizer)) // X̂q (rows, inputs)
  return { ...gpfq({ ...layer, quantizedSamples: rounded }), quantizer, rounded }
}
