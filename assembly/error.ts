/**
 * The exact output error on given samples, computed from the samples themselves: Y = XW and E = XW − XqQ, reduced to
 * sums of squares per neuron. E is the final residual u_N of the recursion of 2010.15979. 2mNK multiply-adds: a tile of
 * Y is computed, then −XqQ is added to it. A separate kernel, so that choosing codes does not pay for it.
 *
 * Numerics: an element of Y or E is a float32 sum over inputs ascending, one rounding a term. Squares are summed in
 * float64; the caller adds the sums of the sample blocks in order. `rowErrors` makes every row count alike instead: a
 * row of E is divided by the norm of its row of Y.
 */
import { BLOCK } from './gram'
import { multiplyRows, PANEL, ROW } from './tile'

/**
 * Adds the sums of squares of Y and E. Items: (sample block, group, run of `share` neuron panels).
 * @param x panels [sample block][group][panels][256][8]
 * @param xq same shape
 * @param w [group][neuron panel][8·panels][8] weights
 * @param n same shape, −Q
 * @param out [sample block][group][neuron panel][2][8] float64: Σ Y², Σ E²; added to
 * @param scratch [worker][4][8] float32
 */
export function outputError(
  x: usize, xq: usize, w: usize, n: usize, out: usize, scratch: usize,
  rows: i32, panels: i32, groups: i32, neuronPanels: i32, share: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  const tile = scratch + <usize>worker * 128
  const shares = (neuronPanels + share - 1) / share
  for (let item = begin; item < end; item++) {
    const cell = item / shares // (sample block, group)
    const group = cell % groups
    const steps = min(BLOCK, rows - (cell / groups) * BLOCK)
    const panel = <usize>(cell * panels) * PANEL
    const first = (item % shares) * share
    const last = min(neuronPanels, first + share)
    for (let v = first; v < last; v++) {
      const at = <usize>(group * neuronPanels + v) * columnBytes
      const to = out + ((<usize>(cell * neuronPanels + v)) << 7)
      for (let row = 0; row < steps; row += 4) {
        const quad = panel + <usize>row * ROW
        const valid = min(4, steps - row)
        memory.fill(tile, 0, 128)
        multiplyRows(x + quad, w + at, 0, 0, tile, panels)
        addSquares(tile, to, valid)
        multiplyRows(xq + quad, n + at, 0, 0, tile, panels)
        addSquares(tile, to + 64, valid)
      }
    }
  }
}

/** Rows of an item of rowErrors: a panel of weights is read once for all of them. */
const ROWS: i32 = 32

/**
 * Adds up, over rows, ‖e‖/‖y‖ of row e of E and row y of Y, at most 1 a row. Rows with y = 0 count only if e is not 0. Items:
 * runs of 32 rows, which divide a sample block.
 * @param x panels [sample block][group][panels][256][8]
 * @param xq same shape
 * @param w [group][neuron panel][8·panels][8] weights
 * @param n same shape, −Q
 * @param out [item][2] float64: the number of rows that count, and the sum; added to
 * @param scratch [worker][4][8] float32, then [32][2] float64
 * @param neurons of a group: the lanes of the last panel beyond them are left out
 */
export function rowErrors(
  x: usize, xq: usize, w: usize, n: usize, out: usize, scratch: usize,
  rows: i32, panels: i32, groups: i32, neuronPanels: i32, neurons: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  const tile = scratch + <usize>worker * (128 + (<usize>ROWS << 4))
  const sums = tile + 128 // (32, 2): ‖y‖², ‖e‖²
  for (let item = begin; item < end; item++) {
    const first = item * ROWS
    const steps = min(ROWS, rows - first)
    const block = <usize>(first / BLOCK) * <usize>groups
    memory.fill(sums, 0, <usize>ROWS << 4)
    for (let group = 0; group < groups; group++) {
      const panel = (block + <usize>group) * <usize>panels * PANEL + <usize>(first % BLOCK) * ROW
      for (let v = 0; v < neuronPanels; v++) {
        const at = <usize>(group * neuronPanels + v) * columnBytes
        const lanes = min(8, neurons - (v << 3))
        for (let row = 0; row < steps; row += 4) {
          const quad = panel + <usize>row * ROW
          const to = sums + (<usize>row << 4)
          const valid = min(4, steps - row)
          memory.fill(tile, 0, 128)
          multiplyRows(x + quad, w + at, 0, 0, tile, panels)
          addRowSquares(tile, to, valid, lanes)
          multiplyRows(xq + quad, n + at, 0, 0, tile, panels)
          addRowSquares(tile, to + 8, valid, lanes)
        }
      }
    }
    const to = out + (<usize>item << 4)
    for (let row = 0; row < steps; row++) {
      const y = load<f64>(sums + (<usize>row << 4))
      const e = load<f64>(sums + (<usize>row << 4), 8)
      if (y == 0 && e == 0) continue
      store<f64>(to, load<f64>(to) + 1)
      store<f64>(to, load<f64>(to, 8) + min(1, Math.sqrt(e / y)), 8)
    }
  }
}

/** sums(4, 2) float64, their first column, += the squares in the first `lanes` columns of the first `rows` rows of tile(4, 8). */
function addRowSquares(tile: usize, sums: usize, rows: i32, lanes: i32): void {
  for (let r = 0; r < rows; r++) {
    let sum = load<f64>(sums + (<usize>r << 4))
    for (let k = 0; k < lanes; k++) {
      const e = <f64>load<f32>(tile + (<usize>r << 5) + (<usize>k << 2))
      sum += e * e
    }
    store<f64>(sums + (<usize>r << 4), sum)
  }
}

/** sums(8) float64 += the squares in the first `rows` rows of tile(4, 8). */
function addSquares(tile: usize, sums: usize, rows: i32): void {
  for (let r = 0; r < rows; r++) {
    for (let k: usize = 0; k < 8; k++) {
      const e = <f64>load<f32>(tile + (<usize>r << 5) + (k << 2))
      store<f64>(sums + (k << 3), load<f64>(sums + (k << 3)) + e * e)
    }
  }
}
