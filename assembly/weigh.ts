/**
 * Weights of sample rows. A sum over rows is a sum of squares, which a few loud rows decide alone. Here every row is
 * divided by the norm of what it is in the float network, over the inputs of its group: X_r / ‖X_r‖ and Xq_r / ‖X_r‖. Then
 * rows count alike, whatever their size. A row of zeros stays zero and counts nothing.
 *
 * Numerics: squares are exact in float64 and summed there, over panels in order in 8 lanes, then over the lanes. So the sum
 * depends on the row alone. The factor is rounded to float32 once, and each product once.
 */
import { BLOCK } from './gram'
import { PANEL, ROW } from './tile'

/** Rows of an item: an eighth of a block, so that one block is enough for several threads. */
const ROWS: i32 = 32

/**
 * Divides rows in place. Items: (block, group, run of 32 rows).
 * @param x panels [block][group][panel][256][8]
 * @param xq same shape; equal to x where the streams are equal
 * @param rows of all blocks
 */
export function weighRows(x: usize, xq: usize, rows: i32, panels: i32, groups: i32, begin: i32, end: i32): void {
  const runs = BLOCK / ROWS
  for (let item = begin; item < end; item++) {
    const cell = item / runs // (block, group)
    const first = (item % runs) * ROWS
    const last = min(first + ROWS, rows - (cell / groups) * BLOCK)
    const from = <usize>(cell * panels) * PANEL
    for (let row = first; row < last; row++) {
      const at = from + <usize>row * ROW
      const factor_f32x4 = f32x4.splat(factorOf(x + at, panels))
      scale(x + at, panels, factor_f32x4)
      if (xq != x) scale(xq + at, panels, factor_f32x4)
    }
  }
}

/** 1 / ‖row‖; 0 for a row of zeros, and for one so small that float32 does not hold its factor. */
function factorOf(row: usize, panels: i32): f32 {
  let a_f64x2 = f64x2.splat(0), b_f64x2 = a_f64x2, c_f64x2 = a_f64x2, d_f64x2 = a_f64x2
  const last = row + <usize>panels * PANEL
  for (let at = row; at < last; at += PANEL) {
    a_f64x2 = f64x2.add(a_f64x2, square(v128.load64_zero(at)))
    b_f64x2 = f64x2.add(b_f64x2, square(v128.load64_zero(at, 8)))
    c_f64x2 = f64x2.add(c_f64x2, square(v128.load64_zero(at, 16)))
    d_f64x2 = f64x2.add(d_f64x2, square(v128.load64_zero(at, 24)))
  }
  const sum_f64x2 = f64x2.add(f64x2.add(a_f64x2, b_f64x2), f64x2.add(c_f64x2, d_f64x2))
  const factor = <f32>(1 / sqrt(f64x2.extract_lane(sum_f64x2, 0) + f64x2.extract_lane(sum_f64x2, 1)))
  return factor < Infinity ? factor : 0
}

/** The squares of the two lower float32. */
@inline
function square(v_f32x4: v128): v128 {
  const v_f64x2 = f64x2.promote_low_f32x4(v_f32x4)
  return f64x2.mul(v_f64x2, v_f64x2)
}

/** row *= factor */
@inline
function scale(row: usize, panels: i32, factor_f32x4: v128): void {
  const last = row + <usize>panels * PANEL
  for (let at = row; at < last; at += PANEL) {
    v128.store(at, f32x4.mul(v128.load(at), factor_f32x4))
    v128.store(at, f32x4.mul(v128.load(at, 16), factor_f32x4), 16)
  }
}
