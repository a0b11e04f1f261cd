/**
 * SPFQ (2309.10975) in float64, one neuron on its samples. One phase is the recursion of GPFQ with stochastic rounding.
 * Two phases first align the data with real weights w̃, and then quantize w̃ on Xq alone:
 *
 *     align      û₀ = 0;  w̃_t = ⟨Xq_t, û_{t−1} + w_t X_t⟩ / ‖Xq_t‖²;  û_t = û_{t−1} + w_t X_t − w̃_t Xq_t
 *                order r: r − 1 sweeps more of  s = ⟨Xq_t, û⟩ / ‖Xq_t‖²,  w̃_t += s,  û −= s Xq_t
 *     quantize   ũ₀ = 0;  q_t = chance(w̃_t + ⟨Xq_t, ũ_{t−1}⟩ / ‖Xq_t‖²);  ũ_t = ũ_{t−1} + (w̃_t − q_t) Xq_t
 *
 * Twin of assembly/walk.ts with methods/spfq.ts, which compute the same from H and G.
 */
import { drawAt } from '../random.js'

export interface NeuronOnSamples {
  readonly samples: ArrayLike<number> // X (rows, inputs)
  readonly quantizedSamples: ArrayLike<number> // Xq (rows, inputs)
  readonly rows: number
  readonly w: ArrayLike<number> // (inputs)
}

/** q (inputs) of one phase. @param choose the alphabet with its draws */
export function onePhase(
  { samples, quantizedSamples, rows, w }: NeuronOnSamples,
  choose: (t: number, v: number) => number,
): Float64Array {
  const inputs = w.length
  const u = new Float64Array(rows)
  const q = new Float64Array(inputs)
  for (let t = 0; t < inputs; t++) {
    for (let r = 0; r < rows; r++) u[r] = u[r]! + w[t]! * samples[r * inputs + t]!
    const { product, norm2 } = correlate(quantizedSamples, u, inputs, t)
    q[t] = choose(t, norm2 > 0 ? product / norm2 : w[t]!)
    for (let r = 0; r < rows; r++) u[r] = u[r]! - q[t]! * quantizedSamples[r * inputs + t]!
  }
  return q
}

/** q (inputs) of two phases. @param order r of the alignment */
export function twoPhases(
  neuron: NeuronOnSamples,
  order: number,
  choose: (t: number, v: number) => number,
): Float64Array {
  const { quantizedSamples, rows, w } = neuron
  const inputs = w.length
  const aligned = align(neuron, order)
  const u = new Float64Array(rows)
  const q = new Float64Array(inputs)
  for (let t = 0; t < inputs; t++) {
    const { product, norm2 } = correlate(quantizedSamples, u, inputs, t)
    q[t] = choose(t, norm2 > 0 ? aligned[t]! + product / norm2 : w[t]!)
    for (let r = 0; r < rows; r++) {
      u[r] = u[r]! + (aligned[t]! - q[t]!) * quantizedSamples[r * inputs + t]!
    }
  }
  return q
}

/** w̃ (inputs) of the given order r. */
export function align({ samples, quantizedSamples, rows, w }: NeuronOnSamples, order: number): Float64Array {
  const inputs = w.length
  const u = new Float64Array(rows)
  const aligned = new Float64Array(inputs)
  for (let sweep = 1; sweep <= order; sweep++) {
    for (let t = 0; t < inputs; t++) {
      if (sweep === 1) for (let r = 0; r < rows; r++) u[r] = u[r]! + w[t]! * samples[r * inputs + t]!
      const { product, norm2 } = correlate(quantizedSamples, u, inputs, t)
      const step = norm2 > 0 ? product / norm2 : 0
      aligned[t] = aligned[t]! + step
      for (let r = 0; r < rows; r++) u[r] = u[r]! - step * quantizedSamples[r * inputs + t]!
    }
  }
  return aligned
}

/** ⟨Xq_t, u⟩ and ‖Xq_t‖². */
function correlate(
  samples: ArrayLike<number>,
  u: Float64Array,
  inputs: number,
  t: number,
): { readonly product: number; readonly norm2: number } {
  let product = 0
  let norm2 = 0
  for (let r = 0; r < u.length; r++) {
    const x = samples[r * inputs + t]!
    product += x * u[r]!
    norm2 += x * x
  }
  return { product, norm2 }
}

/** The draw in [0, 1) for input t of a neuron. */
export const draw = (seed: number, neuron: number, t: number): number => drawAt(seed, neuron, t)
