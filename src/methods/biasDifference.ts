/**
 * The mean difference of a layer's outputs in the two networks, from the means of its inputs: mean(XW − XqQ) =
 * mean(X)·W − mean(Xq)·Q. Bias correction adds it to the layer's bias.
 */
import { rangeError } from '../checks.js'
import { PANEL, panelsOf } from '../wasm/kernels.js'
import type { WeightShape } from './alphabet.js'
import { meansOf } from './combineCorrelations.js'
import type { Observations } from './observations.js'

/**
 * @param observations with means
 * @param weights W, (groups, inputs, neurons) in the groups of the observations
 * @param values Q, same shape
 * @returns (groups, neurons)
 */
export function meanDifference(
  observations: Observations,
  weights: Float32Array,
  values: Float32Array,
  { groups, inputs, neurons }: WeightShape,
): Float64Array {
  const { rows, shape } = observations
  if (!shape.means) throw rangeError('observations', 'sums of the inputs', 'none')
  const means = meansOf(shape, observations.total())
  const held = panelsOf(inputs) * PANEL
  const ofXq = shape.streamsEqual ? 0 : groups * held
  const out = new Float64Array(groups * neurons)
  for (let g = 0; g < groups; g++) {
    for (let t = 0; t < inputs; t++) {
      const x = means[g * held + t]! / rows
      const xq = means[ofXq + g * held + t]! / rows
      const row = (g * inputs + t) * neurons
      for (let k = 0; k < neurons; k++) {
        const to = g * neurons + k
        out[to] = out[to]! + x * weights[row + k]! - xq * values[row + k]!
      }
    }
  }
  return out
}
