/**
 * The register tiles: the two inner loops in which nearly all time is spent.
 *
 * Every large operand lies in panels: 8 columns wide, rows of 8 floats (32 bytes) one after another. `multiply`
 * computes the two 4 × 8 halves of AᵀB, summed over the common rows of two panels. `multiplyRows` computes 4 rows of
 * A·B, where A lies in panels.
 *
 * Numerics: float32. `multiply` sums a tile from zero over its k steps in order and then adds it to memory once, so a
 * long sum is a sum of short ones (k ≤ 256): error about k·2⁻²⁴ within a short sum, (m/256)·2⁻²⁴ across them.
 * `multiplyRows` starts with the tile in memory, one rounding a term. The second module, for `fastMath`, is compiled
 * from the same sources with relaxed SIMD. There multiply and add are one instruction with one rounding or two with
 * two, depending on the machine, so the last bits differ between machines.
 *
 * Why 4 × 8, and no unrolling by hand: V8 has 15 vector registers and keeps all loads of a loop body alive at once. 8
 * accumulators + 4 splats + 2 columns + 1 product are exactly 15. Larger tiles, and bodies unrolled by hand, spill
 * (docs/PERFORMANCE.md).
 *
 * Why the loops have this form: every instruction beside the 22 of a step costs time, because a core takes in about six
 * a cycle, and their order costs time too.
 * - V8 itself unrolls an inner loop of this size, block by block and without spills, but only inside another loop. So
 *   one function computes both halves of a tile.
 * - V8 omits the extension of an address to 64 bits if the address comes from an addition, but not if it comes from the
 *   loop. So pointers advance before they are used.
 * - V8 reuses the addresses of splats that the step before the loop has computed. So the first step stands before the
 *   loop.
 * - TurboFan places arithmetic as late as it can, and last the arithmetic of the sums that are stored first. So rows
 *   descend, which puts each load beside its products: six loads in a row keep a Zen 4 core from taking in anything
 *   else. The second column comes first: a Zen 5 core then takes 4.3 cycles a step instead of 4.5.
 */

/** a·b: of float32, or of i16 with the products of each pair of neighbours added to one i32. */
@inline
function product<T>(a: v128, b: v128): v128 {
  return isInteger<T>() ? i32x4.dot_i16x8_s(a, b) : f32x4.mul(a, b)
}

/** a·b + c, fused only for float32 in the module with relaxed SIMD. */
@inline
function madd<T>(a: v128, b: v128, c: v128): v128 {
  return !isInteger<T>() && ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : v128.add<T>(c, product<T>(a, b))
}

/** Bytes of one panel row: 8 float32. */
export const ROW: usize = 32

/**
 * Bytes from one panel of 256 samples to the next, wherever panels of samples are written […][256][8]. This is a cache
 * line more than a panel takes. Without it the same rows of all panels would fall into one set of the first-level cache,
 * which holds 8 to 12 lines.
 */
export const PANEL: usize = 256 * ROW + 64

/**
 * c(8, 8) += Σ_k a[k, 0..8)ᵀ · b[k, 0..8).
 *
 * T = f32: an element is a float32. T = i32: an element is two i16, those of two samples, c is i32, and the sum is exact as
 * long as it fits: the same 22 instructions a step, for twice as many samples (integers.ts).
 * @param a panel (steps, 8)
 * @param b panel (steps, 8)
 * @param c tile (8, 8) of T, rows 32 bytes apart
 * @param steps at least 1
 */
export function multiply<T>(a: usize, b: usize, c: usize, steps: i32): void {
  for (let half = 0; half < 2; half++) {
    let pa = a, pb = b
    const b0 = v128.load(b), b1 = v128.load(b, 16)
    const a0 = v128.load_splat<T>(a), a1 = v128.load_splat<T>(a, 4)
    const a2 = v128.load_splat<T>(a, 8), a3 = v128.load_splat<T>(a, 12)
    let c00 = product<T>(a0, b0), c01 = product<T>(a0, b1)
    let c10 = product<T>(a1, b0), c11 = product<T>(a1, b1)
    let c20 = product<T>(a2, b0), c21 = product<T>(a2, b1)
    let c30 = product<T>(a3, b0), c31 = product<T>(a3, b1)
    const last = a + (<usize>(steps - 1)) * ROW
    while (pa < last) {
      pa += ROW
      pb += ROW
      const a3 = v128.load_splat<T>(pa, 12)
      const b0 = v128.load(pb)
      const b1 = v128.load(pb, 16)
      c31 = madd<T>(a3, b1, c31)
      c30 = madd<T>(a3, b0, c30)
      const a2 = v128.load_splat<T>(pa, 8)
      c21 = madd<T>(a2, b1, c21)
      c20 = madd<T>(a2, b0, c20)
      const a1 = v128.load_splat<T>(pa, 4)
      c11 = madd<T>(a1, b1, c11)
      c10 = madd<T>(a1, b0, c10)
      const a0 = v128.load_splat<T>(pa)
      c01 = madd<T>(a0, b1, c01)
      c00 = madd<T>(a0, b0, c00)
    }
    v128.store(c, v128.add<T>(v128.load(c), c00))
    v128.store(c, v128.add<T>(v128.load(c, 16), c01), 16)
    v128.store(c, v128.add<T>(v128.load(c, 32), c10), 32)
    v128.store(c, v128.add<T>(v128.load(c, 48), c11), 48)
    v128.store(c, v128.add<T>(v128.load(c, 64), c20), 64)
    v128.store(c, v128.add<T>(v128.load(c, 80), c21), 80)
    v128.store(c, v128.add<T>(v128.load(c, 96), c30), 96)
    v128.store(c, v128.add<T>(v128.load(c, 112), c31), 112)
    a += 16
    c += 128
  }
}

/**
 * c(4, 8) += Σ_p Σ_{t<8} a_p[0..4), t] · b[8p + t, 0..8), and the same for a second pair (a2, b2): 4 rows of a matrix in
 * panels times a panel of neurons. c is read and written once for both pairs.
 * @param a 4 rows of panel 0; the same rows of panel p are p·PANEL further
 * @param b (8·panels, 8)
 * @param a2 like a, or 0 if there is no second pair
 * @param b2 like b
 * @param c tile (4, 8), rows 32 bytes apart
 * @param panels at least 1
 */
export function multiplyRows(a: usize, b: usize, a2: usize, b2: usize, c: usize, panels: i32): void {
  let c00_f32x4 = v128.load(c), c01_f32x4 = v128.load(c, 16)
  let c10_f32x4 = v128.load(c, 32), c11_f32x4 = v128.load(c, 48)
  let c20_f32x4 = v128.load(c, 64), c21_f32x4 = v128.load(c, 80)
  let c30_f32x4 = v128.load(c, 96), c31_f32x4 = v128.load(c, 112)
  do {
    a -= 4
    b -= ROW
    const end = b + ((<usize>panels) << 8)
    do {
      const last = a + ROW
      do {
        a += 4
        b += ROW
        const a3_f32x4 = v128.load_splat<f32>(a, 96)
        const b0_f32x4 = v128.load(b)
        const b1_f32x4 = v128.load(b, 16)
        c31_f32x4 = madd<f32>(a3_f32x4, b1_f32x4, c31_f32x4)
        c30_f32x4 = madd<f32>(a3_f32x4, b0_f32x4, c30_f32x4)
        const a2_f32x4 = v128.load_splat<f32>(a, 64)
        c21_f32x4 = madd<f32>(a2_f32x4, b1_f32x4, c21_f32x4)
        c20_f32x4 = madd<f32>(a2_f32x4, b0_f32x4, c20_f32x4)
        const a1_f32x4 = v128.load_splat<f32>(a, 32)
        c11_f32x4 = madd<f32>(a1_f32x4, b1_f32x4, c11_f32x4)
        c10_f32x4 = madd<f32>(a1_f32x4, b0_f32x4, c10_f32x4)
        const a0_f32x4 = v128.load_splat<f32>(a)
        c01_f32x4 = madd<f32>(a0_f32x4, b1_f32x4, c01_f32x4)
        c00_f32x4 = madd<f32>(a0_f32x4, b0_f32x4, c00_f32x4)
      } while (a < last)
      a += PANEL - ROW
    } while (b < end)
    a = a2
    b = b2
    a2 = 0
  } while (a)
  v128.store(c, c00_f32x4)
  v128.store(c, c01_f32x4, 16)
  v128.store(c, c10_f32x4, 32)
  v128.store(c, c11_f32x4, 48)
  v128.store(c, c20_f32x4, 64)
  v128.store(c, c21_f32x4, 80)
  v128.store(c, c30_f32x4, 96)
  v128.store(c, c31_f32x4, 112)
}
