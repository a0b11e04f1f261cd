/** Layers as callers of "gpfq" hand them over. */
import type { LayerProblem } from '#src/index.js'
import { randomDense } from './methods/dense.js'

/** A dense layer made from a seed; every thirteenth input is dead. */
export function problem(
  rows: number,
  inputs: number,
  neurons: number,
  same: boolean,
  seed: number,
): LayerProblem {
  const { weights, x, xq } = randomDense(rows, inputs, neurons, same, seed)
  return { weights, inputs, neurons, samples: x, ...(xq === null ? {} : { quantizedSamples: xq }) }
}

/** A layer that takes long to quantize and no time to make. */
export const large = (rows: number, inputs: number, neurons: number): LayerProblem => ({
  ...{ inputs, neurons },
  weights: new Float32Array(inputs * neurons).fill(0.3),
  samples: new Float32Array(rows * inputs).fill(0.1),
})
