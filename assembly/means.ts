/**
 * Sums of samples by input, for bias correction: the mean difference of a layer's outputs follows from the means of its
 * inputs, mean(XW − XqQ) = mean(X)W − mean(Xq)Q, so no pass over its outputs is needed.
 *
 * Numerics: a block of 256 samples is summed in float32 from zero, blocks and segments are added in float64, in the order
 * of gram.ts: an error of at most 256·2⁻²⁴ of the mean magnitude.
 */
import { BLOCK } from './gram'
import { ROW } from './tile'

/**
 * sum += the samples of each input; then, where they end a segment, total += sum and sum = 0. Items: (group, panel).
 * @param a panels [block][group][panel][256][8]
 * @param sum [group][panel][8] float64
 * @param total same shape, or 0 where the segment goes on
 * @param panelBytes, blockBytes as in gram.ts
 */
export function sumInputs(
  a: usize, sum: usize, total: usize, rows: i32, panelBytes: usize, blockBytes: usize, begin: i32, end: i32,
): void {
  for (let item = begin; item < end; item++) {
    const out = sum + (<usize>item << 6)
    let at = a + <usize>item * panelBytes
    for (let done = 0; done < rows; done += BLOCK) {
      let low_f32x4 = f32x4.splat(0), high_f32x4 = f32x4.splat(0)
      const last = at + <usize>min(BLOCK, rows - done) * ROW
      for (let row = at; row < last; row += ROW) {
        low_f32x4 = f32x4.add(low_f32x4, v128.load(row))
        high_f32x4 = f32x4.add(high_f32x4, v128.load(row, 16))
      }
      addHalf(out, low_f32x4)
      addHalf(out + 32, high_f32x4)
      at += blockBytes
    }
    if (total) {
      const to = total + (<usize>item << 6)
      for (let k: usize = 0; k < 64; k += 16) {
        v128.store(to + k, f64x2.add(v128.load(to + k), v128.load(out + k)))
        v128.store(out + k, f64x2.splat(0))
      }
    }
  }
}

/** out(4) float64 += the four lanes. */
function addHalf(out: usize, lanes_f32x4: v128): void {
  v128.store(out, f64x2.add(v128.load(out), f64x2.promote_low_f32x4(lanes_f32x4)))
  const upper_f32x4 = i8x16.shuffle(lanes_f32x4, lanes_f32x4, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)
  v128.store(out, f64x2.add(v128.load(out, 16), f64x2.promote_low_f32x4(upper_f32x4)), 16)
}
