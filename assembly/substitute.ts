/**
 * The path itself: a forward substitution that quantizes. With p = R_t − Σ_{s<t} H_ts q_s, row after row
 *
 *     q_t = A(p / H_tt)          greedy path following (2010.15979 in Gram form), or
 *     q_t = A(w_t)               where H_tt = 0 (a dead input), and for MSQ, whose output error this kernel computes,
 *     q_t = 0                    where w_t = 0 and the alphabet includes zero (alphabet.ts).
 *
 * Neurons are independent; the 8 of a panel are SIMD lanes. Only the order of the inputs is sequential. Blocked like
 * TRSM: 256 rows at a time receive all inputs before the block through the register tile. Then each 8 rows of the block
 * receive the block's earlier rows through the tile, and the rows of the diagonal 8 × 8 block one by one. −q is stored
 * instead of q, so that every update is an addition.
 *
 * Where H = G (Xq = X) the two sums of p combine and no R is needed: p = H_tt w_t + Σ_{s<t} H_ts (w_s − q_s). Then w −
 * q is stored, and q_t = A(w_t + Σ_{s<t} H_ts (w_s − q_s) / H_tt). That is half the work of projecting and
 * substituting.
 *
 * Order of summation of p: inputs before the row block ascending in blocks of 256, then the inputs of the row block,
 * then those of the 8-row block. It depends on shapes only. The error is a float64 sum over rows, see project.ts.
 */
import { keepZeros, nearestCode, storeCodes } from './alphabet'
import { fork } from './fork'
import { BLOCK, matrixBytes, panelAt } from './gram'
import { products } from './product'
import { ROW } from './tile'

/** Panels of 8 rows in a row block: 256 rows, so that whole blocks of inputs lie before it and few tiles are short. */
const ROWS: i32 = 32

/** Smallest diagonal entry that counts as alive: below it 1/H_tt is not a finite float32. */
export const ALIVE: f32 = 1.1754943508222875e-38

/**
 * Chooses the codes of each column, and computes its output error. Items: columns = (group, candidate, neuron panel); the
 * panel varies fastest. Columns of a strip are processed together, so that each panel of H is read once for all of them.
 * @param h matrix of gram.ts of Xq
 * @param g the same of XqᵀX, full, to choose a scale for each block on the way (fork.ts; one candidate only), or 0
 * @param weights [group][neuron panel][8·panels][8]
 * @param r [group][neuron panel][8·panels][8], from project.ts, or 0 where H = G and no errors are wanted
 * @param s same shape, or 0 if no errors are wanted
 * @param scales [group][candidate][neuron panel][scale block][8]; with g the largest, overwritten by the chosen ones
 * @param zeros same shape
 * @param codes [column][8·panels][8] bytes, or 0 if only errors are wanted
 * @param errors [column][8] float64: ‖Xw − Xq q‖² − ‖Xw‖², or 0
 * @param scratch [worker][strip, at least 3][8·panels + 264][8] float32
 * @param follow 1 follows the path, 0 rounds each weight by itself
 * @param strip columns that are processed together
 */
export function substitute(
  h: usize, g: usize, weights: usize, r: usize, s: usize, scales: usize, zeros: usize, codes: usize, errors: usize,
  scratch: usize,
  inputs: i32, panels: i32, triangular: i32, neuronPanels: i32, candidates: i32,
  scaleBlocks: i32, scaleBlockSize: i32, top: f32, follow: i32, strip: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  // Scratch of one column: −q (w − q without R), then 256 rows of p. 256 bytes more make the columns fall into different
  // sets of a cache.
  const pathBytes = columnBytes + (<usize>(ROWS + 1) << 8)
  const q = scratch + <usize>worker * <usize>max(3, strip) * pathBytes
  const perGroup = candidates * neuronPanels
  const alive = follow ? ALIVE : <f32>Infinity
  const toS = s ? s - weights : 0
  const codeBytes = codes ? columnBytes >> 2 : 0
  while (begin < end) {
    const group = begin / perGroup
    const stop = min(min(end, begin + strip), (group + 1) * perGroup)
    const count = stop - begin
    const matrix = h + <usize>group * matrixBytes(panels, triangular)
    if (g) {
      const at = <usize>begin * columnBytes
      const scale = <usize>(begin * scaleBlocks) << 5
      fork(
        matrix, g + <usize>group * matrixBytes(panels, 0), weights + at, r + at, scales + scale, zeros + scale,
        codes + (at >> 2), q, pathBytes, inputs, panels, scaleBlocks, scaleBlockSize, top, alive,
      )
      begin++
      continue
    }
    for (let b = 0; b < panels; b += ROWS) {
      const high = min(panels, b + ROWS)
      for (let v = 0; v < count; v++) {
        const column = group * neuronPanels + (begin + v) % neuronPanels
        const p = q + <usize>v * pathBytes + columnBytes
        const bytes = <usize>(high - b) << 8
        if (r) memory.copy(p, r + <usize>column * columnBytes + (<usize>b << 8), bytes)
        else memory.fill(p, 0, bytes)
      }
      for (let k = 0; k < b; k += BLOCK >> 3) {
        update(matrix, q, panels, triangular, pathBytes, columnBytes, k, min(b, k + (BLOCK >> 3)), b, high, b, count)
      }
      for (let p = b; p < high; p++) {
        if (p > b) update(matrix, q, panels, triangular, pathBytes, columnBytes, b, p, p, p + 1, b, count)
        const block = matrix + panelAt(p, panels, triangular) + (<usize>p << 8)
        const rows = min(8, inputs - (p << 3))
        for (let t = 0; t < 8; t++) {
          const row = (p << 3) + t
          const at = <usize>row << 5
          let path = q
          if (t >= rows) { // the padding has neither weights nor codes
            for (let v = 0; v < count; v++, path += pathBytes) {
              v128.store(path + at, f32x4.splat(0))
              v128.store(path + at, f32x4.splat(0), 16)
            }
            continue
          }
          let eight = path + (<usize>p << 8), partial = path + columnBytes + (<usize>(p - b) << 8)
          let column = <usize>(group * neuronPanels + begin % neuronPanels) * columnBytes + at // of W and S
          const beyond = <usize>((group + 1) * neuronPanels) * columnBytes
          let scale = <usize>(begin * scaleBlocks + row / scaleBlockSize) << 5
          let code = codes ? codes + <usize>begin * codeBytes + (at >> 2) : 0
          let error = errors + (<usize>begin << 6)
          let v = count
          do {
            step(
              block, t, eight, partial, weights + column, toS, scales + scale, zeros + scale, code, error,
              top, alive, r == 0, row == 0,
            )
            eight += pathBytes
            partial += pathBytes
            column += columnBytes
            if (column >= beyond) column -= <usize>neuronPanels * columnBytes // the next candidate
            scale += <usize>scaleBlocks << 5
            code += codeBytes
            error += 64
          } while (--v)
        }
      }
    }
    begin = stop
  }
}

/** p(rows of panels [p0, p1)) += H[·, panels k0..k1)·(−q) for `count` columns; p starts with the rows of panel `base`. */
function update(
  matrix: usize, q: usize, panels: i32, triangular: i32, pathBytes: usize, columnBytes: usize,
  k0: i32, k1: i32, p0: i32, p1: i32, base: i32, count: i32,
): void {
  for (let p = p0; p < p1; p++) {
    products(matrix, panels, triangular, p, k0, k1, q, q + columnBytes + (<usize>(p - base) << 8), count, pathBytes)
  }
}

/**
 * Row t of a diagonal 8 × 8 block for 8 neurons: completes p, chooses the codes, stores −q or w − q.
 * @param block diagonal block of H; element (t, s) lies at s·32 + t·4
 * @param q −q (w − q where `same`) of the 8 rows, (8, 8)
 * @param p partial p of the 8 rows, (8, 8)
 * @param toS bytes from the row of W to that of S, or 0 if no errors are wanted
 * @param alive smallest H_tt whose row follows the path; other weights are rounded
 * @param same whether H = G; then p contains no R
 * @param first whether this row starts the sum of the errors
 */
@inline
export function step(
  block: usize, t: i32, q: usize, p: usize, w: usize, toS: usize, scale: usize, zero: usize, codes: usize,
  errors: usize, top: f32, alive: f32, same: bool, first: bool,
): void {
  const at = <usize>t * ROW
  let p0_f32x4 = v128.load(p + at)
  let p1_f32x4 = v128.load(p + at, 16)
  let column = block + (<usize>t << 2)
  let earlier = q
  const here = q + at
  while (earlier < here) {
    const h_f32x4 = v128.load_splat<f32>(column)
    p0_f32x4 = f32x4.add(p0_f32x4, f32x4.mul(h_f32x4, v128.load(earlier)))
    p1_f32x4 = f32x4.add(p1_f32x4, f32x4.mul(h_f32x4, v128.load(earlier, 16)))
    column += ROW
    earlier += ROW
  }
  const norm = load<f32>(column)
  const norm_f32x4 = f32x4.splat(norm)
  const w0_f32x4 = v128.load(w), w1_f32x4 = v128.load(w, 16)
  let v0_f32x4 = f32x4.div(p0_f32x4, norm_f32x4)
  let v1_f32x4 = f32x4.div(p1_f32x4, norm_f32x4)
  if (!(norm >= alive)) {
    v0_f32x4 = w0_f32x4
    v1_f32x4 = w1_f32x4
  } else if (same) {
    v0_f32x4 = f32x4.add(v0_f32x4, w0_f32x4)
    v1_f32x4 = f32x4.add(v1_f32x4, w1_f32x4)
  }
  const top_f32x4 = f32x4.splat(top)
  const s0_f32x4 = v128.load(scale), s1_f32x4 = v128.load(scale, 16)
  const z0_f32x4 = v128.load(zero), z1_f32x4 = v128.load(zero, 16)
  const c0_f32x4 = nearestCode(keepZeros(v0_f32x4, w0_f32x4, z0_f32x4), s0_f32x4, z0_f32x4, top_f32x4)
  const c1_f32x4 = nearestCode(keepZeros(v1_f32x4, w1_f32x4, z1_f32x4), s1_f32x4, z1_f32x4, top_f32x4)
  let n0_f32x4 = f32x4.mul(s0_f32x4, f32x4.sub(z0_f32x4, c0_f32x4)) // −q
  let n1_f32x4 = f32x4.mul(s1_f32x4, f32x4.sub(z1_f32x4, c1_f32x4))
  if (same) {
    n0_f32x4 = f32x4.add(n0_f32x4, w0_f32x4)
    n1_f32x4 = f32x4.add(n1_f32x4, w1_f32x4)
  }
  v128.store(here, n0_f32x4)
  v128.store(here, n1_f32x4, 16)
  if (codes) storeCodes(codes, c0_f32x4, c1_f32x4)
  if (toS) {
    // q (H_tt q − 2 p − 2 S) = n (H_tt n + 2 (p + S)) with n = −q
    const two_f32x4 = f32x4.splat(2)
    const e0_f32x4 = f32x4.mul(n0_f32x4, f32x4.add(f32x4.mul(norm_f32x4, n0_f32x4), f32x4.mul(two_f32x4, f32x4.add(p0_f32x4, v128.load(w + toS)))))
    const e1_f32x4 = f32x4.mul(n1_f32x4, f32x4.add(f32x4.mul(norm_f32x4, n1_f32x4), f32x4.mul(two_f32x4, f32x4.add(p1_f32x4, v128.load(w + toS, 16)))))
    addErrors(errors, e0_f32x4, first)
    addErrors(errors + 32, e1_f32x4, first)
  }
}

/** errors(4) float64 += e(4) float32; the first row overwrites them. */
@inline
function addErrors(errors: usize, e_f32x4: v128, first: bool): void {
  let low_f64x2 = f64x2.promote_low_f32x4(e_f32x4)
  let high_f64x2 = f64x2.promote_low_f32x4(i8x16.shuffle(e_f32x4, e_f32x4, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15))
  if (!first) {
    low_f64x2 = f64x2.add(low_f64x2, v128.load(errors))
    high_f64x2 = f64x2.add(high_f64x2, v128.load(errors, 16))
  }
  v128.store(errors, low_f64x2)
  v128.store(errors, high_f64x2, 16)
}
