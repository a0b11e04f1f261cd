/** Rows of samples divided by the norms of the rows of X, in float64. Twin of assembly/weigh.ts. */

/**
 * @param x X, (rows, inputs)
 * @param values X or Xq, same shape
 * @returns the values, each row divided by the norm of that of X; a row where X is zero becomes zero
 */
export function weighed(x: ArrayLike<number>, values: ArrayLike<number>, inputs: number): Float64Array {
  const out = Float64Array.from(values)
  for (let from = 0; from < out.length; from += inputs) {
    let norm2 = 0
    for (let t = 0; t < inputs; t++) norm2 += x[from + t]! ** 2
    const factor = norm2 > 0 ? 1 / Math.sqrt(norm2) : 0
    for (let t = 0; t < inputs; t++) out[from + t] = out[from + t]! * factor
  }
  return out
}
