/**
 * How a layer's weights lie on their alphabet, in a few hundred numbers that fit into the report. Scales differ from
 * neuron to neuron, so weights are counted in units of their own scale: there the alphabet is the same for all, the
 * values code − zero.
 */
import type { QuantizedWeight } from '../onnx/layer.js'

/** How the float weights of a layer lie on its alphabet, in units of their scales. */
export interface WeightHistogram {
  /** Edges of the histogram: −edge … edge, in units of the scale. */
  readonly edge: number
  /** Float weights w/s by bin of equal width; what lies beyond an edge counts in the outermost bin. */
  readonly counts: readonly number[]
  /** Weights that took each value of the alphabet, by code: codes[c] took the value c − (codes.length − 1)/2. */
  readonly codes: readonly number[]
}

const BINS = 80
/** Weights that the radius cuts off are shown up to this many radii; a few outliers must not squeeze the rest. */
const FARTHEST = 2.5

/**
 * @param weights (groups, inputs, neurons), the float weights
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
