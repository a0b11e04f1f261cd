/**
 * GPTQ and Qronos as published, in float64, without a factorization: after each choice the remaining weights are the
 * exact minimizer of the damped error, given what is chosen. This is slow (a linear system a step) but obviously right.
 * reference/nearestPlane.ts and the kernels are tested against it.
 *
 *     GPTQ (2210.17323 eq. 2):   v_{>t} minimizes ‖Xq(w − (q_≤t, v_>t))‖² + λ‖w − (q_≤t, v_>t)‖²
 *     Qronos (2505.11695 eq. 4): v_{>t} minimizes ‖Xw − Xq(q_≤t, v_>t)‖² + λ‖w − (q_≤t, v_>t)‖²; q_0 is the best value
 *                                given the unquantized w_{>0}, without λ
 *
 * GPTQ is Qronos with G = H.
 */

/**
 * The path of one neuron. All matrices are (inputs, inputs).
 * @param hd H + λI
 * @param gd G + λI
 * @param choose the alphabet: the value nearest to v for input t
 * @returns q (inputs)
 */
export function leastSquaresPath(
  h: ArrayLike<number>,
  g: ArrayLike<number>,
  hd: ArrayLike<number>,
  gd: ArrayLike<number>,
  w: ArrayLike<number>,
  choose: (t: number, v: number) => number,
): Float64Array {
  const inputs = w.length
  const q = new Float64Array(inputs)
  let best = w[0]!
  if (h[0]! > 0) {
    let sum = 0
    for (let s = 0; s < inputs; s++) sum += g[s]! * w[s]! - (s > 0 ? h[s]! * w[s]! : 0)
    best = sum / h[0]!
  }
  q[0] = choose(0, best)
  for (let t = 1; t < inputs; t++) {
    // The linear system of rows and columns t.. of hd, with the right-hand side gd·w − hd_{·,<t} q_<t.
    const size = inputs - t
    const matrix = new Float64Array(size * size)
    const right = new Float64Array(size)
    for (let i = 0; i < size; i++) {
      const row = (t + i) * inputs
      for (let s = 0; s < inputs; s++) right[i] = right[i]! + gd[row + s]! * w[s]!
      for (let s = 0; s < t; s++) right[i] = right[i]! - hd[row + s]! * q[s]!
      for (let j = 0; j < size; j++) matrix[i * size + j] = hd[row + t + j]!
    }
    q[t] = choose(t, solve(matrix, right, size)[0]!)
  }
  return q
}

/** Solves a linear system by Gaussian elimination with row pivoting. @param matrix (size, size) @param right (size) */
export function solve(matrix: Float64Array, right: Float64Array, size: number): Float64Array {
  const a = Float64Array.from(matrix)
  const x = Float64Array.from(right)
  for (let k = 0; k < size; k++) {
    let pivot = k
    for (let i = k + 1; i < size; i++) {
      if (Math.abs(a[i * size + k]!) > Math.abs(a[pivot * size + k]!)) pivot = i
    }
    for (let j = 0; j < size; j++) {
      const held = a[k * size + j]!
      a[k * size + j] = a[pivot * size + j]!
      a[pivot * size + j] = held
    }
    const held = x[k]!
    x[k] = x[pivot]!
    x[pivot] = held
    for (let i = k + 1; i < size; i++) {
      const factor = a[i * size + k]! / a[k * size + k]!
      for (let j = k; j < size; j++) a[i * size + j] = a[i * size + j]! - factor * a[k * size + j]!
      x[i] = x[i]! - factor * x[k]!
    }
  }
  for (let k = size - 1; k >= 0; k--) {
    for (let j = k + 1; j < size; j++) x[k] = x[k]! - a[k * size + j]! * x[j]!
    x[k] = x[k]! / a[k * size + k]!
  }
  return x
}
