/** What a form is asked to solve, and its answer: the two ends of every method. */
import type { Scales, WeightShape } from './alphabet.js'

export interface SolveRequest {
  readonly weights: Float32Array // (groups, inputs, neurons)
  readonly shape: WeightShape
  readonly levels: number
  readonly scales: Scales
  /** Choose among GRID fractions of the scales by least output error: one fraction a neuron, or one for the layer. */
  readonly search: 'none' | 'neuron' | 'layer'
  /** Follow the path (GPFQ) or round each weight (MSQ). */
  readonly follow: boolean
}

export interface Solution {
  readonly codes: Uint8Array // (groups, inputs, neurons)
  readonly scales: Float32Array // (groups, blocks, neurons), after the search
}

export interface Diagnosis {
  /** Inputs that are zero in every sample: their weights were plainly rounded, which costs nothing on the samples. */
  readonly dead: number
  readonly finite: boolean
}

/** Smallest H_tt of a live input, as in assembly/substitute.ts. */
export const ALIVE = 2 ** -126
