/**
 * What a form is asked to solve, and its answer: the two ends of every method. A form is one way of computing: it is
 * given samples, told that they are complete, and then solves for any number of layers that read them.
 */
import type { RunOptions } from '../engine/pool.js'
import type { Scales, WeightShape } from './alphabet.js'
import type { Columns } from './columns.js'
import type { Packer } from './packing.js'
import type { SampleBatch } from './samples.js'

export interface SolveRequest {
  readonly weights: Float32Array // (groups, inputs, neurons)
  readonly shape: WeightShape
  readonly levels: number
  readonly scales: Scales
  /** The layer's place in its model, so that no two layers draw the same random numbers; 0 if left out. */
  readonly layer?: number
  /** Say the relative output error, where the plan was made for it (`judged`) and Xq = X. */
  readonly judge?: boolean
  /** Groups in a row whose neurons share their scale: channels of a convolution with paths of their own. Default 1. */
  readonly planes?: number
  /** Choose among GRID fractions of the scales by least output error: one fraction a neuron, or one for the layer. */
  readonly search: 'none' | 'neuron' | 'layer'
}

export interface Solution {
  readonly codes: Uint8Array // (groups, inputs, neurons); of frame (groups, coefficients, neurons)
  readonly scales: Float32Array // (groups, blocks, neurons), after the search
  /** (groups, inputs, neurons): what the codes stand for, where they are not codes of weights (frame). */
  readonly values?: Float32Array
  /** ‖XW − XqQ‖ / ‖XW‖ from H alone, if it was asked for. */
  readonly relativeError?: number
}

export interface Diagnosis {
  /** Inputs that are zero in every sample: their weights were plainly rounded, which costs nothing on the samples. */
  readonly dead: number
  readonly finite: boolean
}

/** Smallest H_tt of a live input, as in assembly/substitute.ts. */
export const ALIVE = 2 ** -126

export interface LayerForm {
  readonly packer: Packer
  readonly columns: Columns
  add(batch: SampleBatch, options: RunOptions): Promise<void>
  finish(options: RunOptions): Promise<void>
  diagnose(): Diagnosis
  /** Once, after the diagnosis: what some methods need of the samples; notes of what had to be mended. */
  prepare?(options: RunOptions): Promise<readonly string[]>
  solve(request: SolveRequest, options: RunOptions): Promise<Solution>
}
