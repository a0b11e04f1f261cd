/**
 * The one inner loop of the training script: a strided matrix product. Because each operand comes with a row and a
 * column stride, the same function computes X·W (forward), dY·Wᵀ (gradient of the input) and Xᵀ·dY (gradient of the
 * weights) without transposed copies.
 *
 * Numerics: float64, each entry summed in ascending order of the inner index, so the result is the same on
 * every machine. A 4 × 2 tile of sums is the largest that stays in the 16 registers V8 has for floats on x86.
 */

/** A matrix inside a flat array: entry (i, j) is data[i * row + j * column]. */
export interface Matrix {
  readonly data: Float64Array
  readonly row: number
  readonly column: number
}

/** Row-major (…, columns). */
export function matrix(data: Float64Array, columns: number): Matrix {
  return { data, row: columns, column: 1 }
}

export function transpose(a: Matrix): Matrix {
  return { data: a.data, row: a.column, column: a.row }
}

/** out (m, n) = a (m, k) · b (k, n); `out` is row-major and overwritten. */
export function multiply(out: Float64Array, a: Matrix, b: Matrix, m: number, n: number, k: number): void {
  const mTiled = m - (m % 4)
  const nTiled = n - (n % 2)
  for (let i = 0; i < mTiled; i += 4) {
    for (let j = 0; j < nTiled; j += 2) tile4x2(out, a, b, i, j, n, k)
    for (let j = nTiled; j < n; j++) for (let r = i; r < i + 4; r++) out[r * n + j] = dot(a, b, r, j, k)
  }
  for (let i = mTiled; i < m; i++) for (let j = 0; j < n; j++) out[i * n + j] = dot(a, b, i, j, k)
}

function tile4x2(out: Float64Array, a: Matrix, b: Matrix, i: number, j: number, n: number, k: number): void {
  const x = a.data
  const y = b.data
  const xStep = a.column
  const yStep = b.row
  let x0 = i * a.row
  let x1 = x0 + a.row
  let x2 = x1 + a.row
  let x3 = x2 + a.row
  let y0 = j * b.column
  let y1 = y0 + b.column
  let s00 = 0
  let s01 = 0
  let s10 = 0
  let s11 = 0
  let s20 = 0
  let s21 = 0
  let s30 = 0
  let s31 = 0
  for (let t = 0; t < k; t++) {
    const u = y[y0]!
    const v = y[y1]!
    const p = x[x0]!
    s00 += p * u
    s01 += p * v
    const q = x[x1]!
    s10 += q * u
    s11 += q * v
    const r = x[x2]!
    s20 += r * u
    s21 += r * v
    const s = x[x3]!
    s30 += s * u
    s31 += s * v
    x0 += xStep
    x1 += xStep
    x2 += xStep
    x3 += xStep
    y0 += yStep
    y1 += yStep
  }
  const o = i * n + j
  out[o] = s00
  out[o + 1] = s01
  out[o + n] = s10
  out[o + n + 1] = s11
  out[o + 2 * n] = s20
  out[o + 2 * n + 1] = s21
  out[o + 3 * n] = s30
  out[o + 3 * n + 1] = s31
}

function dot(a: Matrix, b: Matrix, i: number, j: number, k: number): number {
  let sum = 0
  for (let t = 0; t < k; t++) sum += a.data[i * a.row + t * a.column]! * b.data[t * b.row + j * b.column]!
  return sum
}
