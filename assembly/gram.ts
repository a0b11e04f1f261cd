/**
 * Gram matrices of panels: C = BᵀA for H = XqᵀXq (A = B = Xq) and G = XqᵀX (A = X, B = Xq), all groups at once.
 *
 * C is stored in panels by row i: [group][panel of 8 i][s][8 i], with the element (i, s) at byte s·32 + (i mod 8)·4 of its
 * panel. Forward substitution reads 8 rows of C at once in this layout. `triangular` stores s < 8(panel + 1) only (the lower
 * triangle, its diagonal 8 × 8 blocks whole), otherwise every s.
 *
 * Order of summation: a segment of the samples is summed from zero in blocks of 256, each block from zero and added in
 * order; segments are added in order. The order depends on nothing else: not on tiles, threads or batches. C holds the sum
 * of the current segment. The call that ends the segment gives the total: C is added to it while the tile is still in the
 * cache, and C becomes zero. Bound: see tile.ts.
 */
import { multiply, ROW } from './tile'

/** Samples in a block: a panel of them has 8 KB, so two panels fit into the first-level cache. */
export const BLOCK: i32 = 256

/** Byte offset of panel i in a matrix of `rows` = 8·panels inputs. */
@inline
export function panelAt(panel: i32, panels: i32, triangular: i32): usize {
  return triangular ? <usize>panel * <usize>(panel + 1) * 128 : <usize>panel * <usize>panels * 256
}

/** Bytes of one group's matrix. */
@inline
export function matrixBytes(panels: i32, triangular: i32): usize {
  return panelAt(panels, panels, triangular)
}

/**
 * C += BᵀA over `rows` samples in blocks of 256; then, if the samples end a segment, total += C and C = 0.
 * Items: (group, tile): square tiles of `edge` panels, row by row; with `lower` only those that overlap the lower triangle.
 *
 * Of integers (integers.ts) C is i32 and total += factor·C, float32. The sum of a segment of at most 33,025 samples is exact,
 * whatever its order: it stays below 33,025 · 255² < 2³¹. It is rounded to float32 once.
 * @param a panels [block][group][panel][256][8] of the columns s; of integers as pairRows writes them
 * @param b panels of the columns i, same shape
 * @param c the sum of the segment; the total itself if a segment is one block, or if there is one segment only
 * @param total same layout as c, or 0 if the segment does not end
 * @param rows samples; with 0 the call only ends the segment
 * @param panelBytes from one panel to the next
 * @param blockBytes from one sample block to the next: all panels of a block, or 8 KB if each panel holds all samples
 * @param factor 0 for float32; s² where a and b are integers k of samples s·k
 */
export function gram(
  a: usize, b: usize, c: usize, total: usize, rows: i32, panels: i32, groups: i32, panelBytes: usize,
  blockBytes: usize, triangular: i32, lower: i32, edge: i32, factor: f64, begin: i32, end: i32,
): void {
  if (factor) {
    const pairs = (rows + 1) >> 1
    sumTiles<i32>(a, b, c, total, pairs, panels, groups, panelBytes, blockBytes, triangular, lower, edge, factor, begin, end)
  } else {
    sumTiles<f32>(a, b, c, total, rows, panels, groups, panelBytes, blockBytes, triangular, lower, edge, factor, begin, end)
  }
}

/** @param rows of panels: samples, or pairs of them */
function sumTiles<T>(
  a: usize, b: usize, c: usize, total: usize, rows: i32, panels: i32, groups: i32, panelBytes: usize,
  blockBytes: usize, triangular: i32, lower: i32, edge: i32, factor: f64, begin: i32, end: i32,
): void {
  const side = (panels + edge - 1) / edge
  const perGroup = lower ? (side * (side + 1)) >> 1 : side * side
  const groupBytes = matrixBytes(panels, triangular)
  for (let item = begin; item < end; item++) {
    const group = item / perGroup
    let tile = item % perGroup
    let ti = 0
    if (lower) {
      while (tile > ti) { tile -= ti + 1; ti++ }
    } else {
      ti = tile / side
      tile = tile % side
    }
    const i0 = ti * edge, i1 = min(panels, i0 + edge)
    const s0 = tile * edge, s1 = min(panels, s0 + edge)
    const out = c + <usize>group * groupBytes
    let at = <usize>(group * panels) * panelBytes
    for (let done = 0; done < rows; done += BLOCK) {
      const steps = min(BLOCK, rows - done)
      for (let i = i0; i < i1; i++) {
        const bi = b + at + <usize>i * panelBytes
        const ci = out + panelAt(i, panels, triangular)
        const last = lower ? min(s1, i + 1) : s1
        for (let s = s0; s < last; s++) {
          const as_ = a + at + <usize>s * panelBytes
          const cs = ci + (<usize>s << 8)
          multiply<T>(as_, bi, cs, steps)
        }
      }
      at += blockBytes
    }
    if (total) {
      const offset = <usize>group * groupBytes
      for (let i = i0; i < i1; i++) {
        const at = offset + panelAt(i, panels, triangular) + (<usize>s0 << 8)
        const last = lower ? min(s1, i + 1) : s1
        if (s0 < last) {
          const bytes = <usize>(last - s0) << 8
          if (isInteger<T>()) moveIntegers(c + at, total + at, bytes, factor)
          else moveSum(c + at, total + at, bytes)
        }
      }
    }
  }
}

/** total += c and c = 0 over `bytes`, a multiple of 32. */
function moveSum(c: usize, total: usize, bytes: usize): void {
  const zero_f32x4 = f32x4.splat(0)
  for (let k: usize = 0; k < bytes; k += ROW) {
    v128.store(total + k, f32x4.add(v128.load(total + k), v128.load(c + k)))
    v128.store(total + k, f32x4.add(v128.load(total + k, 16), v128.load(c + k, 16)), 16)
    v128.store(c + k, zero_f32x4)
    v128.store(c + k, zero_f32x4, 16)
  }
}

/** total += factor · c, float32, and c = 0, i32, over `bytes`, a multiple of 16. */
function moveIntegers(c: usize, total: usize, bytes: usize, factor: f64): void {
  const factor_f64x2 = f64x2.splat(factor)
  for (let k: usize = 0; k < bytes; k += 16) {
    const sum_i32x4 = v128.load(c + k)
    const upper_i32x4 = v128.shuffle<i64>(sum_i32x4, sum_i32x4, 1, 1)
    const low_f32x4 = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.convert_low_i32x4_s(sum_i32x4), factor_f64x2))
    const high_f32x4 = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.convert_low_i32x4_s(upper_i32x4), factor_f64x2))
    v128.store(total + k, f32x4.add(v128.load(total + k), v128.shuffle<i64>(low_f32x4, high_f32x4, 0, 2)))
    v128.store(c + k, i32x4.splat(0))
  }
}

/**
 * Fills the upper triangle of a full symmetric matrix from its lower one. Items: (group, panel i).
 * Only panels s > i of row panel i are written, only panels s ≤ i are read.
 */
export function mirror(c: usize, panels: i32, begin: i32, end: i32): void {
  const groupBytes = matrixBytes(panels, 0)
  for (let item = begin; item < end; item++) {
    const base = c + <usize>(item / panels) * groupBytes
    const i = item % panels
    for (let s = i + 1; s < panels; s++) {
      const to = base + panelAt(i, panels, 0) + (<usize>s << 8)
      const from = base + panelAt(s, panels, 0) + (<usize>i << 8)
      for (let r = 0; r < 8; r++) {
        for (let k = 0; k < 8; k++) {
          store<f32>(to + (<usize>r << 5) + (<usize>k << 2), load<f32>(from + (<usize>k << 5) + (<usize>r << 2)))
        }
      }
    }
  }
}
