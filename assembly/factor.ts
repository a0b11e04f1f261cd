/**
 * The factorization H + λI = LᵀΔL with L unit lower triangular, for GPTQ and Qronos. In its usual form (OPTQ,
 * 2210.17323) GPTQ spreads the error of input t over later inputs, by the Cholesky factor of (H + λI)⁻¹. Written out,
 * that is a quantized forward substitution with L,
 *
 *     q_t = A((Lv)_t − Σ_{s<t} L_ts q_s)
 *
 * (Babai's nearest plane, 2507.18553). So the kernel of GPFQ computes it, with L in the place of H, and no inverse is
 * needed. L is computed from the last input to the first. In this file all inputs are in reversed order, in which the
 * factor is an ordinary Cholesky factor:
 *
 *     A_ab = (H + λI)_{n−1−a, n−1−b} = C Cᵀ,    L_ts = C_{n−1−s, n−1−t} / C_{n−1−t, n−1−t},    Δ_t = C²_{n−1−t, n−1−t}
 *
 * Numerics: float64 throughout (the sums in H are float32). Each group's A is (n, n) row-major, n = 8·panels, with the
 * lower triangle only; the padding is the identity. The factorization is blocked by columns and left-looking. Every
 * element is one sum over ascending k, two lanes of k at a time, so no result depends on tiles or threads. n³/6
 * multiply-adds.
 */
import { matrixBytes, panelAt } from './gram'
import { ROW } from './tile'

/**
 * Writes A = H + λI in reversed order. Items: (group, row).
 * @param h full or triangular matrix of gram.ts
 * @param damping float64 [group] λ
 */
export function reverse(
  h: usize, a: usize, damping: usize, inputs: i32, panels: i32, triangular: i32, begin: i32, end: i32,
): void {
  const n = panels << 3
  for (let item = begin; item < end; item++) {
    const group = item / n
    const row = item % n
    const out = a + (<usize>item * <usize>n << 3)
    const i = n - 1 - row
    if (i >= inputs) {
      memory.fill(out, 0, <usize>row << 3)
      store<f64>(out + (<usize>row << 3), 1)
      continue
    }
    // Reads the lower triangle of H: elements (s, i) with s ≥ i.
    const matrix = h + <usize>group * matrixBytes(panels, triangular)
    for (let b = 0; b <= row; b++) {
      const s = n - 1 - b
      store<f64>(out + (<usize>b << 3), <f64>load<f32>(matrix + panelAt(s >> 3, panels, triangular) + (<usize>i << 5) + (<usize>(s & 7) << 2)))
    }
    const diagonal = out + (<usize>row << 3)
    store<f64>(diagonal, load<f64>(diagonal) + load<f64>(damping + (<usize>group << 3)))
  }
}

/**
 * A[i, from..to) −= C[i, 0..from)·C[from..to, 0..from)ᵀ for rows i ≥ from. Items: (group, 4 rows).
 * @param n, from, to multiples of 4
 */
export function reduce(a: usize, n: i32, from: i32, to: i32, begin: i32, end: i32): void {
  const rowBytes = <usize>n << 3
  const perGroup = (n - from) >> 2
  for (let item = begin; item < end; item++) {
    const matrix = a + <usize>(item / perGroup) * <usize>n * rowBytes
    const i = from + ((item % perGroup) << 2)
    const rows = matrix + <usize>i * rowBytes
    const high = min(to, i + 4)
    for (let j = from; j < high; j += 2) dots(rows, matrix + <usize>j * rowBytes, rowBytes, from, rows + (<usize>j << 3))
  }
}

/** c(4, 2) −= Σ_k a[4, k]·b[2, k]; rows are `rowBytes` apart, and two values of k are summed as lanes. */
function dots(a: usize, b: usize, rowBytes: usize, steps: i32, c: usize): void {
  let c00_f64x2 = f64x2.splat(0), c01_f64x2 = f64x2.splat(0)
  let c10_f64x2 = f64x2.splat(0), c11_f64x2 = f64x2.splat(0)
  let c20_f64x2 = f64x2.splat(0), c21_f64x2 = f64x2.splat(0)
  let c30_f64x2 = f64x2.splat(0), c31_f64x2 = f64x2.splat(0)
  const a1 = rowBytes, a2 = rowBytes << 1, a3 = rowBytes + (rowBytes << 1)
  let p = a
  const end = a + (<usize>steps << 3)
  while (p < end) {
    const b0_f64x2 = v128.load(b)
    const b1_f64x2 = v128.load(b + rowBytes)
    const a0_f64x2 = v128.load(p)
    c00_f64x2 = f64x2.add(c00_f64x2, f64x2.mul(a0_f64x2, b0_f64x2))
    c01_f64x2 = f64x2.add(c01_f64x2, f64x2.mul(a0_f64x2, b1_f64x2))
    const a1_f64x2 = v128.load(p + a1)
    c10_f64x2 = f64x2.add(c10_f64x2, f64x2.mul(a1_f64x2, b0_f64x2))
    c11_f64x2 = f64x2.add(c11_f64x2, f64x2.mul(a1_f64x2, b1_f64x2))
    const a2_f64x2 = v128.load(p + a2)
    c20_f64x2 = f64x2.add(c20_f64x2, f64x2.mul(a2_f64x2, b0_f64x2))
    c21_f64x2 = f64x2.add(c21_f64x2, f64x2.mul(a2_f64x2, b1_f64x2))
    const a3_f64x2 = v128.load(p + a3)
    c30_f64x2 = f64x2.add(c30_f64x2, f64x2.mul(a3_f64x2, b0_f64x2))
    c31_f64x2 = f64x2.add(c31_f64x2, f64x2.mul(a3_f64x2, b1_f64x2))
    p += 16
    b += 16
  }
  subtractLaneSums(c, c00_f64x2, c01_f64x2)
  subtractLaneSums(c + a1, c10_f64x2, c11_f64x2)
  subtractLaneSums(c + a2, c20_f64x2, c21_f64x2)
  subtractLaneSums(c + a3, c30_f64x2, c31_f64x2)
}

/** c[0] −= the sum of the lanes of x, c[1] −= the sum of the lanes of y. */
@inline
function subtractLaneSums(c: usize, x_f64x2: v128, y_f64x2: v128): void {
  const low = i8x16.shuffle(x_f64x2, y_f64x2, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
  const high = i8x16.shuffle(x_f64x2, y_f64x2, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
  v128.store(c, f64x2.sub(v128.load(c), f64x2.add(low, high)))
}

/** Σ_k a[k]·b[k], k in order. */
@inline
function dot(a: usize, b: usize, steps: i32): f64 {
  let sum: f64 = 0
  for (let k = 0; k < steps; k++) sum += load<f64>(a + (<usize>k << 3)) * load<f64>(b + (<usize>k << 3))
  return sum
}

/**
 * The Cholesky factor of the diagonal block [from, to), in place. Items: groups.
 * @param least float64 [group]: smallest pivot that counts as positive
 * @param failed i32 [group]: set to 1 if a pivot is smaller or NaN; that pivot is replaced by 1, and nothing overflows
 * @param inputs rows that are not padding; they are the last rows
 */
export function factorBlock(
  a: usize, least: usize, failed: usize, inputs: i32, n: i32, from: i32, to: i32, begin: i32, end: i32,
): void {
  const rowBytes = <usize>n << 3
  for (let group = begin; group < end; group++) {
    const matrix = a + <usize>group * <usize>n * rowBytes + (<usize>from << 3)
    for (let j = from; j < to; j++) {
      const rowJ = matrix + <usize>j * rowBytes
      const at = <usize>(j - from) << 3
      let pivot = load<f64>(rowJ + at) - dot(rowJ, rowJ, j - from)
      if (j >= n - inputs && !(pivot > load<f64>(least + (<usize>group << 3)))) {
        store<i32>(failed + (<usize>group << 2), 1)
        pivot = 1
      }
      const root = Math.sqrt(pivot)
      store<f64>(rowJ + at, root)
      for (let i = j + 1; i < to; i++) {
        const rowI = matrix + <usize>i * rowBytes
        store<f64>(rowI + at, (load<f64>(rowI + at) - dot(rowI, rowJ, j - from)) / root)
      }
    }
  }
}

/** C[i, from..to) = A[i, from..to)·C_block⁻ᵀ for rows i ≥ to. Items: (group, row). */
export function solveBlock(a: usize, n: i32, from: i32, to: i32, begin: i32, end: i32): void {
  const rowBytes = <usize>n << 3
  const perGroup = n - to
  for (let item = begin; item < end; item++) {
    const matrix = a + <usize>(item / perGroup) * <usize>n * rowBytes + (<usize>from << 3)
    const rowI = matrix + <usize>(to + item % perGroup) * rowBytes
    for (let j = from; j < to; j++) {
      const rowJ = matrix + <usize>j * rowBytes
      const at = <usize>(j - from) << 3
      store<f64>(rowI + at, (load<f64>(rowI + at) - dot(rowI, rowJ, j - from)) / load<f64>(rowJ + at))
    }
  }
}

/** Writes L as a triangular matrix of gram.ts in float32, in the original order of inputs. Items: (group, panel). */
export function unitLower(c: usize, l: usize, panels: i32, begin: i32, end: i32): void {
  const n = panels << 3
  const rowBytes = <usize>n << 3
  for (let item = begin; item < end; item++) {
    const group = item / panels
    const panel = item % panels
    const matrix = c + <usize>group * <usize>n * rowBytes
    let out = l + <usize>group * matrixBytes(panels, 1) + panelAt(panel, panels, 1)
    for (let s = 0; s < (panel + 1) << 3; s++) {
      const row = matrix + <usize>(n - 1 - s) * rowBytes
      for (let k = 0; k < 8; k++) {
        const t = (panel << 3) + k
        const column = n - 1 - t
        store<f32>(out + (<usize>k << 2), s > t ? 0 : <f32>(load<f64>(row + (<usize>column << 3)) / load<f64>(matrix + <usize>column * rowBytes + (<usize>column << 3))))
      }
      out += ROW
    }
  }
}

/**
 * The target of Qronos (2505.11695, thm. 3.1 written with L): R = Lw + Δ⁻¹L⁻ᵀ(G − H)w instead of Lw, so that
 * Lᵀ Δ R = (G + λI)w. When the first input is chosen, all later weights are still unquantized, so for it
 * R_0 = w_0 + ((G − H)w)_0 / H_00. Computed by forward substitution with C in reversed order, two rows at a time, in
 * float64. Items: (group, neuron panel).
 * @param u [group][neuron panel][8·panels][8] tril(G − H)·W of project.ts
 * @param v same shape, triu(G − H, 1)·W
 * @param r same shape: Lw, overwritten by R
 * @param scratch [worker][8·panels][8] float64
 */
export function retarget(
  c: usize, h: usize, u: usize, v: usize, r: usize, scratch: usize,
  panels: i32, triangular: i32, neuronPanels: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const n = panels << 3
  const rowBytes = <usize>n << 3
  const columnBytes = <usize>panels << 8
  const y = scratch + <usize>(worker * n) * 64
  for (let item = begin; item < end; item++) {
    const group = item / neuronPanels
    const matrix = c + <usize>group * <usize>n * rowBytes
    const column = <usize>item * columnBytes
    for (let a = 0; a < n; a++) {
      const from = column + (<usize>(n - 1 - a) << 5)
      const low_f32x4 = f32x4.add(v128.load(u + from), v128.load(v + from))
      const high_f32x4 = f32x4.add(v128.load(u + from, 16), v128.load(v + from, 16))
      promote(low_f32x4, y + (<usize>a << 6))
      promote(high_f32x4, y + (<usize>a << 6) + 32)
    }
    for (let a = 0; a < n; a += 2) {
      const row = matrix + <usize>a * rowBytes
      const at = y + (<usize>a << 6)
      subtractProduct(row, rowBytes, y, at, a)
      divide(at, load<f64>(row + (<usize>a << 3)))
      subtractScaled(at, at + 64, load<f64>(row + rowBytes + (<usize>a << 3)))
      divide(at + 64, load<f64>(row + rowBytes + (<usize>a << 3) + 8))
    }
    for (let t = 1; t < n; t++) {
      const a = n - 1 - t
      const pivot = load<f64>(matrix + <usize>a * rowBytes + (<usize>a << 3))
      for (let k: usize = 0; k < 8; k++) {
        const to = r + column + (<usize>t << 5) + (k << 2)
        store<f32>(to, <f32>(<f64>load<f32>(to) + load<f64>(y + (<usize>a << 6) + (k << 3)) / pivot))
      }
    }
    const norm = load<f32>(h + <usize>group * matrixBytes(panels, triangular))
    if (norm > 0) {
      for (let k: usize = 0; k < 32; k += 4) {
        const to = r + column + k
        store<f32>(to, load<f32>(to) + (load<f32>(u + column + k) + load<f32>(v + column + k)) / norm)
      }
    }
  }
}

/** Writes 4 float32 lanes as float64. */
@inline
function promote(x_f32x4: v128, to: usize): void {
  v128.store(to, f64x2.promote_low_f32x4(x_f32x4))
  v128.store(to, f64x2.promote_low_f32x4(i8x16.shuffle(x_f32x4, x_f32x4, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)), 16)
}

/** to(2, 8) −= rows(2, steps)·y(steps, 8). */
function subtractProduct(row: usize, rowBytes: usize, y: usize, to: usize, steps: i32): void {
  let c00_f64x2 = v128.load(to), c01_f64x2 = v128.load(to, 16), c02_f64x2 = v128.load(to, 32), c03_f64x2 = v128.load(to, 48)
  let c10_f64x2 = v128.load(to, 64), c11_f64x2 = v128.load(to, 80), c12_f64x2 = v128.load(to, 96), c13_f64x2 = v128.load(to, 112)
  const end = row + (<usize>steps << 3)
  while (row < end) {
    const a0_f64x2 = v128.load_splat<f64>(row)
    const a1_f64x2 = v128.load_splat<f64>(row + rowBytes)
    const y0_f64x2 = v128.load(y), y1_f64x2 = v128.load(y, 16), y2_f64x2 = v128.load(y, 32), y3_f64x2 = v128.load(y, 48)
    c00_f64x2 = f64x2.sub(c00_f64x2, f64x2.mul(a0_f64x2, y0_f64x2))
    c01_f64x2 = f64x2.sub(c01_f64x2, f64x2.mul(a0_f64x2, y1_f64x2))
    c02_f64x2 = f64x2.sub(c02_f64x2, f64x2.mul(a0_f64x2, y2_f64x2))
    c03_f64x2 = f64x2.sub(c03_f64x2, f64x2.mul(a0_f64x2, y3_f64x2))
    c10_f64x2 = f64x2.sub(c10_f64x2, f64x2.mul(a1_f64x2, y0_f64x2))
    c11_f64x2 = f64x2.sub(c11_f64x2, f64x2.mul(a1_f64x2, y1_f64x2))
    c12_f64x2 = f64x2.sub(c12_f64x2, f64x2.mul(a1_f64x2, y2_f64x2))
    c13_f64x2 = f64x2.sub(c13_f64x2, f64x2.mul(a1_f64x2, y3_f64x2))
    row += 8
    y += 64
  }
  v128.store(to, c00_f64x2)
  v128.store(to, c01_f64x2, 16)
  v128.store(to, c02_f64x2, 32)
  v128.store(to, c03_f64x2, 48)
  v128.store(to, c10_f64x2, 64)
  v128.store(to, c11_f64x2, 80)
  v128.store(to, c12_f64x2, 96)
  v128.store(to, c13_f64x2, 112)
}

/** y(8) /= pivot. */
@inline
function divide(y: usize, pivot: f64): void {
  const p_f64x2 = f64x2.splat(pivot)
  for (let k: usize = 0; k < 64; k += 16) v128.store(y + k, f64x2.div(v128.load(y + k), p_f64x2))
}

/** y(8) −= factor·x(8). */
@inline
function subtractScaled(x: usize, y: usize, factor: f64): void {
  const f_f64x2 = f64x2.splat(factor)
  for (let k: usize = 0; k < 64; k += 16) {
    v128.store(y + k, f64x2.sub(v128.load(y + k), f64x2.mul(f_f64x2, v128.load(x + k))))
  }
}
