/**
 * First-order sigma-delta quantization of weights on a frame (2404.08131). Each run of d weights x of a neuron becomes
 * the codes of its F > d coefficients <e_k, x>. The error of a code is added to the next coefficient,
 *
 *     v = u + <e_k, x>,  q_k = A(v),  u = v − q_k,        x̂ = (d/F) Σ_k q_k e_k.
 *
 * The alphabet of a neuron reaches to its largest coefficient. The coefficients are computed twice, once for the scale
 * and once for the codes, because there are more of them than weights. Samples are not used.
 *
 * Numerics: float32, sums in the order of their index. 3·F·N multiply-adds a neuron, limited by loads; 8 neurons are
 * SIMD lanes.
 */
import { nearestCode, storeCodes } from './alphabet'
import { ROW } from './tile'

/** Smallest scale, for neurons whose weights are all zero; its values are negligible. */
const LEAST_SCALE: f32 = 8.673617379884035e-19 // 2⁻⁶⁰

/**
 * Quantizes 8 neurons. Items: (group, neuron panel).
 * @param weights [group][neuron panel][8·panels][8] float32
 * @param basis (count, dimension) float32: the vectors e_k, of norm 1
 * @param dimension d
 * @param count F
 * @param scales [group][neuron panel][8] float32, written
 * @param codes [group][neuron panel][runs·count][8] bytes, written
 * @param values same shape as weights: x̂, written
 * @param scratch [worker][count][8] float32
 */
export function frame(
  weights: usize, basis: usize, scales: usize, codes: usize, values: usize, scratch: usize,
  inputs: i32, panels: i32, dimension: i32, count: i32, top: f32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  const runs = (inputs + dimension - 1) / dimension
  const rowBytes = <usize>dimension << 2
  const c = scratch + <usize>(worker * count) * ROW
  const last = c + <usize>count * ROW
  const zero_f32x4 = f32x4.splat(top / 2)
  const top_f32x4 = f32x4.splat(top)
  const dual_f32x4 = f32x4.splat(<f32>dimension / <f32>count)
  for (let item = begin; item < end; item++) {
    const w = weights + <usize>item * columnBytes
    let m0_f32x4 = f32x4.splat(0), m1_f32x4 = f32x4.splat(0)
    for (let first = 0; first < inputs; first += dimension) {
      analyse(w + <usize>first * ROW, basis, c, min(dimension, inputs - first), rowBytes, last)
      for (let at = c; at < last; at += ROW) {
        m0_f32x4 = f32x4.max(m0_f32x4, f32x4.abs(v128.load(at)))
        m1_f32x4 = f32x4.max(m1_f32x4, f32x4.abs(v128.load(at, 16)))
      }
    }
    const least_f32x4 = f32x4.splat(LEAST_SCALE)
    const s0_f32x4 = f32x4.max(f32x4.div(m0_f32x4, zero_f32x4), least_f32x4)
    const s1_f32x4 = f32x4.max(f32x4.div(m1_f32x4, zero_f32x4), least_f32x4)
    const scale = scales + <usize>item * ROW
    v128.store(scale, s0_f32x4)
    v128.store(scale, s1_f32x4, 16)

    let code = codes + (<usize>(item * runs * count) << 3)
    let x = values + <usize>item * columnBytes
    for (let first = 0; first < inputs; first += dimension) {
      const steps = min(dimension, inputs - first)
      analyse(w + <usize>first * ROW, basis, c, steps, rowBytes, last)
      let u0_f32x4 = f32x4.splat(0), u1_f32x4 = f32x4.splat(0)
      for (let at = c; at < last; at += ROW) {
        const v0_f32x4 = f32x4.add(u0_f32x4, v128.load(at))
        const v1_f32x4 = f32x4.add(u1_f32x4, v128.load(at, 16))
        const k0_f32x4 = nearestCode(v0_f32x4, s0_f32x4, zero_f32x4, top_f32x4)
        const k1_f32x4 = nearestCode(v1_f32x4, s1_f32x4, zero_f32x4, top_f32x4)
        storeCodes(code, k0_f32x4, k1_f32x4)
        const q0_f32x4 = f32x4.mul(s0_f32x4, f32x4.sub(k0_f32x4, zero_f32x4))
        const q1_f32x4 = f32x4.mul(s1_f32x4, f32x4.sub(k1_f32x4, zero_f32x4))
        v128.store(at, q0_f32x4)
        v128.store(at, q1_f32x4, 16)
        u0_f32x4 = f32x4.sub(v0_f32x4, q0_f32x4)
        u1_f32x4 = f32x4.sub(v1_f32x4, q1_f32x4)
        code += 8
      }
      for (let j = 0; j < steps; j++) {
        let x0_f32x4 = f32x4.splat(0), x1_f32x4 = f32x4.splat(0)
        let e = basis + (<usize>j << 2)
        for (let at = c; at < last; at += ROW) {
          const e_f32x4 = v128.load_splat<f32>(e)
          x0_f32x4 = f32x4.add(x0_f32x4, f32x4.mul(e_f32x4, v128.load(at)))
          x1_f32x4 = f32x4.add(x1_f32x4, f32x4.mul(e_f32x4, v128.load(at, 16)))
          e += rowBytes
        }
        v128.store(x, f32x4.mul(dual_f32x4, x0_f32x4))
        v128.store(x, f32x4.mul(dual_f32x4, x1_f32x4), 16)
        x += ROW
      }
    }
  }
}

/** c(count, 8) = basis(count, dimension) · x(dimension, 8), where x has `steps` rows and the others count as zero. */
function analyse(x: usize, basis: usize, c: usize, steps: i32, rowBytes: usize, last: usize): void {
  const end = x + <usize>steps * ROW
  for (let at = c; at < last; at += ROW) {
    let c0_f32x4 = f32x4.splat(0), c1_f32x4 = f32x4.splat(0)
    let e = basis
    for (let from = x; from < end; from += ROW) {
      const e_f32x4 = v128.load_splat<f32>(e)
      c0_f32x4 = f32x4.add(c0_f32x4, f32x4.mul(e_f32x4, v128.load(from)))
      c1_f32x4 = f32x4.add(c1_f32x4, f32x4.mul(e_f32x4, v128.load(from, 16)))
      e += 4
    }
    v128.store(at, c0_f32x4)
    v128.store(at, c1_f32x4, 16)
    basis += rowBytes
  }
}
