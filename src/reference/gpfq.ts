/**
 * The algorithm. Greedy path-following quantization of one dense layer, Lybrand & Saab (arXiv 2010.15979), as the
 * direct recursion in float64, one neuron at a time, without any optimization. All kernels of gpfq are tested against
 * it.
 *
 * A neuron w has the samples X in the float network and Xq in the network quantized so far. The recursion visits its
 * inputs t = 1..N. It keeps the error so far, u, a vector over samples, and chooses each quantized weight q_t so that
 * the error after the step is as short as possible:
 *
 *     u₀ = 0
 *     q_t = the alphabet's value nearest to ⟨Xq_t, u_{t−1} + w_t X_t⟩ / ‖Xq_t‖²
 *     u_t = u_{t−1} + w_t X_t − q_t Xq_t
 *
 * At the end u_N = Xw − Xq q is the neuron's output error on the samples. A weight that is exactly zero keeps the value
 * zero, if the alphabet has that.
 */
import { nearestEven } from '../methods/alphabet.js'

export interface ReferenceLayer {
  readonly weights: ArrayLike<number> // W (inputs, neurons)
  readonly samples: ArrayLike<number> // X (rows, inputs)
  readonly quantizedSamples: ArrayLike<number> // Xq (rows, inputs); X itself for a first layer
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly levels: number // M
  readonly scales: ArrayLike<number> // (blocks, neurons)
  readonly blockSize: number // inputs that share a scale
  readonly zero: number // value = scale·(code − zero)
}

export interface ReferenceResult {
  readonly codes: Uint8Array // (inputs, neurons)
  /** Distance of the value before rounding from the nearest rounding boundary, in steps; 1 where it was clipped. */
  readonly margins: Float64Array // (inputs, neurons)
  readonly relativeError: number // ‖XW − XqQ‖ / ‖XW‖
}

/** Quantizes a layer by the recursion above. */
export function gpfq(layer: ReferenceLayer): ReferenceResult {
  const { weights, samples, quantizedSamples, rows, inputs, neurons } = layer
  const codes = new Uint8Array(inputs * neurons)
  const margins = new Float64Array(inputs * neurons)
  let error2 = 0
  let signal2 = 0
  for (let k = 0; k < neurons; k++) {
    const u = new Float64Array(rows)
    const y = new Float64Array(rows)
    for (let t = 0; t < inputs; t++) {
      const w = weights[t * neurons + k]!
      let product = 0 // ⟨Xq_t, u + w X_t⟩
      let norm2 = 0 // ‖Xq_t‖²
      for (let r = 0; r < rows; r++) {
        const x = samples[r * inputs + t]!
        const xq = quantizedSamples[r * inputs + t]!
        u[r] = u[r]! + w * x
        y[r] = y[r]! + w * x
        product += xq * u[r]!
        norm2 += xq * xq
      }
      // The choice for a dead input does not change the error on the samples, so its weight is rounded.
      const v = norm2 > 0 ? product / norm2 : w
      const { code, value, margin } = nearest(layer, t, k, keepZero(w, layer.zero, v))
      codes[t * neurons + k] = code
      margins[t * neurons + k] = margin
      for (let r = 0; r < rows; r++) u[r] = u[r]! - value * quantizedSamples[r * inputs + t]!
    }
    for (let r = 0; r < rows; r++) {
      error2 += u[r]! ** 2
      signal2 += y[r]! ** 2
    }
  }
  return { codes, margins, relativeError: Math.sqrt(error2 / signal2) }
}

/** Memoryless scalar quantization (MSQ): each weight to its nearest value. The samples are not used. */
export function msq(layer: Omit<ReferenceLayer, 'samples' | 'quantizedSamples' | 'rows'>): Uint8Array {
  const { weights, neurons } = layer
  return Uint8Array.from(weights, (w, i) => nearest(layer, Math.floor(i / neurons), i % neurons, w).code)
}

type Alphabet = Pick<ReferenceLayer, 'levels' | 'scales' | 'blockSize' | 'zero' | 'neurons'>

/** The alphabet's value nearest to v: code = clamp(round half to even (v / s + z), 0, M − 1). */
function nearest(
  { levels, scales, blockSize, zero, neurons }: Alphabet,
  input: number,
  neuron: number,
  v: number,
): { code: number; value: number; margin: number } {
  const scale = scales[Math.floor(input / blockSize) * neurons + neuron]!
  const { code, margin } = nearestCode(v / scale + zero, levels)
  return { code, value: scale * (code - zero), margin }
}

/** v, but 0 for a weight w = 0 where the alphabet includes zero. Twin of keepZeros in assembly/alphabet.ts. */
export const keepZero = (w: number, zero: number, v: number): number =>
  w === 0 && Number.isInteger(zero) ? 0 : v

/** The code of a value in steps, and its distance from the nearest rounding boundary; 1 where it was clipped. */
export function nearestCode(steps: number, levels: number): { code: number; margin: number } {
  const code = Math.min(levels - 1, Math.max(0, nearestEven(steps)))
  return { code, margin: nearestEven(steps) === code ? 0.5 - Math.abs(steps - code) : 1 }
}
