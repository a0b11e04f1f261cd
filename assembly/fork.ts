/**
 * The path of substitute.ts with a search for scales, for inputs in blocks with a scale each. At each block the path
 * forks: every fraction of the block's largest scale is followed through the block. The fraction that is kept leaves
 * the shortest residual u after the block's last input; later inputs do not enter that residual. With n = −q, over the
 * block's rows,
 *
 *     ‖u‖² = a term without n + Σ_t n_t (H_tt n_t + 2 p_t + 2 S_t),  S_t = Σ_{t<s≤last} G_ts w_s
 *
 * This is the error of project.ts with the inputs after the block left out. With one block it is the search for one
 * scale a neuron.
 *
 * Order of summation of p: panels before the block's first one in blocks of 256 inputs, then the panels of the block,
 * then the rows of the 8-row panel. Errors are float64. Cost a neuron: N²/2 multiply-adds for the path, and 14 times
 * the triangles inside the blocks.
 */
import { BLOCK, panelAt } from './gram'
import { product } from './product'
import { step } from './substitute'

/** Number of fractions .40, .45, … 1.00 of the largest scale: GRID of src/methods/alphabet.ts. */
const FRACTIONS: i32 = 13

/**
 * Chooses scales and codes of one panel of 8 neurons. Of equal residuals the larger fraction is kept.
 * @param h full matrix of gram.ts of Xq, of which the lower triangle is read
 * @param g the same of XqᵀX, of which all is read
 * @param w (8·panels, 8)
 * @param r tril(G)·W, same shape
 * @param scales (blocks, 8): the largest scales, overwritten by the chosen ones
 * @param zeros same shape
 * @param codes (8·panels, 8) bytes
 * @param scratch three times `scratchBytes`: −q and small arrays, then p, then S
 * @param size inputs of a block; the last block may have fewer
 * @param alive smallest H_tt whose row follows the path; other weights are rounded
 */
export function fork(
  h: usize, g: usize, w: usize, r: usize, scales: usize, zeros: usize, codes: usize,
  scratch: usize, scratchBytes: usize,
  inputs: i32, panels: i32, blocks: i32, size: i32, top: f32, alive: f32,
): void {
  const p = scratch + scratchBytes, s = p + scratchBytes
  const tile = scratch + (<usize>panels << 8) // 8 rows of p
  const errors = tile + 256 // (8) float64
  const least = errors + 64 // (8) float64
  const most = least + 64 // (8) the largest scales of the block
  const best = most + 32 // (8) the best scales so far
  for (let b = 0; b < blocks; b++) {
    const low = b * size, high = min(inputs, low + size)
    const first = low >> 3, last = (high + 7) >> 3
    for (let i = first; i < last; i++) {
      memory.copy(p + (<usize>i << 8), r + (<usize>i << 8), 256)
      products(h, panels, i, 0, first, scratch, p + (<usize>i << 8))
    }
    for (let t = low; t < high; t++) ahead(g, panels, w, s, t, high)
    for (let k: usize = 0; k < 64; k += 8) store<f64>(least + k, Infinity)
    memory.copy(most, scales, 32)
    for (let c = 0; c <= FRACTIONS; c++) {
      const chosen = c == FRACTIONS
      const percent = 40 + 5 * c
      const fraction = <f64>percent / 100
      for (let k: usize = 0; k < 32; k += 4) {
        store<f32>(scales + k, chosen ? load<f32>(best + k) : <f32>(<f64>load<f32>(most + k) * fraction))
      }
      for (let i = first; i < last; i++) {
        memory.copy(tile, p + (<usize>i << 8), 256)
        products(h, panels, i, first, i, scratch, tile)
        const to = min(high, (i << 3) + 8)
        for (let t = max(low, i << 3); t < to; t++) {
          step(
            h + panelAt(i, panels, 0) + (<usize>i << 8), t & 7, scratch + (<usize>i << 8), tile,
            w + (<usize>t << 5), s - w, scales, zeros,
            chosen ? codes + (<usize>t << 3) : 0, errors, top, alive, false, t == low,
          )
        }
      }
      if (chosen) break
      for (let k: usize = 0; k < 8; k++) {
        const error = load<f64>(errors + (k << 3))
        if (error > load<f64>(least + (k << 3))) continue
        store<f64>(least + (k << 3), error)
        store<f32>(best + (k << 2), load<f32>(scales + (k << 2)))
      }
    }
    scales += 32
    zeros += 32
  }
}

/** c(8, 8) += matrix[panel i, panels k0..k1)·b, summed in blocks of 256 inputs. */
function products(matrix: usize, panels: i32, i: i32, k0: i32, k1: i32, b: usize, c: usize): void {
  for (let k = k0; k < k1; k += BLOCK >> 3) product(matrix, panels, 0, i, k, min(k1, k + (BLOCK >> 3)), b, c)
}

/** Writes row t of S: Σ_{t<u<high} G_tu w_u. */
function ahead(g: usize, panels: i32, w: usize, s: usize, t: i32, high: i32): void {
  const column = g + panelAt(t >> 3, panels, 0) + (<usize>(t & 7) << 2)
  let sum0_f32x4 = f32x4.splat(0), sum1_f32x4 = f32x4.splat(0)
  for (let u = <usize>(t + 1) << 5; u < <usize>high << 5; u += 32) {
    const g_f32x4 = v128.load_splat<f32>(column + u)
    sum0_f32x4 = f32x4.add(sum0_f32x4, f32x4.mul(g_f32x4, v128.load(w + u)))
    sum1_f32x4 = f32x4.add(sum1_f32x4, f32x4.mul(g_f32x4, v128.load(w + u, 16)))
  }
  v128.store(s + (<usize>t << 5), sum0_f32x4)
  v128.store(s + (<usize>t << 5), sum1_f32x4, 16)
}
