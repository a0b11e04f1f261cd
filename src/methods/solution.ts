/**
 * The two ends of solving: what is asked of a layer, and its solution. Both are values. A layer can be solved in
 * ranges of its neurons, and a solution travels as bytes (solutionBytes.ts).
 */
import { typeError } from '../checks.js'
import { type Scales, type WeightShape, zeroPoint } from './alphabet.js'

export interface SolveRequest {
  readonly weights: Float32Array // (groups, inputs, neurons)
  readonly shape: WeightShape
  readonly levels: number
  readonly scales: Scales
  /** The layer's place in its model, so that no two layers draw the same random numbers; 0 if left out. */
  readonly layer?: number
  /** The solution states its relative output error, computed from H alone. Only where Xq = X. */
  readonly withError?: boolean
  /** Groups in a row whose neurons share their scale: channels of a convolution with paths of their own. Default 1. */
  readonly planes?: number
  /**
   * λ ≥ 0 in units of the mean of diag H, added to H and G beside what the recipe's damping does; default 0. Without effect
   * where the method looks at no H.
   */
  readonly ridge?: number
  /** Choose among GRID fractions of the scales by least output error: one fraction a neuron, or one for the layer. */
  readonly search: 'none' | 'neuron' | 'layer'
}

/** The shape of memory for the weights of every request; all have the same inputs and groups. */
export const widestOf = (requests: readonly SolveRequest[]): WeightShape => ({
  ...(requests[0]?.shape ?? { groups: 1, inputs: 1 }),
  neurons: Math.max(1, ...requests.map(({ shape }) => shape.neurons)),
})

/** What a method chooses for a request. */
export interface Chosen {
  /** (groups, inputs, neurons); of frame (groups, coefficients, neurons). */
  readonly codes: Uint8Array
  /** (groups, blocks, neurons), after the search. */
  readonly scales: Float32Array
  /** (groups, inputs, neurons): what the codes stand for, where they are not codes of weights (frame). */
  readonly values?: Float32Array
  /** ‖XW − XqQ‖ / ‖XW‖ from H alone, if the request has `withError`. */
  readonly relativeError?: number
}

/** A quantized layer: value = scale · (code − zero), inputs t of block ⌊t / blockSize⌋ share a scale. */
export interface LayerSolution extends Chosen, WeightShape {
  /** M, 2..256; codes are 0..M−1. */
  readonly levels: number
  readonly blockSize: number
  /** (M − 1)/2. */
  readonly zero: number
}

export const solutionOf = ({ shape, levels, scales }: SolveRequest, chosen: Chosen): LayerSolution => ({
  ...shape,
  ...{ levels, blockSize: scales.blockSize, zero: zeroPoint(levels) },
  ...chosen,
})

/** Neurons `from` to `to`, without `to`, of each group. */
export interface NeuronRange {
  readonly from: number
  readonly to: number
}

/** The request of a range of neurons. Neurons do not depend on each other, so their codes are those of the whole layer. */
export function requestOf(request: SolveRequest, { from, to }: NeuronRange): SolveRequest {
  const { weights, shape, scales } = request
  const rows = (values: Float32Array): Float32Array => {
    const count = values.length / shape.neurons
    const out = new Float32Array(count * (to - from))
    for (let row = 0; row < count; row++) {
      out.set(values.subarray(row * shape.neurons + from, row * shape.neurons + to), row * (to - from))
    }
    return out
  }
  return {
    ...request,
    weights: rows(weights),
    shape: { ...shape, neurons: to - from },
    scales: { ...scales, values: rows(scales.values) },
  }
}

/**
 * The solution of a layer from those of ranges of its neurons.
 * @param parts solutions of ranges that follow one another, from the first neuron to the last
 * @throws TypeError without any part
 * @example
 * const left = await quantizer.solve(seen, weights, { neurons: { from: 0, to: 64 } })
 * const right = await quantizer.solve(seen, weights, { neurons: { from: 64, to: 128 } })
 * const whole = joinNeurons([left, right])
 */
export function joinNeurons(parts: readonly LayerSolution[]): LayerSolution {
  const [first] = parts
  if (first === undefined) throw typeError({ place: 'parts', expected: 'at least one solution', got: 'none' })
  const neurons = parts.reduce((sum, part) => sum + part.neurons, 0)
  const joined = <T extends Float32Array | Uint8Array>(of: (part: LayerSolution) => T, out: T): T => {
    let at = 0
    for (const part of parts) {
      const values = of(part)
      for (let row = 0; row < values.length / part.neurons; row++) {
        out.set(values.subarray(row * part.neurons, (row + 1) * part.neurons), row * neurons + at)
      }
      at += part.neurons
    }
    return out
  }
  const length = (values: ArrayLike<number>): number => (values.length / first.neurons) * neurons
  const { values } = first
  return {
    ...first,
    neurons,
    codes: joined(({ codes }) => codes, new Uint8Array(length(first.codes))),
    scales: joined(({ scales }) => scales, new Float32Array(length(first.scales))),
    ...(values && { values: joined((part) => part.values ?? values, new Float32Array(length(values))) }),
  }
}

/** Smallest H_tt of a live input, as in assembly/substitute.ts. */
export const ALIVE = 2 ** -126
