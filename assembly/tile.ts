/**
 * The register tiles: the two inner loops where nearly all time goes.
 *
 * Every large operand lies in panels 8 columns wide, row after row of 8 floats (32 bytes). `multiply` forms the two
 * 4 × 8 tiles of AᵀB over the common rows of two panels; `carry` forms a 4 × 8 tile of A·B where A lies in panels.
 *
 * Numerics: float32. A tile is summed from zero over its k steps in order and then added to memory once, so
 * a long sum is a sum of short ones (k ≤ 256): error about k·2⁻²⁴ within, (m/256)·2⁻²⁴ across. The second module, for
 * `fastMath`, is these sources built with relaxed SIMD: there multiply and add may be one instruction with one rounding,
 * or two with two, as the machine likes, so that last bits differ between machines.
 *
 * Why 4 × 8 and not unrolled: V8 has 15 vector registers and keeps all loads of a loop body alive at once;
 * 8 accumulators + 4 splats + 2 columns + 1 product is exactly 15. Larger tiles and bodies unrolled by
 * hand spill (docs/PERFORMANCE.md).
 *
 * Why the loops look odd: every instruction beside the 22 of a step costs, for a core takes in about six a cycle, and their
 * order costs too. V8 itself unrolls an inner loop of this size, block by block and without spills, only if it lies in
 * another loop: so both halves of a tile are formed by one function. It sees that an address needs no extension to 64 bits
 * when it comes from an addition, not from the loop: so pointers move before they are used. It does not compute again
 * what the step before the loop has computed, the addresses of splats: so the first step stands alone. And TurboFan puts
 * arithmetic as late as it can, that of the sums stored first last: rows descend, so that each load stands beside its
 * products (six loads in a row keep a Zen 4 core from taking in anything else), and the second column comes first (a
 * Zen 5 core takes 4.3 cycles a step instead of 4.5).
 */

/** a·b + c: one place that says whether it may be fused. */
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(c, f32x4.mul(a, b))
}

/** Bytes of one panel row: 8 float32. */
export const ROW: usize = 32

/**
 * Bytes from a panel of 256 samples to the next, wherever panels of samples are written […][256][8]: a cache line more than
 * they take, or the same rows of all panels would fall into one set of the first-level cache, which holds 8 to 12 lines.
 */
export const PANEL: usize = 256 * ROW + 64

/**
 * c(8, 8) += Σ_k a[k, 0..8)ᵀ · b[k, 0..8).
 * @param a panel (steps, 8)
 * @param b panel (steps, 8)
 * @param c tile (8, 8), rows 32 bytes apart
 * @param steps at least 1
 */
export function multiply(a: usize, b: usize, c: usize, steps: i32): void {
  for (let half = 0; half < 2; half++) {
    let pa = a, pb = b
    const b0_f32x4 = v128.load(b), b1_f32x4 = v128.load(b, 16)
    const a0_f32x4 = v128.load_splat<f32>(a), a1_f32x4 = v128.load_splat<f32>(a, 4)
    const a2_f32x4 = v128.load_splat<f32>(a, 8), a3_f32x4 = v128.load_splat<f32>(a, 12)
    let c00_f32x4 = f32x4.mul(a0_f32x4, b0_f32x4), c01_f32x4 = f32x4.mul(a0_f32x4, b1_f32x4)
    let c10_f32x4 = f32x4.mul(a1_f32x4, b0_f32x4), c11_f32x4 = f32x4.mul(a1_f32x4, b1_f32x4)
    let c20_f32x4 = f32x4.mul(a2_f32x4, b0_f32x4), c21_f32x4 = f32x4.mul(a2_f32x4, b1_f32x4)
    let c30_f32x4 = f32x4.mul(a3_f32x4, b0_f32x4), c31_f32x4 = f32x4.mul(a3_f32x4, b1_f32x4)
    const last = a + (<usize>(steps - 1)) * ROW
    while (pa < last) {
      pa += ROW
      pb += ROW
      const a3_f32x4 = v128.load_splat<f32>(pa, 12)
      const b0_f32x4 = v128.load(pb)
      const b1_f32x4 = v128.load(pb, 16)
      c31_f32x4 = madd(a3_f32x4, b1_f32x4, c31_f32x4)
      c30_f32x4 = madd(a3_f32x4, b0_f32x4, c30_f32x4)
      const a2_f32x4 = v128.load_splat<f32>(pa, 8)
      c21_f32x4 = madd(a2_f32x4, b1_f32x4, c21_f32x4)
      c20_f32x4 = madd(a2_f32x4, b0_f32x4, c20_f32x4)
      const a1_f32x4 = v128.load_splat<f32>(pa, 4)
      c11_f32x4 = madd(a1_f32x4, b1_f32x4, c11_f32x4)
      c10_f32x4 = madd(a1_f32x4, b0_f32x4, c10_f32x4)
      const a0_f32x4 = v128.load_splat<f32>(pa)
      c01_f32x4 = madd(a0_f32x4, b1_f32x4, c01_f32x4)
      c00_f32x4 = madd(a0_f32x4, b0_f32x4, c00_f32x4)
    }
    v128.store(c, f32x4.add(v128.load(c), c00_f32x4))
    v128.store(c, f32x4.add(v128.load(c, 16), c01_f32x4), 16)
    v128.store(c, f32x4.add(v128.load(c, 32), c10_f32x4), 32)
    v128.store(c, f32x4.add(v128.load(c, 48), c11_f32x4), 48)
    v128.store(c, f32x4.add(v128.load(c, 64), c20_f32x4), 64)
    v128.store(c, f32x4.add(v128.load(c, 80), c21_f32x4), 80)
    v128.store(c, f32x4.add(v128.load(c, 96), c30_f32x4), 96)
    v128.store(c, f32x4.add(v128.load(c, 112), c31_f32x4), 112)
    a += 16
    c += 128
  }
}

/**
 * c(4, 8) += Σ_p Σ_{t<8} a_p[0..4), t] · b[8p + t, 0..8) and the same of a second pair: rows of panels times a matrix, the
 * update of a residual, which is read and written once.
 * @param a 4 rows of panel 0; the same rows of panel p are p·PANEL further
 * @param b (8·panels, 8)
 * @param a2 like a, or 0
 * @param b2 like b
 * @param c tile (4, 8), rows 32 bytes apart
 * @param panels at least 1
 */
export function carry(a: usize, b: usize, a2: usize, b2: usize, c: usize, panels: i32): void {
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
        c31_f32x4 = madd(a3_f32x4, b1_f32x4, c31_f32x4)
        c30_f32x4 = madd(a3_f32x4, b0_f32x4, c30_f32x4)
        const a2_f32x4 = v128.load_splat<f32>(a, 64)
        c21_f32x4 = madd(a2_f32x4, b1_f32x4, c21_f32x4)
        c20_f32x4 = madd(a2_f32x4, b0_f32x4, c20_f32x4)
        const a1_f32x4 = v128.load_splat<f32>(a, 32)
        c11_f32x4 = madd(a1_f32x4, b1_f32x4, c11_f32x4)
        c10_f32x4 = madd(a1_f32x4, b0_f32x4, c10_f32x4)
        const a0_f32x4 = v128.load_splat<f32>(a)
        c01_f32x4 = madd(a0_f32x4, b1_f32x4, c01_f32x4)
        c00_f32x4 = madd(a0_f32x4, b0_f32x4, c00_f32x4)
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
