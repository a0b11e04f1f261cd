/**
 * The search for a scale of each block of inputs along the path. It is the direct recursion of gpfq.ts, which forks at
 * each block: every fraction of the block's largest scale is followed through the block from the same residual u, and
 * the one that leaves the shortest u is kept; of equals the later one. With one block it is the search for one scale a
 * neuron.
 */
import { keepZero, nearestCode, type ReferenceLayer } from './gpfq.js'

export interface ForkedResult {
  readonly codes: Uint8Array // (inputs, neurons)
  /** Distance of the value before rounding from the nearest rounding boundary, in steps; 1 where it was clipped. */
  readonly margins: Float64Array // (inputs, neurons)
  readonly scales: Float64Array // (blocks, neurons)
  /** ‖u‖² after the block for each fraction, of each (block, neuron), from the same residual before the block. */
  readonly residuals: readonly (readonly number[])[]
  readonly signal2: Float64Array // (neurons) ‖Xw‖²
}

/**
 * @param layer with the largest scale of each block as its scales
 * @param path true: the codes follow the path; false: each weight is rounded by itself
 */
export function forkedPath(layer: ReferenceLayer, fractions: readonly number[], path = true): ForkedResult {
  const { rows, inputs, neurons, blockSize } = layer
  const codes = new Uint8Array(inputs * neurons)
  const margins = new Float64Array(inputs * neurons)
  const scales = Float64Array.from(layer.scales)
  const residuals: number[][] = Array.from({ length: scales.length }, () => [])
  for (let k = 0; k < neurons; k++) {
    let u = new Float64Array(rows)
    for (let low = 0; low < inputs; low += blockSize) {
      const high = Math.min(inputs, low + blockSize)
      const at = (low / blockSize) * neurons + k
      const ends = fractions.map((fraction) => {
        const scale = layer.scales[at]! * fraction
        return { scale, ...follow(layer, k, low, high, scale, u, path) }
      })
      const best = ends.reduce((least, end) => (end.norm2 <= least.norm2 ? end : least))
      residuals[at] = ends.map(({ norm2 }) => norm2)
      scales[at] = best.scale
      u = best.u
      best.steps.forEach(({ code, margin }, i) => {
        codes[(low + i) * neurons + k] = code
        margins[(low + i) * neurons + k] = margin
      })
    }
  }
  return { codes, margins, scales, residuals, signal2: signals(layer) }
}

/** Chooses inputs [low, high) of neuron k, starting from the residual `before`. */
function follow(
  { weights, samples, quantizedSamples, rows, inputs, neurons, levels, zero }: ReferenceLayer,
  k: number,
  low: number,
  high: number,
  scale: number,
  before: Float64Array,
  path: boolean,
): { u: Float64Array<ArrayBuffer>; norm2: number; steps: { code: number; margin: number }[] } {
  const u = before.slice()
  const steps: { code: number; margin: number }[] = []
  for (let t = low; t < high; t++) {
    const w = weights[t * neurons + k]!
    let product = 0
    let norm2 = 0
    for (let r = 0; r < rows; r++) {
      u[r] = u[r]! + w * samples[r * inputs + t]!
      const xq = quantizedSamples[r * inputs + t]!
      product += xq * u[r]!
      norm2 += xq * xq
    }
    const v = keepZero(w, zero, path && norm2 > 0 ? product / norm2 : w)
    const step = nearestCode(v / scale + zero, levels)
    steps.push(step)
    for (let r = 0; r < rows; r++)
      u[r] = u[r]! - scale * (step.code - zero) * quantizedSamples[r * inputs + t]!
  }
  return { u, norm2: norm2Of(u), steps }
}

/** ‖Xw‖² of each neuron. */
function signals({ weights, samples, rows, inputs, neurons }: ReferenceLayer): Float64Array {
  return Float64Array.from({ length: neurons }, (_, k) => {
    const y = Float64Array.from({ length: rows }, (_, r) => {
      let sum = 0
      for (let t = 0; t < inputs; t++) sum += weights[t * neurons + k]! * samples[r * inputs + t]!
      return sum
    })
    return norm2Of(y)
  })
}

const norm2Of = (values: Float64Array): number => values.reduce((sum, value) => sum + value * value, 0)
