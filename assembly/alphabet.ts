/**
 * The formula of every alphabet, for 8 neurons at a time: code = clamp(nearest(v / s + z), 0, top), value = s·(code −
 * z). Here s is a scale, z a zero point, and nearest rounds halves to even. Float32, one rounding an operation. Scales
 * and zero points lie in panels [group][panel][scale block][8].
 *
 * The zero point is whole where the alphabet includes zero. Then weights that are exactly zero keep the value zero,
 * whatever a method would choose for them. So pruned networks stay pruned, and a path cannot make up for its error with
 * inputs that the neuron does not use, which fits the samples at hand and harms others.
 */

/** Codes of 4 values as float32: clamp(nearest(v / s + z), 0, top). */
@inline
export function nearestCode(v_f32x4: v128, s_f32x4: v128, z_f32x4: v128, top_f32x4: v128): v128 {
  const code_f32x4 = f32x4.nearest(f32x4.add(f32x4.div(v_f32x4, s_f32x4), z_f32x4))
  return f32x4.pmin(f32x4.pmax(code_f32x4, f32x4.splat(0)), top_f32x4)
}

/** The values v, but 0 where the weight w is 0 and the alphabet, with its zero point z, includes zero. */
@inline
export function keepZeros(v_f32x4: v128, w_f32x4: v128, z_f32x4: v128): v128 {
  const free = v128.or(f32x4.ne(w_f32x4, f32x4.splat(0)), f32x4.ne(z_f32x4, f32x4.nearest(z_f32x4)))
  return v128.and(v_f32x4, free)
}

/** Stores 8 codes, whole numbers in 0..255, as bytes. The bits of the float 2²³ + code are those of 2²³ plus code. */
@inline
export function storeCodes(to: usize, low_f32x4: v128, high_f32x4: v128): void {
  const base_f32x4 = f32x4.splat(8388608)
  const words = i16x8.narrow_i32x4_u(
    i32x4.sub(f32x4.add(low_f32x4, base_f32x4), base_f32x4),
    i32x4.sub(f32x4.add(high_f32x4, base_f32x4), base_f32x4),
  )
  v128.store64_lane(to, i8x16.narrow_i16x8_u(words, words), 0)
}

/**
 * Memoryless scalar quantization (MSQ): rounds every weight to its nearest value. Items: (group, panel).
 * @param weights [group][panel][inputs8][8] float32
 * @param codes same shape, bytes
 */
export function round(
  weights: usize, scales: usize, zeros: usize, codes: usize,
  inputs: i32, inputs8: i32, scaleBlocks: i32, scaleBlockSize: i32, top: f32,
  begin: i32, end: i32,
): void {
  const top_f32x4 = f32x4.splat(top)
  for (let item = begin; item < end; item++) {
    let w = weights + (<usize>(item * inputs8) << 5)
    let code = codes + (<usize>(item * inputs8) << 3)
    for (let t = 0; t < inputs; t++) {
      const at = <usize>(item * scaleBlocks + t / scaleBlockSize) << 5
      storeCodes(
        code,
        nearestCode(v128.load(w), v128.load(scales + at), v128.load(zeros + at), top_f32x4),
        nearestCode(v128.load(w, 16), v128.load(scales + at, 16), v128.load(zeros + at, 16), top_f32x4),
      )
      w += 32
      code += 8
    }
  }
}

/**
 * Computes −q = s·(z − code) from codes. Items: (group, panel).
 * @param negated [group][panel][inputs8][8] float32, overwritten; zero in the padding
 */
export function dequantize(
  codes: usize, scales: usize, zeros: usize, negated: usize,
  inputs: i32, inputs8: i32, scaleBlocks: i32, scaleBlockSize: i32,
  begin: i32, end: i32,
): void {
  for (let item = begin; item < end; item++) {
    let code = codes + (<usize>(item * inputs8) << 3)
    let n = negated + (<usize>(item * inputs8) << 5)
    for (let t = 0; t < inputs8; t++) {
      if (t < inputs) {
        const at = <usize>(item * scaleBlocks + t / scaleBlockSize) << 5
        for (let k: usize = 0; k < 8; k++) {
          const c = <f32>load<u8>(code + k)
          store<f32>(n + (k << 2), load<f32>(scales + at + (k << 2)) * (load<f32>(zeros + at + (k << 2)) - c))
        }
      } else memory.fill(n, 0, 32)
      code += 8
      n += 32
    }
  }
}
