/**
 * Coordinate descent on the codes of one neuron, in float64. With P = Gw − Hq, each value in turn becomes the
 * alphabet's nearest to q_t + P_t / H_tt, the best value given all others, if that lowers ‖Xw − Xq q‖². Twin of
 * assembly/descend.ts.
 */

/** ‖Xw − Xq q‖² − ‖Xw‖² = qᵀHq − 2 qᵀGw. */
export function quadraticError(
  h: ArrayLike<number>,
  target: ArrayLike<number>, // Gw
  q: ArrayLike<number>,
): number {
  const inputs = q.length
  let error2 = 0
  for (let i = 0; i < inputs; i++) {
    for (let j = 0; j < inputs; j++) error2 += q[i]! * h[i * inputs + j]! * q[j]!
    error2 -= 2 * q[i]! * target[i]!
  }
  return error2
}

/** m·x of an (inputs, inputs) matrix. */
export function multiplyVector(m: ArrayLike<number>, x: ArrayLike<number>): Float64Array {
  const inputs = x.length
  return Float64Array.from({ length: inputs }, (_, i) => {
    let sum = 0
    for (let j = 0; j < inputs; j++) sum += m[i * inputs + j]! * x[j]!
    return sum
  })
}

/**
 * @param target Gw (inputs)
 * @param start values q (inputs) to start from
 * @param choose the alphabet: the value nearest to v for input t
 * @param keeps whether input t keeps a value that is zero: for weights that are zero, and with sparsity for all
 * @returns q after the passes
 */
export function descend(
  h: ArrayLike<number>,
  target: ArrayLike<number>,
  start: ArrayLike<number>,
  passes: number,
  choose: (t: number, v: number) => number,
  keeps: (t: number) => boolean = () => false,
): Float64Array {
  const inputs = start.length
  const q = Float64Array.from(start)
  const p = multiplyVector(h, q).map((hq, t) => target[t]! - hq)
  for (let pass = 0; pass < passes; pass++) {
    for (let t = 0; t < inputs; t++) {
      const norm2 = h[t * inputs + t]!
      if (norm2 <= 0 || (q[t] === 0 && keeps(t))) continue
      const change = choose(t, q[t]! + p[t]! / norm2) - q[t]!
      if (!(change * (change * norm2 - 2 * p[t]!) < 0)) continue
      q[t] = q[t]! + change
      for (let i = 0; i < inputs; i++) p[i] = p[i]! - change * h[i * inputs + t]!
    }
  }
  return q
}
