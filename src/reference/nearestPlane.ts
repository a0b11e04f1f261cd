/**
 * GPTQ and Qronos in float64, in the form of the kernels. With H + λI = LᵀΔL, L unit lower triangular,
 *
 *     q_t = A(R_t − Σ_{s<t} L_ts q_s),   R = Lw (GPTQ)   or   R = Lv, v = w + (H + λI)⁻¹(G − H)w (Qronos).
 *
 * The first value of Qronos is chosen while all others are unquantized: R_0 = w_0 + ((G − H)w)_0 / H_00. Twin of
 * assembly/factor.ts with substitute.ts. reference/qronos.ts has the published forms, which share no code with this
 * one.
 */

/** L (inputs, inputs) and Δ (inputs) of a symmetric positive definite matrix, from the last input to the first. */
export function factorUnitLower(
  matrix: ArrayLike<number>,
  inputs: number,
): { readonly l: Float64Array; readonly delta: Float64Array } {
  const l = new Float64Array(inputs * inputs)
  const delta = new Float64Array(inputs)
  for (let t = inputs - 1; t >= 0; t--) {
    // (LᵀΔL)_ts = Σ_{k ≥ t} L_kt Δ_k L_ks for s ≤ t
    for (let s = t; s >= 0; s--) {
      let rest = matrix[t * inputs + s]!
      for (let k = t + 1; k < inputs; k++) rest -= l[k * inputs + t]! * delta[k]! * l[k * inputs + s]!
      if (s === t) delta[t] = rest
      l[t * inputs + s] = rest / delta[t]!
    }
  }
  return { l, delta }
}

export interface NearestPlane {
  readonly l: Float64Array
  readonly delta: Float64Array
}

/** H + share·mean(diag H)·I. */
export function damped(h: ArrayLike<number>, inputs: number, share: number): Float64Array {
  const out = Float64Array.from(h)
  let trace = 0
  for (let t = 0; t < inputs; t++) trace += h[t * inputs + t]!
  const lambda = trace > 0 ? (share * trace) / inputs : share
  for (let t = 0; t < inputs; t++) out[t * inputs + t] = out[t * inputs + t]! + lambda
  return out
}

/** The target of GPTQ: Lw. */
export function gptqTarget({ l }: NearestPlane, w: ArrayLike<number>): Float64Array {
  const inputs = w.length
  return Float64Array.from({ length: inputs }, (_, t) => {
    let sum = 0
    for (let s = 0; s <= t; s++) sum += l[t * inputs + s]! * w[s]!
    return sum
  })
}

/** The target of Qronos: Lv, with R_0 of its own. @param difference (G − H)w */
export function qronosTarget(
  plane: NearestPlane,
  h: ArrayLike<number>,
  difference: ArrayLike<number>,
  w: ArrayLike<number>,
): Float64Array {
  const inputs = w.length
  const { l, delta } = plane
  const target = gptqTarget(plane, w)
  // Solves Lᵀ y = difference from the last row on. Then L(v − w) = Δ⁻¹y.
  const y = Float64Array.from(difference)
  for (let t = inputs - 1; t >= 0; t--) {
    for (let k = t + 1; k < inputs; k++) y[t] = y[t]! - l[k * inputs + t]! * y[k]!
    target[t] = target[t]! + y[t]! / delta[t]!
  }
  target[0] = w[0]! + (h[0]! > 0 ? difference[0]! / h[0]! : 0)
  return target
}

/** The path with L in the place of H. @param choose the alphabet @returns the values before and after rounding */
export function nearestPlane(
  { l }: NearestPlane,
  target: ArrayLike<number>,
  choose: (t: number, v: number) => number,
): { readonly values: Float64Array; readonly chosen: Float64Array } {
  const inputs = target.length
  const values = new Float64Array(inputs)
  const chosen = new Float64Array(inputs)
  for (let t = 0; t < inputs; t++) {
    let v = target[t]!
    for (let s = 0; s < t; s++) v -= l[t * inputs + s]! * chosen[s]!
    values[t] = v
    chosen[t] = choose(t, v)
  }
  return { values, chosen }
}
