/**
 * The vertex walk (Maly & Saab, 2209.03487) of one neuron in float64: weights z with Xz = Xw and ‖z‖∞ = ‖w‖∞, all but
 * at most m of them at ±‖w‖∞, or at 0 where w is 0 and zeros are kept. It keeps a tableau B⁻¹X of all columns instead of the inverse of assembly/vertex.ts. The
 * choices are the same, and so is z up to rounding.
 */

/** Pivots below this share of the largest entry of the column count as zero. */
const TINY = 1e-9

/**
 * @param samples X (rows, inputs)
 * @param keepsZeros weights that are zero stay, because the alphabet includes zero
 */
export function vertexWalk(
  samples: ArrayLike<number>,
  rows: number,
  w: ArrayLike<number>,
  keepsZeros: boolean,
): Float64Array {
  const inputs = w.length
  const z = Float64Array.from(w)
  const c = z.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const tableau = Array.from({ length: rows }, (_, r) =>
    Float64Array.from({ length: inputs }, (_, j) => samples[r * inputs + j]!),
  )
  const basis: (number | null)[] = new Array(rows).fill(null) // null stands for a unit vector
  const pivot = (place: number, j: number): void => {
    const row = tableau[place]!
    const p = row[j]!
    for (let k = 0; k < inputs; k++) row[k] = row[k]! / p
    for (const [r, other] of tableau.entries()) {
      const factor = other[j]!
      if (r !== place && factor !== 0)
        for (let k = 0; k < inputs; k++) other[k] = other[k]! - factor * row[k]!
    }
    basis[place] = j
  }
  for (let j = 0; j < inputs; j++) {
    if (Math.abs(z[j]!) >= c || (keepsZeros && z[j] === 0)) continue
    let size = 0
    for (let r = 0; r < rows; r++) size = Math.max(size, Math.abs(samples[r * inputs + j]!))
    const tiny = TINY * size
    let unit = -1
    for (let r = 0; r < rows; r++) {
      const entry = Math.abs(tableau[r]![j]!)
      if (basis[r] === null && entry > (unit < 0 ? tiny : Math.abs(tableau[unit]![j]!))) unit = r
    }
    if (unit >= 0) {
      pivot(unit, j)
      continue
    }
    const sign = z[j]! < 0 ? -1 : 1
    let distance = c - sign * z[j]!
    let leaving = -1
    for (let r = 0; r < rows; r++) {
      const basic = basis[r]
      const rate = -sign * tableau[r]![j]!
      if (basic === null || basic === undefined || Math.abs(rate) <= tiny) continue
      const own = (c - Math.sign(rate) * z[basic]!) / Math.abs(rate)
      if (own < distance) {
        distance = own
        leaving = r
      }
    }
    distance = Math.max(distance, 0)
    for (let r = 0; r < rows; r++) {
      const basic = basis[r]
      if (basic !== null && basic !== undefined) z[basic] = z[basic]! - sign * tableau[r]![j]! * distance
    }
    if (leaving < 0) z[j] = sign * c
    else {
      z[j] = z[j]! + sign * distance
      z[basis[leaving]!] = Math.sign(-sign * tableau[leaving]![j]!) * c
      pivot(leaving, j)
    }
  }
  return z
}
