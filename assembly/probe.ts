/**
 * What the machine can do at most, measured by the module itself so that the engine's own code generation is in it: the
 * denominators of every bench. Not used by any method.
 */

/**
 * a = a·y + z on 12 independent accumulators from registers: 96 floating-point operations a round, no memory. Twelve chains
 * of multiply and add cover the latency of both; 12 + 2 constants + 1 product fill V8's 15 vector registers. y and z are
 * arguments because newer V8 builds a constant anew at every use, which takes longer than the arithmetic.
 */
export function probeArithmetic(rounds: i32, y: f32, z: f32): f32 {
  let a0_f32x4 = f32x4.splat(0)
  let a1_f32x4 = f32x4.splat(1)
  let a2_f32x4 = f32x4.splat(2)
  let a3_f32x4 = f32x4.splat(3)
  let a4_f32x4 = f32x4.splat(4)
  let a5_f32x4 = f32x4.splat(5)
  let a6_f32x4 = f32x4.splat(6)
  let a7_f32x4 = f32x4.splat(7)
  let a8_f32x4 = f32x4.splat(8)
  let a9_f32x4 = f32x4.splat(9)
  let a10_f32x4 = f32x4.splat(10)
  let a11_f32x4 = f32x4.splat(11)
  const y_f32x4 = f32x4.splat(y)
  const z_f32x4 = f32x4.splat(z)
  for (let i = 0; i < rounds; i++) {
    a0_f32x4 = f32x4.add(f32x4.mul(a0_f32x4, y_f32x4), z_f32x4)
    a1_f32x4 = f32x4.add(f32x4.mul(a1_f32x4, y_f32x4), z_f32x4)
    a2_f32x4 = f32x4.add(f32x4.mul(a2_f32x4, y_f32x4), z_f32x4)
    a3_f32x4 = f32x4.add(f32x4.mul(a3_f32x4, y_f32x4), z_f32x4)
    a4_f32x4 = f32x4.add(f32x4.mul(a4_f32x4, y_f32x4), z_f32x4)
    a5_f32x4 = f32x4.add(f32x4.mul(a5_f32x4, y_f32x4), z_f32x4)
    a6_f32x4 = f32x4.add(f32x4.mul(a6_f32x4, y_f32x4), z_f32x4)
    a7_f32x4 = f32x4.add(f32x4.mul(a7_f32x4, y_f32x4), z_f32x4)
    a8_f32x4 = f32x4.add(f32x4.mul(a8_f32x4, y_f32x4), z_f32x4)
    a9_f32x4 = f32x4.add(f32x4.mul(a9_f32x4, y_f32x4), z_f32x4)
    a10_f32x4 = f32x4.add(f32x4.mul(a10_f32x4, y_f32x4), z_f32x4)
    a11_f32x4 = f32x4.add(f32x4.mul(a11_f32x4, y_f32x4), z_f32x4)
  }
  a0_f32x4 = f32x4.add(a0_f32x4, a1_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a2_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a3_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a4_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a5_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a6_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a7_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a8_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a9_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a10_f32x4)
  a0_f32x4 = f32x4.add(a0_f32x4, a11_f32x4)
  return f32x4.extract_lane(a0_f32x4, 0)
}

/** Reads every 16 bytes of [from, from + bytes) on 4 accumulators; bytes is a multiple of 64. */
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
