/**
 * The path of substitute.ts with other choices than the nearest value. With the same p_t = R_t − Σ_{s<t} H_ts q_s and
 * v = p_t / H_tt (w_t for a dead input)
 *
 *     SOFT      q_t = A(sign v · max(|v| − λ, 0))                          2201.11113, l1-penalized step
 *     HARD      q_t = 0 where |v| ≤ λ, else A(v)                           2201.11113, l0-penalized step
 *     CHANCE    q_t = s·(⌊x⌋ + 1 with probability x − ⌊x⌋, else ⌊x⌋)       2309.10975, x = v / s + z, then clamped
 *     EXACT     q_t = v: no alphabet; the forward substitution tril(H)⁻¹R
 *
 * With an alphabet that includes zero, weights that are zero have v = 0, for which every choice is 0 (alphabet.ts).
 *
 * The hard threshold of the paper has the alphabet {0} ∪ {±(λ + kδ)}. That is not of the form s·(code − z), which every
 * format stores. Where λ is a multiple of the step, both choose the same values.
 *
 * A draw of CHANCE is a function of (seed, neuron, index of the input) alone: 24 bits of two rounds of a mixing hash
 * (lowbias32, C. Wellons). So it does not depend on tiles, threads or other neurons. Neurons are numbered through all
 * groups, with each group's number of neurons rounded up to whole panels.
 *
 * Blocking and order of summation are those of substitute.ts: 256 rows, earlier inputs in blocks of 256.
 */
import { keepZeros, nearestCode, storeCodes } from './alphabet'
import { BLOCK, matrixBytes, panelAt } from './gram'
import { product } from './product'
import { ALIVE } from './substitute'
import { ROW } from './tile'

const SOFT: i32 = 1
const HARD: i32 = 2
const CHANCE: i32 = 3
const EXACT: i32 = 4

/** Panels of 8 rows in a row block: 256 rows. */
const ROWS: i32 = 32

/**
 * Walks each column. Items: columns = (group, candidate, neuron panel); the panel varies fastest.
 * @param h matrix of gram.ts of Xq
 * @param weights [group][neuron panel][8·panels][8]
 * @param r same shape: R, the target of the path
 * @param scales [group][candidate][neuron panel][scale block][8]
 * @param zeros same shape
 * @param codes [column][8·panels][8] bytes; not written by EXACT
 * @param values same shape, float32: q of EXACT; not written by the others
 * @param scratch [worker][8·panels + 256][8] float32
 * @param choice SOFT, HARD, CHANCE or EXACT
 * @param lambda threshold of SOFT and HARD, in units of weights
 * @param seed of CHANCE
 */
export function walk(
  h: usize, weights: usize, r: usize, scales: usize, zeros: usize, codes: usize, values: usize, scratch: usize,
  inputs: i32, panels: i32, triangular: i32, neuronPanels: i32, candidates: i32,
  scaleBlocks: i32, scaleBlockSize: i32, top: f32, choice: i32, lambda: f32, seed: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = <usize>panels << 8
  const q = scratch + <usize>worker * (columnBytes + ((<usize>ROWS) << 8)) // −q, then 256 rows of p
  const p = q + columnBytes
  const perGroup = candidates * neuronPanels
  for (let item = begin; item < end; item++) {
    const group = item / perGroup
    const column = group * neuronPanels + (item % perGroup) % neuronPanels
    const matrix = h + <usize>group * matrixBytes(panels, triangular)
    const at = <usize>column * columnBytes
    for (let b = 0; b < panels; b += ROWS) {
      const high = min(panels, b + ROWS)
      memory.copy(p, r + at + (<usize>b << 8), <usize>(high - b) << 8)
      for (let k = 0; k < b; k += BLOCK >> 3) {
        for (let i = b; i < high; i++) product(matrix, panels, triangular, i, k, min(b, k + (BLOCK >> 3)), q, p + (<usize>(i - b) << 8))
      }
      for (let i = b; i < high; i++) {
        const rows8 = p + (<usize>(i - b) << 8)
        if (i > b) product(matrix, panels, triangular, i, b, i, q, rows8)
        const block = matrix + panelAt(i, panels, triangular) + (<usize>i << 8)
        for (let t = 0; t < 8; t++) {
          const row = (i << 3) + t
          const here = q + (<usize>row << 5)
          if (row >= inputs) {
            v128.store(here, f32x4.splat(0))
            v128.store(here, f32x4.splat(0), 16)
            continue
          }
          const scale = <usize>(item * scaleBlocks + row / scaleBlockSize) << 5
          const code = codes + <usize>item * (columnBytes >> 2) + (<usize>row << 3)
          step(
            block, t, q + (<usize>i << 8), rows8, weights + at + (<usize>row << 5), scales + scale, zeros + scale,
            code, top, choice, lambda, choice == CHANCE ? mix(seed + row * 0x632be59b) : 0, column << 3,
          )
        }
      }
    }
    if (choice == EXACT) {
      const to = values + at
      for (let k: usize = 0; k < columnBytes; k += 16) v128.store(to + k, f32x4.neg(v128.load(q + k)))
    }
  }
}

/** Row t of a diagonal 8 × 8 block for 8 neurons: completes p, chooses the codes, stores −q. */
function step(
  block: usize, t: i32, q: usize, p: usize, w: usize, scale: usize, zero: usize, code: usize,
  top: f32, choice: i32, lambda: f32, key: i32, neuron: i32,
): void {
  const at = <usize>t * ROW
  let v0_f32x4 = v128.load(p + at)
  let v1_f32x4 = v128.load(p + at, 16)
  for (let s = 0; s < t; s++) {
    const h_f32x4 = v128.load_splat<f32>(block + <usize>s * ROW + (<usize>t << 2))
    v0_f32x4 = f32x4.add(v0_f32x4, f32x4.mul(h_f32x4, v128.load(q + <usize>s * ROW)))
    v1_f32x4 = f32x4.add(v1_f32x4, f32x4.mul(h_f32x4, v128.load(q + <usize>s * ROW, 16)))
  }
  const norm = load<f32>(block + at + (<usize>t << 2))
  if (norm >= ALIVE) {
    v0_f32x4 = f32x4.div(v0_f32x4, f32x4.splat(norm))
    v1_f32x4 = f32x4.div(v1_f32x4, f32x4.splat(norm))
  } else {
    v0_f32x4 = v128.load(w)
    v1_f32x4 = v128.load(w, 16)
  }
  if (choice == EXACT) {
    v128.store(q + at, f32x4.neg(v0_f32x4))
    v128.store(q + at, f32x4.neg(v1_f32x4), 16)
    return
  }
  const s0_f32x4 = v128.load(scale), s1_f32x4 = v128.load(scale, 16)
  const z0_f32x4 = v128.load(zero), z1_f32x4 = v128.load(zero, 16)
  const top_f32x4 = f32x4.splat(top)
  v0_f32x4 = keepZeros(v0_f32x4, v128.load(w), z0_f32x4)
  v1_f32x4 = keepZeros(v1_f32x4, v128.load(w, 16), z1_f32x4)
  let c0_f32x4: v128, c1_f32x4: v128
  if (choice == CHANCE) {
    c0_f32x4 = chance(v0_f32x4, s0_f32x4, z0_f32x4, top_f32x4, key, neuron)
    c1_f32x4 = chance(v1_f32x4, s1_f32x4, z1_f32x4, top_f32x4, key, neuron + 4)
  } else {
    c0_f32x4 = nearestCode(threshold(v0_f32x4, lambda, choice), s0_f32x4, z0_f32x4, top_f32x4)
    c1_f32x4 = nearestCode(threshold(v1_f32x4, lambda, choice), s1_f32x4, z1_f32x4, top_f32x4)
  }
  v128.store(q + at, f32x4.mul(s0_f32x4, f32x4.sub(z0_f32x4, c0_f32x4)))
  v128.store(q + at, f32x4.mul(s1_f32x4, f32x4.sub(z1_f32x4, c1_f32x4)), 16)
  storeCodes(code, c0_f32x4, c1_f32x4)
}

/** The soft or the hard threshold of 4 values. */
@inline
function threshold(v_f32x4: v128, lambda: f32, choice: i32): v128 {
  const over_f32x4 = f32x4.sub(f32x4.abs(v_f32x4), f32x4.splat(lambda))
  const kept = f32x4.gt(over_f32x4, f32x4.splat(0))
  if (choice == HARD) return v128.and(v_f32x4, kept)
  const sign = v128.and(v_f32x4, i32x4.splat(0x80000000))
  return v128.and(v128.or(over_f32x4, sign), kept)
}

/** Codes of the 4 neurons from `neuron` on: the integer below x or the one above, depending on the draw, clamped. */
@inline
function chance(v_f32x4: v128, s_f32x4: v128, z_f32x4: v128, top_f32x4: v128, key: i32, neuron: i32): v128 {
  const x_f32x4 = f32x4.add(f32x4.div(v_f32x4, s_f32x4), z_f32x4)
  const low_f32x4 = f32x4.floor(x_f32x4)
  const neurons_i32x4 = i32x4.add(i32x4.splat(neuron), i32x4(0, 1, 2, 3))
  const mixed_i32x4 = mix4(v128.xor(i32x4.splat(key), mix4(neurons_i32x4)))
  const draw_f32x4 = f32x4.mul(f32x4.convert_i32x4_u(i32x4.shr_u(mixed_i32x4, 8)), f32x4.splat(5.9604644775390625e-8))
  const up_f32x4 = v128.and(f32x4.lt(draw_f32x4, f32x4.sub(x_f32x4, low_f32x4)), f32x4.splat(1))
  return f32x4.pmin(f32x4.pmax(f32x4.add(low_f32x4, up_f32x4), f32x4.splat(0)), top_f32x4)
}

/** lowbias32: every bit of the result depends on every bit of x. */
@inline
function mix(x: i32): i32 {
  x ^= x >>> 16
  x *= 0x7feb352d
  x ^= x >>> 15
  x *= 0x846ca68b
  return x ^ (x >>> 16)
}

/** lowbias32 of 4 lanes. */
@inline
function mix4(x_i32x4: v128): v128 {
  let y = v128.xor(x_i32x4, i32x4.shr_u(x_i32x4, 16))
  y = i32x4.mul(y, i32x4.splat(0x7feb352d))
  y = v128.xor(y, i32x4.shr_u(y, 15))
  y = i32x4.mul(y, i32x4.splat(0x846ca68b))
  return v128.xor(y, i32x4.shr_u(y, 16))
}

/**
 * r = b + s − u, float32: the right-hand side R = Gw − triu(H, 1)·w̃ of the next Gauss-Seidel sweep. The next forward
 * substitution solves it. Items: runs of 64 floats.
 * @param b tril(G)·W
 * @param s triu(G, 1)·W
 * @param u triu(H, 1)·w̃
 */
export function sweepTarget(b: usize, s: usize, u: usize, r: usize, begin: i32, end: i32): void {
  const high = <usize>end << 8
  for (let k = <usize>begin << 8; k < high; k += 16) {
    v128.store(r + k, f32x4.sub(f32x4.add(v128.load(b + k), v128.load(s + k)), v128.load(u + k)))
  }
}
