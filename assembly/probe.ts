/**
 * Peaks of the machine, measured by the module itself, so that the code generation of the engine is included. Every
 * bench divides by them. No method uses these kernels.
 */

/**
 * Arithmetic without memory: in each round m = m·y on 8 registers three times and s = s + y on 6 others four times, which
 * is 192 floating-point operations. A core has two ports that multiply and two that add; a multiplication may take four
 * cycles and an addition three. With fewer independent chains the ports would wait for results. 8 + 6 + 1 registers are
 * V8's 15 vector registers. y is an argument because newer versions of V8 build a constant again at every use, which
 * takes longer than the arithmetic.
 * @param rounds at least 1
 */
export function probeArithmetic(rounds: i32, y: f32): f32 {
  const y_f32x4 = f32x4.splat(y)
  let m0_f32x4 = y_f32x4, m1_f32x4 = y_f32x4
  let m2_f32x4 = y_f32x4, m3_f32x4 = y_f32x4
  let m4_f32x4 = y_f32x4, m5_f32x4 = y_f32x4
  let m6_f32x4 = y_f32x4, m7_f32x4 = y_f32x4
  let s0_f32x4 = y_f32x4, s1_f32x4 = y_f32x4
  let s2_f32x4 = y_f32x4, s3_f32x4 = y_f32x4
  let s4_f32x4 = y_f32x4, s5_f32x4 = y_f32x4
  do {
    m0_f32x4 = f32x4.mul(m0_f32x4, y_f32x4)
    m1_f32x4 = f32x4.mul(m1_f32x4, y_f32x4)
    m2_f32x4 = f32x4.mul(m2_f32x4, y_f32x4)
    m3_f32x4 = f32x4.mul(m3_f32x4, y_f32x4)
    m4_f32x4 = f32x4.mul(m4_f32x4, y_f32x4)
    m5_f32x4 = f32x4.mul(m5_f32x4, y_f32x4)
    m6_f32x4 = f32x4.mul(m6_f32x4, y_f32x4)
    m7_f32x4 = f32x4.mul(m7_f32x4, y_f32x4)
    s0_f32x4 = f32x4.add(s0_f32x4, y_f32x4)
    s1_f32x4 = f32x4.add(s1_f32x4, y_f32x4)
    s2_f32x4 = f32x4.add(s2_f32x4, y_f32x4)
    s3_f32x4 = f32x4.add(s3_f32x4, y_f32x4)
    s4_f32x4 = f32x4.add(s4_f32x4, y_f32x4)
    s5_f32x4 = f32x4.add(s5_f32x4, y_f32x4)
    s0_f32x4 = f32x4.add(s0_f32x4, y_f32x4)
    s1_f32x4 = f32x4.add(s1_f32x4, y_f32x4)
    m0_f32x4 = f32x4.mul(m0_f32x4, y_f32x4)
    m1_f32x4 = f32x4.mul(m1_f32x4, y_f32x4)
    m2_f32x4 = f32x4.mul(m2_f32x4, y_f32x4)
    m3_f32x4 = f32x4.mul(m3_f32x4, y_f32x4)
    m4_f32x4 = f32x4.mul(m4_f32x4, y_f32x4)
    m5_f32x4 = f32x4.mul(m5_f32x4, y_f32x4)
    m6_f32x4 = f32x4.mul(m6_f32x4, y_f32x4)
    m7_f32x4 = f32x4.mul(m7_f32x4, y_f32x4)
    s2_f32x4 = f32x4.add(s2_f32x4, y_f32x4)
    s3_f32x4 = f32x4.add(s3_f32x4, y_f32x4)
    s4_f32x4 = f32x4.add(s4_f32x4, y_f32x4)
    s5_f32x4 = f32x4.add(s5_f32x4, y_f32x4)
    s0_f32x4 = f32x4.add(s0_f32x4, y_f32x4)
    s1_f32x4 = f32x4.add(s1_f32x4, y_f32x4)
    s2_f32x4 = f32x4.add(s2_f32x4, y_f32x4)
    s3_f32x4 = f32x4.add(s3_f32x4, y_f32x4)
    m0_f32x4 = f32x4.mul(m0_f32x4, y_f32x4)
    m1_f32x4 = f32x4.mul(m1_f32x4, y_f32x4)
    m2_f32x4 = f32x4.mul(m2_f32x4, y_f32x4)
    m3_f32x4 = f32x4.mul(m3_f32x4, y_f32x4)
    m4_f32x4 = f32x4.mul(m4_f32x4, y_f32x4)
    m5_f32x4 = f32x4.mul(m5_f32x4, y_f32x4)
    m6_f32x4 = f32x4.mul(m6_f32x4, y_f32x4)
    m7_f32x4 = f32x4.mul(m7_f32x4, y_f32x4)
    s4_f32x4 = f32x4.add(s4_f32x4, y_f32x4)
    s5_f32x4 = f32x4.add(s5_f32x4, y_f32x4)
    s0_f32x4 = f32x4.add(s0_f32x4, y_f32x4)
    s1_f32x4 = f32x4.add(s1_f32x4, y_f32x4)
    s2_f32x4 = f32x4.add(s2_f32x4, y_f32x4)
    s3_f32x4 = f32x4.add(s3_f32x4, y_f32x4)
    s4_f32x4 = f32x4.add(s4_f32x4, y_f32x4)
    s5_f32x4 = f32x4.add(s5_f32x4, y_f32x4)
  } while (--rounds > 0)
  m0_f32x4 = f32x4.add(m0_f32x4, m1_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, m2_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, m3_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, m4_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, m5_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, m6_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, m7_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, s0_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, s1_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, s2_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, s3_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, s4_f32x4)
  m0_f32x4 = f32x4.add(m0_f32x4, s5_f32x4)
  return f32x4.extract_lane(m0_f32x4, 0)
}

/** Reads all of [from, from + bytes), 16 bytes at a time, into 4 accumulators. @param bytes a multiple of 64 */
export function probeRead(from: usize, bytes: usize): i32 {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), a2 = i32x4.splat(0), a3 = i32x4.splat(0)
  const end = from + bytes
  while (from < end) {
    a0 = v128.xor(a0, v128.load(from))
    a1 = v128.xor(a1, v128.load(from, 16))
    a2 = v128.xor(a2, v128.load(from, 32))
    a3 = v128.xor(a3, v128.load(from, 48))
    from += 64
  }
  return i32x4.extract_lane(v128.xor(v128.xor(a0, a1), v128.xor(a2, a3)), 0)
}
