/**
 * Two results for complete codes, from H = XqᵀXq and G = XqᵀX alone: the exact output error of the codes, and codes
 * improved by cyclic coordinate descent. With b = Gw and the remaining correlation P = b − Hq,
 *
 *     ‖Xw − Xq q‖² − ‖Xw‖² = −Σ_t q_t (P_t + b_t)
 *     q_t ← A(q_t + P_t / H_tt)       the best value of input t given all others; then P −= H_·t (change of q_t)
 *
 * COMQ and AXE note that the quadratic error of a layer needs no samples; the last step of Beacon (2508.20293) is such
 * a descent. A change is kept only if it lowers the error, δ(δH_tt − 2P_t) < 0, so the error never rises, whatever
 * value the alphabet rounds to. Weights that are zero keep the value zero (alphabet.ts).
 *
 * Neurons are SIMD lanes, inputs are visited in order, and H must be full. Blocked like substitute.ts: the rows of a
 * block of 128 are changed one after another, then the block's changes are applied to P of all rows through the
 * register tile. N²K multiply-adds for P and N²K a pass, less where a block of 128 inputs does not change. A strip of
 * columns ends its passes with the first one that changes nothing in it.
 *
 * Order of summation: P is summed over inputs ascending in blocks of 256. Changes are added in blocks of 128, and
 * inside a block in rows of 8. P is float32; errors are summed in float64.
 */
import { nearestCode, storeCodes } from './alphabet'
import { BLOCK, matrixBytes, panelAt } from './gram'
import { product } from './product'
import { ALIVE } from './substitute'
import { ROW } from './tile'

/** Panels of 8 rows in a row block: 128 rows. */
const ROWS: i32 = 16

/**
 * Measures and improves the codes of each column. Items: columns = (group, candidate, neuron panel); the panel varies
 * fastest.
 * @param h matrix of gram.ts of Xq, full
 * @param weights [group][neuron panel][8·panels][8]: values that are zero stay zero where the weight is zero; 0 keeps
 *   every value that is zero
 * @param r same shape, tril(G)·W of project.ts
 * @param s same shape, triu(G, 1)·W; r + s is b
 * @param scales [group][candidate][neuron panel][scale block][8]
 * @param zeros same shape
 * @param codes [column][8·panels][8] bytes, improved in place
 * @param errors [column][8] float64: ‖Xw − Xq q‖² − ‖Xw‖² of the final codes, written
 * @param scratch [worker][strip][2·8·panels + 136][8] float32
 * @param passes at most; with 0 only the errors are computed
 * @param strip columns that are processed together, so that each panel of H is read once for all of them
 */
export function descend(
  h: usize, weights: usize, r: usize, s: usize, scales: usize, zeros: usize, codes: usize, errors: usize, scratch: usize,
  inputs: i32, panels: i32, neuronPanels: i32, candidates: i32, scaleBlocks: i32, scaleBlockSize: i32,
  top: f32, passes: i32, strip: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  const pathBytes = (columnBytes << 1) + ((<usize>(ROWS + 1)) << 8) // one column: −q, P, the changes of 128 rows, 8 rows of P
  const path = scratch + <usize>worker * <usize>strip * pathBytes
  const perGroup = candidates * neuronPanels
  while (begin < end) {
    const group = begin / perGroup
    const stop = min(min(end, begin + strip), (group + 1) * perGroup)
    const count = stop - begin
    const matrix = h + <usize>group * matrixBytes(panels, 0)
    for (let v = 0; v < count; v++) {
      const item = begin + v
      const column = <usize>(group * neuronPanels + (item % perGroup) % neuronPanels) * columnBytes
      const q = path + <usize>v * pathBytes
      negate(codes + <usize>item * (columnBytes >> 2), scales, zeros, q, item, inputs, panels, scaleBlocks, scaleBlockSize)
      addColumns(r + column, s + column, q + columnBytes, columnBytes)
    }
    for (let k = 0; k < panels; k += BLOCK >> 3) {
      const high = min(panels, k + (BLOCK >> 3))
      for (let p = 0; p < panels; p++) {
        for (let v = 0; v < count; v++) {
          const q = path + <usize>v * pathBytes
          product(matrix, panels, 0, p, k, high, q, q + columnBytes + (<usize>p << 8))
        }
      }
    }
    for (let v = 0; v < count; v++) {
      const item = begin + v
      const column = <usize>(group * neuronPanels + (item % perGroup) % neuronPanels) * columnBytes
      const q = path + <usize>v * pathBytes
      sumErrors(q, q + columnBytes, r + column, s + column, errors + (<usize>item << 6), columnBytes)
    }
    for (let pass = 0; pass < passes; pass++) {
      let moved = false
      for (let b = 0; b < panels; b += ROWS) {
        const high = min(panels, b + ROWS)
        for (let v = 0; v < count; v++) {
          const q = path + <usize>v * pathBytes
          const change = q + (columnBytes << 1)
          const item = begin + v
          const column = <usize>(group * neuronPanels + (item % perGroup) % neuronPanels) * columnBytes
          if (!improveRows(
            matrix, weights ? weights + column : 0, q, change, item, scales, zeros, errors + (<usize>item << 6),
            inputs, panels, scaleBlocks, scaleBlockSize, top, b, high,
          )) continue
          moved = true
          for (let p = 0; p < panels; p++) {
            product(matrix, panels, 0, p, b, high, change - (<usize>b << 8), q + columnBytes + (<usize>p << 8))
          }
        }
      }
      if (!moved) break
    }
    if (passes) {
      for (let v = 0; v < count; v++) {
        const item = begin + v
        encode(
          path + <usize>v * pathBytes, scales, zeros, codes + <usize>item * (columnBytes >> 2),
          item, inputs, scaleBlocks, scaleBlockSize,
        )
      }
    }
    begin = stop
  }
}

/** One pass over the rows of panels [b, high). Writes the changes of −q; returns whether there were any. */
function improveRows(
  matrix: usize, w: usize, q: usize, change: usize, item: i32, scales: usize, zeros: usize, errors: usize,
  inputs: i32, panels: i32, scaleBlocks: i32, scaleBlockSize: i32, top: f32, b: i32, high: i32,
): bool {
  const columnBytes = <usize>panels << 8
  const rows8 = change + ((<usize>ROWS) << 8) // P of the current 8 rows
  const top_f32x4 = f32x4.splat(top)
  let moved_v128 = i32x4.splat(0)
  for (let p = b; p < high; p++) {
    memory.copy(rows8, q + columnBytes + (<usize>p << 8), 256)
    if (p > b) product(matrix, panels, 0, p, b, p, change - (<usize>b << 8), rows8)
    const block = matrix + panelAt(p, panels, 0) + (<usize>p << 8)
    const here = change + (<usize>(p - b) << 8)
    for (let t = 0; t < 8; t++) {
      const at = <usize>t * ROW
      const row = (p << 3) + t
      const norm = load<f32>(block + at + (<usize>t << 2))
      let d0_f32x4 = f32x4.splat(0), d1_f32x4 = f32x4.splat(0)
      if (row < inputs && norm >= ALIVE) {
        let p0_f32x4 = v128.load(rows8 + at)
        let p1_f32x4 = v128.load(rows8 + at, 16)
        for (let s = 0; s < t; s++) {
          const h_f32x4 = v128.load_splat<f32>(block + <usize>s * ROW + (<usize>t << 2))
          p0_f32x4 = f32x4.add(p0_f32x4, f32x4.mul(h_f32x4, v128.load(here + <usize>s * ROW)))
          p1_f32x4 = f32x4.add(p1_f32x4, f32x4.mul(h_f32x4, v128.load(here + <usize>s * ROW, 16)))
        }
        const scale = <usize>(item * scaleBlocks + row / scaleBlockSize) << 5
        const n = q + (<usize>row << 5)
        let w0_f32x4 = f32x4.splat(0), w1_f32x4 = f32x4.splat(0)
        if (w) {
          w0_f32x4 = v128.load(w + (<usize>row << 5))
          w1_f32x4 = v128.load(w + (<usize>row << 5), 16)
        }
        const n0_f32x4 = improve(v128.load(n), p0_f32x4, norm, v128.load(scales + scale), v128.load(zeros + scale), top_f32x4, w0_f32x4)
        const n1_f32x4 = improve(v128.load(n, 16), p1_f32x4, norm, v128.load(scales + scale, 16), v128.load(zeros + scale, 16), top_f32x4, w1_f32x4)
        d0_f32x4 = f32x4.sub(n0_f32x4, v128.load(n))
        d1_f32x4 = f32x4.sub(n1_f32x4, v128.load(n, 16))
        moved_v128 = v128.or(moved_v128, v128.or(f32x4.ne(d0_f32x4, f32x4.splat(0)), f32x4.ne(d1_f32x4, f32x4.splat(0))))
        v128.store(n, n0_f32x4)
        v128.store(n, n1_f32x4, 16)
        addErrors(errors, errorChange(d0_f32x4, p0_f32x4, norm))
        addErrors(errors + 32, errorChange(d1_f32x4, p1_f32x4, norm))
      }
      v128.store(here + at, d0_f32x4)
      v128.store(here + at, d1_f32x4, 16)
    }
  }
  return v128.any_true(moved_v128)
}

/** The best n = −q given all others, if it lowers the error; else n. Zeros of weights w = 0 stay. */
@inline
function improve(
  n_f32x4: v128, p_f32x4: v128, norm: f32, s_f32x4: v128, z_f32x4: v128, top_f32x4: v128, w_f32x4: v128,
): v128 {
  const v_f32x4 = f32x4.sub(f32x4.div(p_f32x4, f32x4.splat(norm)), n_f32x4)
  const c_f32x4 = nearestCode(v_f32x4, s_f32x4, z_f32x4, top_f32x4)
  const to_f32x4 = f32x4.mul(s_f32x4, f32x4.sub(z_f32x4, c_f32x4))
  const lower = f32x4.lt(errorChange(f32x4.sub(to_f32x4, n_f32x4), p_f32x4, norm), f32x4.splat(0))
  const zero_f32x4 = f32x4.splat(0)
  const pinned = v128.and(f32x4.eq(n_f32x4, zero_f32x4), f32x4.eq(w_f32x4, zero_f32x4))
  return v128.bitselect(to_f32x4, n_f32x4, v128.andnot(lower, pinned))
}

/** The change of the error if n = −q changes by d: d (d H_tt + 2 P). */
@inline
function errorChange(d_f32x4: v128, p_f32x4: v128, norm: f32): v128 {
  return f32x4.mul(d_f32x4, f32x4.add(f32x4.mul(d_f32x4, f32x4.splat(norm)), f32x4.add(p_f32x4, p_f32x4)))
}

/** Writes n(8·panels, 8) = −q of one column; 0 in the padding. */
function negate(
  code: usize, scales: usize, zeros: usize, n: usize,
  item: i32, inputs: i32, panels: i32, scaleBlocks: i32, scaleBlockSize: i32,
): void {
  for (let t = 0; t < inputs; t++) {
    const at = <usize>(item * scaleBlocks + t / scaleBlockSize) << 5
    const c_i16x8 = v128.load_ext<u8>(code)
    const c0_f32x4 = f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(c_i16x8))
    const c1_f32x4 = f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(c_i16x8))
    v128.store(n, f32x4.mul(v128.load(scales + at), f32x4.sub(v128.load(zeros + at), c0_f32x4)))
    v128.store(n, f32x4.mul(v128.load(scales + at, 16), f32x4.sub(v128.load(zeros + at, 16), c1_f32x4)), 16)
    code += 8
    n += ROW
  }
  memory.fill(n, 0, <usize>((panels << 3) - inputs) * ROW)
}

/** Writes the codes of values n = −q of the alphabet: nearest(z − n / s), which is exact. */
function encode(
  n: usize, scales: usize, zeros: usize, code: usize,
  item: i32, inputs: i32, scaleBlocks: i32, scaleBlockSize: i32,
): void {
  for (let t = 0; t < inputs; t++) {
    const at = <usize>(item * scaleBlocks + t / scaleBlockSize) << 5
    storeCodes(
      code,
      f32x4.nearest(f32x4.sub(v128.load(zeros + at), f32x4.div(v128.load(n), v128.load(scales + at)))),
      f32x4.nearest(f32x4.sub(v128.load(zeros + at, 16), f32x4.div(v128.load(n, 16), v128.load(scales + at, 16)))),
    )
    code += 8
    n += ROW
  }
}

/** c = a + b, float32 columns. */
function addColumns(a: usize, b: usize, c: usize, bytes: usize): void {
  for (let k: usize = 0; k < bytes; k += 16) v128.store(c + k, f32x4.add(v128.load(a + k), v128.load(b + k)))
}

/** errors(8) = Σ_t n_t (P_t + b_t), b = r + s. */
function sumErrors(n: usize, p: usize, r: usize, s: usize, errors: usize, bytes: usize): void {
  memory.fill(errors, 0, 64)
  for (let k: usize = 0; k < bytes; k += 32) {
    const b0_f32x4 = f32x4.add(v128.load(r + k), v128.load(s + k))
    const b1_f32x4 = f32x4.add(v128.load(r + k, 16), v128.load(s + k, 16))
    addErrors(errors, f32x4.mul(v128.load(n + k), f32x4.add(v128.load(p + k), b0_f32x4)))
    addErrors(errors + 32, f32x4.mul(v128.load(n + k, 16), f32x4.add(v128.load(p + k, 16), b1_f32x4)))
  }
}

/** errors(4) float64 += e(4) float32. */
@inline
function addErrors(errors: usize, e_f32x4: v128): void {
  const high = i8x16.shuffle(e_f32x4, e_f32x4, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)
  v128.store(errors, f64x2.add(v128.load(errors), f64x2.promote_low_f32x4(e_f32x4)))
  v128.store(errors, f64x2.add(v128.load(errors, 16), f64x2.promote_low_f32x4(high)), 16)
}
