/**
 * The part of the Gram form that does not depend on the codes: R = tril(G)·W and, for the output error, S = triu(G,
 * 1)·W. R_t is the correlation of input t with the output of the analog network for the inputs up to t; S_t is the part
 * of the later inputs.
 *
 *     p_t = R_t − Σ_{s<t} H_ts q_s          (substitute.ts)
 *     ‖Xw − Xq q‖² = ‖Xw‖² + Σ_t q_t (H_tt q_t − 2 p_t − 2 S_t)
 *
 * The second line follows from tr(QᵀHQ) = 2 Σ q_t (L q)_t + Σ H_tt q_t² with L = tril(H, −1) and (Lq)_t = R_t − p_t. So
 * the error needs no further product with H.
 *
 * Order of summation: inputs s ascending in blocks of 256, each summed from zero; then the diagonal 8 × 8 block.
 */
import { BLOCK, matrixBytes, panelAt } from './gram'
import { products } from './product'
import { ROW } from './tile'

/** Panels of 8 rows in one item: 64 inputs. 256 columns of their rows of G take 64 KB. */
const BAND: i32 = 8

/**
 * Computes R, and S unless s is 0, for bands of 64 inputs of one panel of 8 neurons. Items: (group, band, neuron panel).
 * @param g matrix of gram.ts
 * @param weights [group][neuron panel][8·panels][8]
 * @param r same shape, overwritten
 * @param s same shape, overwritten, or 0; S needs the full G (triangular = 0)
 */
export function project(
  g: usize, weights: usize, r: usize, s: usize, panels: i32, triangular: i32, neuronPanels: i32,
  begin: i32, end: i32,
): void {
  const bands = (panels + BAND - 1) / BAND
  const columnBytes = <usize>panels << 8 // one neuron panel of W, R or S
  while (begin < end) {
    const first = begin % neuronPanels
    const band = (begin / neuronPanels) % bands
    const group = begin / neuronPanels / bands
    const last = min(neuronPanels, first + end - begin)
    begin += last - first
    const matrix = g + <usize>group * matrixBytes(panels, triangular)
    const column = <usize>(group * neuronPanels + first) * columnBytes
    const p0 = band * BAND, p1 = min(panels, p0 + BAND)
    accumulate(matrix, weights + column, r + column, panels, triangular, p0, p1, last - first, 0)
    if (s) accumulate(matrix, weights + column, s + column, panels, triangular, p0, p1, last - first, 1)
  }
}

/** The product with one triangle (upper = 0: s ≤ t, 1: s > t) for input panels [p0, p1) and `count` neuron panels. */
function accumulate(
  matrix: usize, w: usize, out: usize, panels: i32, triangular: i32, p0: i32, p1: i32, count: i32, upper: i32,
): void {
  const columnBytes = <usize>panels << 8
  for (let v = 0; v < count; v++) {
    memory.fill(out + <usize>v * columnBytes + (<usize>p0 << 8), 0, <usize>(p1 - p0) << 8)
  }
  const from = upper ? p0 : 0
  const to = upper ? panels : p1
  for (let k = from; k < to; k += BLOCK >> 3) {
    for (let p = p0; p < p1; p++) {
      const low = upper ? max(k, p + 1) : k
      const high = min(k + (BLOCK >> 3), upper ? panels : p)
      if (low >= high) continue
      products(matrix, panels, triangular, p, low, high, w, out + (<usize>p << 8), count, columnBytes)
    }
  }
  for (let p = p0; p < p1; p++) {
    const block = matrix + panelAt(p, panels, triangular) + (<usize>p << 8)
    for (let v = 0; v < count; v++) {
      const at = <usize>v * columnBytes + (<usize>p << 8)
      diagonal(block, w + at, out + at, upper)
    }
  }
}

/** c(8, 8) += a triangle of a diagonal block times w(8, 8). Element (t, s) of the block lies at s·32 + t·4. */
export function diagonal(block: usize, w: usize, c: usize, upper: i32): void {
  let here = w
  const end = w + 8 * ROW
  do {
    let low_f32x4 = v128.load(c)
    let high_f32x4 = v128.load(c, 16)
    let at = upper ? here + ROW : w
    const to = upper ? end : here + ROW
    let column = block + (at - w)
    while (at < to) {
      const g_f32x4 = v128.load_splat<f32>(column)
      low_f32x4 = f32x4.add(low_f32x4, f32x4.mul(g_f32x4, v128.load(at)))
      high_f32x4 = f32x4.add(high_f32x4, f32x4.mul(g_f32x4, v128.load(at, 16)))
      column += ROW
      at += ROW
    }
    v128.store(c, low_f32x4)
    v128.store(c, high_f32x4, 16)
    c += ROW
    block += 4
    here += ROW
  } while (here < end)
}
