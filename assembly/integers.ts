/**
 * Samples as integers. Where the inputs of a layer are quantized, Xq = s·(c − z) with codes c and a zero point z in 0..255,
 * so Xq / s is a matrix of integers in −255..255 and H = s²·(Xq / s)ᵀ(Xq / s) is a sum of integers. Two samples side by
 * side in i16 take the room of one float32, and one i32x4.dot_i16x8_s multiplies and adds eight where f32x4.mul and
 * f32x4.add do four (gram.ts).
 *
 * Numerics: exact. A sample is the float32 nearest to s·k; times the float32 nearest to 1/s it is within 255·3·2⁻²⁴ of the
 * integer k.
 */
import { BLOCK } from './gram'
import { PANEL, ROW } from './tile'

/** Added to a float32 below 2²², it leaves the nearest integer in the low bits, negative ones as two's complement. */
const ROUNDING: f32 = 12582912 // 1.5·2²³

/**
 * Panels of float32 samples to panels of pairs: [block][group][panel][256 pairs][8 inputs][2 samples], i16, with as many
 * bytes a panel and 512 samples a block. The partner of an odd last sample is zero.
 * Items: (block of 512, group, panel).
 * @param from panels [block of 256][group][panel][256][8]
 * @param perBlock panels of all groups
 * @param factor 1/s
 */
export function pairRows(
  from: usize, to: usize, rows: i32, perBlock: i32, factor: f32, begin: i32, end: i32,
): void {
  for (let item = begin; item < end; item++) {
    const block = item / perBlock
    let source = from + (<usize>(block * perBlock + item)) * PANEL
    let target = to + <usize>item * PANEL
    for (let left = min(2 * BLOCK, rows - 2 * BLOCK * block); left > 0; left -= BLOCK) {
      const last = source + <usize>(min(BLOCK, left) - 1) * ROW
      let row = source
      for (; row < last; row += 2 * ROW) {
        v128.store(target, pair(integers(row, factor), integers(row + ROW, factor)))
        v128.store(target, pair(integers(row + 16, factor), integers(row + ROW + 16, factor)), 16)
        target += ROW
      }
      if (row == last) {
        v128.store(target, pair(integers(row, factor), i32x4.splat(0)))
        v128.store(target, pair(integers(row + 16, factor), i32x4.splat(0)), 16)
      }
      source += <usize>perBlock * PANEL
    }
  }
}

/** Four samples as integers in the lower halves of the lanes. */
@inline
function integers(at: usize, factor: f32): v128 {
  return f32x4.add(f32x4.mul(v128.load(at), f32x4.splat(factor)), f32x4.splat(ROUNDING))
}

/** The lower halves of the lanes, those of `odd` moved to the upper halves. */
@inline
function pair(even: v128, odd: v128): v128 {
  return v128.shuffle<i16>(even, i32x4.shl(odd, 16), 0, 9, 2, 11, 4, 13, 6, 15)
}
