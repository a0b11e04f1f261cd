/**
 * The ridge of methods/ridge.ts in float64, as samples: below X and below Xq stand the rows of √λ·I. Then both XqᵀXq and
 * XqᵀX have λ more on their diagonals, and ‖Xw − Xq q‖² is greater by λ‖w − q‖².
 */

/**
 * @param samples X or Xq, (rows, inputs)
 * @param quantizedSamples Xq, which gives the unit of λ
 * @param share λ in units of the mean of ‖Xq_t‖² over the inputs that are not zero in all samples
 * @returns (rows + inputs, inputs)
 */
export function withRidge(
  samples: ArrayLike<number>,
  quantizedSamples: ArrayLike<number>,
  inputs: number,
  share: number,
): Float32Array {
  const norms = new Float64Array(inputs)
  for (let i = 0; i < quantizedSamples.length; i++)
    norms[i % inputs] = norms[i % inputs]! + quantizedSamples[i]! ** 2
  const live = norms.filter((norm2) => norm2 > 0)
  const lambda = live.length > 0 ? (share * live.reduce((sum, norm2) => sum + norm2, 0)) / live.length : 0
  const out = new Float32Array(samples.length + inputs * inputs)
  out.set(samples)
  for (let t = 0; t < inputs; t++) out[samples.length + t * inputs + t] = Math.sqrt(lambda)
  return out
}
