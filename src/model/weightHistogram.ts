/**
 * The distribution of a layer's weights over their alphabet, in a few hundred numbers for the report. Scales differ between
 * neurons, so each weight is counted in units of its own scale, where the alphabet of all neurons is code − zero.
 */
import type { QuantizedWeight } from '../onnx/layer.js'

/** Histogram of the float weights, and counts of the codes. */
export interface WeightHistogram {
  /** The histogram covers −edge … edge, in units of the scale. */
  readonly edge: number
  /** Number of float weights w/s in each of 80 bins of equal width. Weights beyond an edge count in the last bin. */
  readonly counts: readonly number[]
  /** Number of weights of each code: codes[c] have the value c − (codes.length − 1)/2. */
  readonly codes: readonly number[]
}

const BINS = 80
/** Most radii that the histogram covers, so that a few outliers do not compress the rest. */
const FARTHEST = 2.5

/**
 * Counts a layer's weights.
 * @param weights the float weights, (groups, inputs, neurons)
 * @param quantized their codes and scales
 */
export function weightHistogram(
  weights: Float32Array,
  { levels, codes, scales, blockSize, zero }: QuantizedWeight,
  { groups, inputs, neurons }: { readonly groups: number; readonly inputs: number; readonly neurons: number },
): WeightHistogram {
  const blocks = Math.ceil(inputs / blockSize)
  const units = new Float32Array(weights.length)
  let largest = 0
  for (let g = 0; g < groups; g++) {
    for (let t = 0; t < inputs; t++) {
      const at = (g * inputs + t) * neurons
      const scale = (g * blocks + Math.floor(t / blockSize)) * neurons
      for (let k = 0; k < neurons; k++) {
        const unit = weights[at + k]! / scales[scale + k]!
        units[at + k] = unit
        if (Math.abs(unit) > largest) largest = Math.abs(unit)
      }
    }
  }
  const edge = Math.max(zero + 0.5, Math.min(largest, FARTHEST * zero))
  const counts = new Array<number>(BINS).fill(0)
  for (const unit of units) {
    const bin = Math.floor(((unit + edge) / (2 * edge)) * BINS)
    counts[Math.min(BINS - 1, Math.max(0, bin))]!++
  }
  const taken = new Array<number>(levels).fill(0)
  for (const code of codes) taken[code]!++
  return { edge, counts, codes: taken }
}
