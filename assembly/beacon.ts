/**
 * Beacon (2508.20293) chooses codes without a given scale. It maximizes the cosine between Xw and Xq z over the
 * integers z = code − zero; the best scale follows from z. With H = XqᵀXq and G = XqᵀX
 *
 *     cos ∝ zᵀGw / √(zᵀHz),     scale = zᵀGw / zᵀHz
 *
 * A greedy pass chooses z_t for t = 1, 2, … as if input t were the last one of the layer. The earlier inputs give
 * a = z_<tᵀG_<t,≤t w_≤t, c = z_<tᵀH z_<t and h = H_t,<t z_<t. With R_t = G_t,≤t w_≤t, the pass takes the p with the
 * largest (a + pR_t) / √(c + 2ph + p²H_tt). Then further passes, called loops, choose each z_t again with all other
 * inputs present, like descend.ts, and keep the larger cosine. As long as all chosen z are zero, the cosine is the same
 * for all p of one sign. In that case the weight is rounded, at the scale whose alphabet just reaches the largest
 * weight.
 *
 * The paper works with a Cholesky factor of H. Written out, its formulas contain only H, so nothing is factored or
 * damped.
 *
 * Over the reals the maximum is at p* = (ah − R_t c) / (R_t h − aH_tt). On the alphabet it is next to p* or at an end,
 * so four values are tried, whatever the number of levels. They are tried in ascending order, and the first of equals
 * wins.
 *
 * Neurons are SIMD lanes. Rows are processed in blocks of 128, and sums over inputs run in blocks of 256. The
 * arithmetic is float32; a and c are summed again in float64 before every loop and for the scale. A dead input
 * (H_tt = 0) takes the code nearest to w_t once the scale is known. Weights that are zero have z_t = 0 where z can be 0
 * (alphabet.ts).
 */
import { keepZeros, nearestCode, storeCodes } from './alphabet'
import { BLOCK, matrixBytes, panelAt } from './gram'
import { product } from './product'
import { ALIVE } from './substitute'
import { ROW } from './tile'

/** Panels of 8 rows in a row block: 128 rows. */
const ROWS: i32 = 16

/**
 * Largest accepted scale, in units of the given first scale. If H has a rank of one or two, every Xq z is parallel to Xw,
 * or nearly so. Rounding errors then decide between them, and Xq z can be so short that the scale becomes huge. Such a
 * result is discarded. For layers of higher rank a scale of twice the first is already rare.
 */
const WIDEST: f32 = 8

/**
 * Chooses codes and scale of 8 neurons. Items: (group, neuron panel).
 * @param h full matrix of gram.ts
 * @param gt the same of Gᵀ
 * @param weights [group][neuron panel][8·panels][8]
 * @param r same shape, tril(G)·W
 * @param s same shape, triu(G, 1)·W
 * @param scales [group][neuron panel][8] the first scales, max|w| / largest z
 * @param codes [group][neuron panel][8·panels][8] bytes
 * @param found [group][neuron panel][8] float32, the scales of the result, written
 * @param scratch [worker][2·8·panels + 288][8] float32
 * @param zero zero point of the alphabet: z = code − zero
 * @param loops passes after the greedy one; fewer are made if one changes nothing
 */
export function beacon(
  h: usize, gt: usize, weights: usize, r: usize, s: usize, scales: usize, codes: usize, found: usize, scratch: usize,
  inputs: i32, panels: i32, neuronPanels: i32, top: f32, zero: f32, loops: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  const z = scratch + <usize>worker * ((columnBytes << 1) + ((<usize>(2 * ROWS + 4)) << 8))
  const y = z + columnBytes // Hz
  const change = y + columnBytes // changes of z in 128 rows; in the greedy pass h of 128 rows, then x of 128 rows
  const sums = change + ((<usize>(2 * ROWS)) << 8) // a(8), c(8) float32, then 8 rows of y
  for (let item = begin; item < end; item++) {
    const group = item / neuronPanels
    const matrix = h + <usize>group * matrixBytes(panels, 0)
    const transposed = gt + <usize>group * matrixBytes(panels, 0)
    const at = <usize>item * columnBytes
    greedy(matrix, transposed, weights + at, r + at, scales + (<usize>item << 5), z, change, sums, inputs, panels, top, zero)
    memory.fill(y, 0, columnBytes)
    for (let k = 0; k < panels; k += BLOCK >> 3) {
      for (let i = 0; i < panels; i++) product(matrix, panels, 0, i, k, min(panels, k + (BLOCK >> 3)), z, y + (<usize>i << 8))
    }
    for (let loop = 0; loop < loops; loop++) {
      sumTotals(z, y, r + at, s + at, sums, columnBytes)
      let moved = false
      for (let b = 0; b < panels; b += ROWS) {
        const high = min(panels, b + ROWS)
        if (!improveRows(matrix, weights + at, r + at, s + at, z, y, change, sums, inputs, panels, top, zero, b, high)) continue
        moved = true
        const shifted = change - (<usize>b << 8)
        for (let i = 0; i < panels; i++) product(matrix, panels, 0, i, b, high, shifted, y + (<usize>i << 8))
      }
      if (!moved) break
    }
    const lanes = <usize>item << 5
    finish(matrix, weights + at, r + at, s + at, scales + lanes, z, y, codes + (at >> 2), found + lanes, inputs, panels, top, zero)
  }
}

/** The greedy pass: writes z of one panel of neurons. x is z_<tᵀG_<t,t, summed from the rows of Gᵀ. */
function greedy(
  matrix: usize, transposed: usize, w: usize, r: usize, scale: usize, z: usize, work: usize, sums: usize,
  inputs: i32, panels: i32, top: f32, zero: f32,
): void {
  const x = work + ((<usize>ROWS) << 8)
  memory.fill(sums, 0, 64)
  for (let b = 0; b < panels; b += ROWS) {
    const high = min(panels, b + ROWS)
    memory.fill(work, 0, (<usize>(2 * ROWS)) << 8)
    for (let k = 0; k < b; k += BLOCK >> 3) {
      const stop = min(b, k + (BLOCK >> 3))
      for (let i = b; i < high; i++) {
        product(matrix, panels, 0, i, k, stop, z, work + (<usize>(i - b) << 8))
        product(transposed, panels, 0, i, k, stop, z, x + (<usize>(i - b) << 8))
      }
    }
    for (let i = b; i < high; i++) {
      const row8 = <usize>(i - b) << 8
      if (i > b) {
        product(matrix, panels, 0, i, b, i, z, work + row8)
        product(transposed, panels, 0, i, b, i, z, x + row8)
      }
      const block = panelAt(i, panels, 0) + (<usize>i << 8)
      for (let t = 0; t < 8; t++) {
        const row = (i << 3) + t
        const here = z + (<usize>row << 5)
        const norm = load<f32>(matrix + block + <usize>t * ROW + (<usize>t << 2))
        for (let half: usize = 0; half < 32; half += 16) {
          let to_f32x4 = f32x4.splat(0)
          if (row < inputs && norm >= ALIVE) {
            let h_f32x4 = v128.load(work + row8 + <usize>t * ROW + half)
            let x_f32x4 = v128.load(x + row8 + <usize>t * ROW + half)
            for (let u = 0; u < t; u++) {
              const z_f32x4 = v128.load(z + (<usize>((i << 3) + u) << 5) + half)
              const offset = block + <usize>u * ROW + (<usize>t << 2)
              h_f32x4 = f32x4.add(h_f32x4, f32x4.mul(v128.load_splat<f32>(matrix + offset), z_f32x4))
              x_f32x4 = f32x4.add(x_f32x4, f32x4.mul(v128.load_splat<f32>(transposed + offset), z_f32x4))
            }
            const r_f32x4 = v128.load(r + (<usize>row << 5) + half)
            const w_f32x4 = v128.load(w + (<usize>row << 5) + half)
            const a_f32x4 = f32x4.add(v128.load(sums + half), f32x4.mul(w_f32x4, x_f32x4))
            const c_f32x4 = v128.load(sums + 32 + half)
            const n_f32x4 = f32x4.splat(norm)
            const zero_f32x4 = f32x4.splat(zero)
            const alone_f32x4 = nearestCode(f32x4.div(r_f32x4, n_f32x4), v128.load(scale + half), zero_f32x4, f32x4.splat(top))
            to_f32x4 = keepZeros(
              v128.bitselect(
                best(a_f32x4, r_f32x4, c_f32x4, h_f32x4, n_f32x4, f32x4.splat(NaN), top, zero),
                f32x4.sub(alone_f32x4, zero_f32x4),
                f32x4.gt(c_f32x4, f32x4.splat(0)),
              ),
              w_f32x4,
              zero_f32x4,
            )
            v128.store(sums + half, f32x4.add(a_f32x4, f32x4.mul(to_f32x4, r_f32x4)))
            v128.store(sums + 32 + half, length(c_f32x4, h_f32x4, n_f32x4, to_f32x4))
          }
          v128.store(here + half, to_f32x4)
        }
      }
    }
  }
}

/** One loop over the rows of panels [b, high). Writes the changes of z; returns whether there were any. */
function improveRows(
  matrix: usize, w: usize, r: usize, s: usize, z: usize, y: usize, change: usize, sums: usize,
  inputs: i32, panels: i32, top: f32, zero: f32, b: i32, high: i32,
): bool {
  const rows8 = sums + 256
  let moved_v128 = i32x4.splat(0)
  for (let i = b; i < high; i++) {
    memory.copy(rows8, y + (<usize>i << 8), 256)
    if (i > b) product(matrix, panels, 0, i, b, i, change - (<usize>b << 8), rows8)
    const block = matrix + panelAt(i, panels, 0) + (<usize>i << 8)
    const here = change + (<usize>(i - b) << 8)
    for (let t = 0; t < 8; t++) {
      const row = <usize>((i << 3) + t) << 5
      const norm = load<f32>(block + <usize>t * ROW + (<usize>t << 2))
      for (let half: usize = 0; half < 32; half += 16) {
        let d_f32x4 = f32x4.splat(0)
        if ((i << 3) + t < inputs && norm >= ALIVE) {
          let y_f32x4 = v128.load(rows8 + <usize>t * ROW + half)
          for (let u = 0; u < t; u++) {
            const h_f32x4 = v128.load_splat<f32>(block + <usize>u * ROW + (<usize>t << 2))
            y_f32x4 = f32x4.add(y_f32x4, f32x4.mul(h_f32x4, v128.load(here + <usize>u * ROW + half)))
          }
          const z_f32x4 = v128.load(z + row + half)
          const n_f32x4 = f32x4.splat(norm)
          const b_f32x4 = f32x4.add(v128.load(r + row + half), v128.load(s + row + half))
          const a_f32x4 = f32x4.sub(v128.load(sums + half), f32x4.mul(z_f32x4, b_f32x4))
          const h_f32x4 = f32x4.sub(y_f32x4, f32x4.mul(n_f32x4, z_f32x4))
          const c_f32x4 = length(v128.load(sums + 32 + half), y_f32x4, n_f32x4, f32x4.neg(z_f32x4))
          const to_f32x4 = keepZeros(
            best(a_f32x4, b_f32x4, c_f32x4, h_f32x4, n_f32x4, z_f32x4, top, zero),
            v128.load(w + row + half),
            f32x4.splat(zero),
          )
          d_f32x4 = f32x4.sub(to_f32x4, z_f32x4)
          moved_v128 = v128.or(moved_v128, f32x4.ne(d_f32x4, f32x4.splat(0)))
          v128.store(z + row + half, to_f32x4)
          v128.store(sums + half, f32x4.add(v128.load(sums + half), f32x4.mul(d_f32x4, b_f32x4)))
          v128.store(sums + 32 + half, length(v128.load(sums + 32 + half), y_f32x4, n_f32x4, d_f32x4))
        }
        v128.store(here + <usize>t * ROW + half, d_f32x4)
      }
    }
  }
  return v128.any_true(moved_v128)
}

/** c + 2ph + p²n: the squared length after p times an input is added. */
@inline
function length(c_f32x4: v128, h_f32x4: v128, n_f32x4: v128, p_f32x4: v128): v128 {
  return f32x4.add(c_f32x4, f32x4.mul(p_f32x4, f32x4.add(f32x4.add(h_f32x4, h_f32x4), f32x4.mul(p_f32x4, n_f32x4))))
}

/** The p with the largest (a + pr) / √(c + 2ph + p²n); `held` if no score is larger than its own. */
@inline
function best(
  a_f32x4: v128, r_f32x4: v128, c_f32x4: v128, h_f32x4: v128, n_f32x4: v128, held_f32x4: v128, top: f32, zero: f32,
): v128 {
  const zero_f32x4 = f32x4.splat(zero)
  const top_f32x4 = f32x4.splat(top)
  // Products of two sums would overflow long before the sums do. So all sums are divided by 2^⌊log₂ n⌋, which is exact.
  const unit_f32x4 = v128.and(n_f32x4, i32x4.splat(0x7f800000))
  const c1_f32x4 = f32x4.div(c_f32x4, unit_f32x4), h1_f32x4 = f32x4.div(h_f32x4, unit_f32x4)
  const n1_f32x4 = f32x4.div(n_f32x4, unit_f32x4)
  const above = f32x4.sub(f32x4.mul(a_f32x4, h1_f32x4), f32x4.mul(r_f32x4, c1_f32x4))
  const below = f32x4.sub(f32x4.mul(r_f32x4, h1_f32x4), f32x4.mul(a_f32x4, n1_f32x4))
  // If there is no maximum (0 / 0), pmax and pmin replace the NaN by an end of the alphabet.
  const middle_f32x4 = f32x4.floor(f32x4.add(f32x4.div(above, below), zero_f32x4))
  const low_f32x4 = f32x4.pmin(top_f32x4, f32x4.pmax(f32x4.splat(0), middle_f32x4))
  const high_f32x4 = f32x4.pmin(top_f32x4, f32x4.add(low_f32x4, f32x4.splat(1)))
  let best_f32x4 = held_f32x4
  let most_f32x4 = score(a_f32x4, r_f32x4, c_f32x4, h_f32x4, n_f32x4, held_f32x4)
  // In the greedy pass `held` is NaN, whose score must be lower than every other.
  most_f32x4 = v128.bitselect(most_f32x4, f32x4.splat(-Infinity), f32x4.eq(most_f32x4, most_f32x4))
  let p_f32x4 = f32x4.neg(zero_f32x4)
  for (let tried = 0; tried < 4; tried++) {
    if (tried == 1) p_f32x4 = f32x4.sub(low_f32x4, zero_f32x4)
    else if (tried == 2) p_f32x4 = f32x4.sub(high_f32x4, zero_f32x4)
    else if (tried == 3) p_f32x4 = f32x4.sub(top_f32x4, zero_f32x4)
    const score_f32x4 = score(a_f32x4, r_f32x4, c_f32x4, h_f32x4, n_f32x4, p_f32x4)
    const larger = f32x4.gt(score_f32x4, most_f32x4)
    best_f32x4 = v128.bitselect(p_f32x4, best_f32x4, larger)
    most_f32x4 = v128.bitselect(score_f32x4, most_f32x4, larger)
  }
  return best_f32x4
}

/** (a + pr) / √(c + 2ph + p²n), or 0 where the length is 0. */
@inline
function score(a_f32x4: v128, r_f32x4: v128, c_f32x4: v128, h_f32x4: v128, n_f32x4: v128, p_f32x4: v128): v128 {
  const length_f32x4 = length(c_f32x4, h_f32x4, n_f32x4, p_f32x4)
  const score_f32x4 = f32x4.div(f32x4.add(a_f32x4, f32x4.mul(p_f32x4, r_f32x4)), f32x4.sqrt(length_f32x4))
  return v128.andnot(score_f32x4, f32x4.le(length_f32x4, f32x4.splat(0)))
}

/** Writes zᵀ(r + s) and zᵀy to `sums`, summed in float64. */
function sumTotals(z: usize, y: usize, r: usize, s: usize, sums: usize, bytes: usize): void {
  for (let k: usize = 0; k < 32; k += 4) {
    let a: f64 = 0, c: f64 = 0
    for (let at = k; at < bytes; at += 32) {
      const v = <f64>load<f32>(z + at)
      a += v * (<f64>load<f32>(r + at) + <f64>load<f32>(s + at))
      c += v * <f64>load<f32>(y + at)
    }
    store<f32>(sums + k, <f32>a)
    store<f32>(sums + 32 + k, <f32>c)
  }
}

/**
 * Writes scales and codes. If a scale is negative, z is negated and the scale becomes positive. Dead inputs are rounded
 * at the found scale. Neurons whose scale is not accepted (see WIDEST) are rounded at the first scale, `start`.
 */
function finish(
  matrix: usize, w: usize, r: usize, s: usize, start: usize, z: usize, y: usize, codes: usize, found: usize,
  inputs: i32, panels: i32, top: f32, zero: f32,
): void {
  const bytes = <usize>panels << 8
  for (let k: usize = 0; k < 32; k += 4) {
    let a: f64 = 0, c: f64 = 0
    for (let at = k; at < bytes; at += 32) {
      const v = <f64>load<f32>(z + at)
      a += v * (<f64>load<f32>(r + at) + <f64>load<f32>(s + at))
      c += v * <f64>load<f32>(y + at)
    }
    let scale = <f32>(a / c)
    const first = load<f32>(start + k)
    if (!(c > 0 && scale != 0 && abs(scale) <= WIDEST * first)) {
      scale = first
      for (let at = k; at < bytes; at += 32) {
        store<f32>(z + at, min(top, max(0, nearest(load<f32>(w + at) / first + zero))) - zero)
      }
    }
    store<f32>(found + k, scale)
  }
  const zero_f32x4 = f32x4.splat(zero), top_f32x4 = f32x4.splat(top)
  for (let t = 0; t < inputs; t++) {
    const at = <usize>t << 5
    const i = t >> 3
    const norm = load<f32>(matrix + panelAt(i, panels, 0) + (<usize>t << 5) + (<usize>(t & 7) << 2))
    let c0_f32x4: v128, c1_f32x4: v128
    const s0_f32x4 = v128.load(found), s1_f32x4 = v128.load(found, 16)
    if (norm >= ALIVE) {
      c0_f32x4 = f32x4.add(withSignOf(v128.load(z + at), s0_f32x4), zero_f32x4)
      c1_f32x4 = f32x4.add(withSignOf(v128.load(z + at, 16), s1_f32x4), zero_f32x4)
    } else {
      c0_f32x4 = nearestCode(v128.load(w + at), f32x4.abs(s0_f32x4), zero_f32x4, top_f32x4)
      c1_f32x4 = nearestCode(v128.load(w + at, 16), f32x4.abs(s1_f32x4), zero_f32x4, top_f32x4)
    }
    storeCodes(codes + (<usize>t << 3), c0_f32x4, c1_f32x4)
  }
  v128.store(found, f32x4.abs(v128.load(found)))
  v128.store(found, f32x4.abs(v128.load(found, 16)), 16)
}

/** −z where the scale is negative, else z. The alphabet is symmetric, so −z is in it. */
@inline
function withSignOf(z_f32x4: v128, s_f32x4: v128): v128 {
  return v128.xor(z_f32x4, v128.and(s_f32x4, i32x4.splat(0x80000000)))
}
