/**
 * The Gram form in float64: the same path without the samples. With H = XqᵀXq and G = XqᵀX
 *
 *     q_t = A((Σ_{s≤t} G_ts w_s − Σ_{s<t} H_ts q_s) / H_tt)
 *
 * because ⟨Xq_t, u_{t−1} + w_t X_t⟩ is this difference of sums once u is written out. Twin of assembly/gram.ts,
 * project.ts and substitute.ts; the output error follows from the identity in project.ts.
 */

/** AᵀB (columns, columns) of two matrices (rows, columns). */
export function gramMatrix(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  rows: number,
  columns: number,
): Float64Array {
  const out = new Float64Array(columns * columns)
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) {
        out[i * columns + j] = out[i * columns + j]! + a[r * columns + i]! * b[r * columns + j]!
      }
    }
  }
  return out
}

export interface GramPath {
  /** p_t / H_tt before rounding, (inputs). */
  readonly values: Float64Array
  readonly chosen: Float64Array // q, (inputs)
  /** ‖Xw − Xq q‖² − ‖Xw‖² */
  readonly error2: number
}

/**
 * The path of one neuron.
 * @param h XqᵀXq (inputs, inputs)
 * @param g XqᵀX (inputs, inputs)
 * @param choose the alphabet: the value nearest to `value` for input t, or 0 for a weight that stays zero
 */
export function gramPath(
  h: ArrayLike<number>,
  g: ArrayLike<number>,
  w: ArrayLike<number>,
  inputs: number,
  choose: (t: number, value: number) => number,
): GramPath {
  const values = new Float64Array(inputs)
  const chosen = new Float64Array(inputs)
  for (let t = 0; t < inputs; t++) {
    let p = 0
    for (let s = 0; s <= t; s++) p += g[t * inputs + s]! * w[s]!
    for (let s = 0; s < t; s++) p -= h[t * inputs + s]! * chosen[s]!
    const norm2 = h[t * inputs + t]!
    values[t] = norm2 > 0 ? p / norm2 : w[t]!
    chosen[t] = choose(t, values[t]!)
  }
  let error2 = 0
  for (let i = 0; i < inputs; i++) {
    for (let j = 0; j < inputs; j++) {
      error2 += chosen[i]! * h[i * inputs + j]! * chosen[j]! - 2 * chosen[i]! * g[i * inputs + j]! * w[j]!
    }
  }
  return { values, chosen, error2 }
}
