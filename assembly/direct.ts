/**
 * The direct recursion u_t = u_{t−1} + w_t X_t − q_t Xq_t (2010.15979 eq. 2.1), blocked by B inputs: for each block
 *
 *     advance   U += X_b W_b − Xq_b Q_b of the block before, then Z = Xq_Bᵀ U of this block, both in one pass over U;
 *     settle    R = Z + tril(G_BB) W_B, then the substitution of substitute.ts inside the block.
 *
 * 3mNK multiply-adds and mNB for the in-block triangles: cheaper than the Gram form for few neurons on many samples. With
 * Xq = X both steps are of W − Q alone: U += X_b (W_b − Q_b), 2mNK, and R = Z (see substitute.ts).
 *
 * Order of summation: Z over 256 samples from zero, the partial sums of the sample blocks added in order; U in float32,
 * one rounding a term. Threads take sample blocks and neuron panels, so no sum depends on them.
 */
import { BLOCK, matrixBytes } from './gram'
import { diagonal } from './project'
import { ALIVE, step } from './substitute'
import { multiplyRows, multiply, PANEL, ROW } from './tile'

/** Neuron panels that advance together: 4 rows of a block of X are read once for all of them, 2 × 8 KB of W and −Q stay near. */
const ABREAST: i32 = 4

/** Bytes of the residuals of a sample block and a neuron panel, (256, 8) float32. */
const RESIDUAL: usize = <usize>BLOCK * ROW

/**
 * Moves the residual past the block before (`before` ≥ 0) and correlates it with this block (`now` ≥ 0).
 * Items: (sample block, group, `share` neuron panels).
 * @param x panels [sample block][group][blocks·edge][256][8] of the analog inputs, or 0 when Xq = X
 * @param xq same shape
 * @param u [sample block][group][neuron panel][256][8]; not read while before < 0, but zeroed
 * @param w [group][neuron panel][8·blocks·edge][8]; not read when x = 0
 * @param n same shape: −Q, or W − Q when x = 0
 * @param z [sample block][group][neuron panel][8·edge][8] partial sums, overwritten
 * @param edge panels of 8 inputs in a block
 */
export function advance(
  x: usize, xq: usize, u: usize, w: usize, n: usize, z: usize,
  rows: i32, blocks: i32, edge: i32, groups: i32, neuronPanels: i32, share: i32, before: i32, now: i32,
  begin: i32, end: i32,
): void {
  const panels = blocks * edge
  const columnBytes = <usize>panels << 8
  const shares = (neuronPanels + share - 1) / share
  for (let item = begin; item < end; item++) {
    const cell = item / shares // (sample block, group)
    const group = cell % groups
    const steps = min(BLOCK, rows - (cell / groups) * BLOCK)
    const quads = (steps + 3) & ~3
    const panel = <usize>(cell * panels) * PANEL
    const first = (item % shares) * share
    const last = min(neuronPanels, first + share)
    const residual = u + <usize>(cell * neuronPanels) * RESIDUAL
    const sums = z + (<usize>(cell * neuronPanels * edge) << 8)
    for (let v = first; v < last; v += ABREAST) {
      const stop = min(last, v + ABREAST)
      if (before < 0) memory.fill(residual + <usize>v * RESIDUAL, 0, <usize>(stop - v) * RESIDUAL)
      else {
        const from = panel + <usize>(before * edge) * PANEL
        const at = <usize>(group * neuronPanels + v) * columnBytes + (<usize>(before * edge) << 8)
        for (let row = 0; row < quads; row += 4) {
          const quad = from + <usize>row * ROW
          let to = residual + <usize>v * RESIDUAL + <usize>row * ROW
          let b = at
          for (let k = v; k < stop; k++) {
            if (x) multiplyRows(x + quad, w + b, xq + quad, n + b, to, edge)
            else multiplyRows(xq + quad, n + b, 0, 0, to, edge)
            b += columnBytes
            to += RESIDUAL
          }
        }
      }
      if (now < 0) continue
      memory.fill(sums + (<usize>(v * edge) << 8), 0, <usize>((stop - v) * edge) << 8)
      if (before < 0) continue
      const from = xq + panel + <usize>(now * edge) * PANEL
      for (let p = 0; p < edge; p++) {
        for (let k = v; k < stop; k++) {
          multiply(
            from + <usize>p * PANEL, residual + <usize>k * RESIDUAL, sums + (<usize>(k * edge + p) << 8), steps,
          )
        }
      }
    }
  }
}

/**
 * Chooses the codes of block `now`. Items: (group, neuron panel).
 * @param h in-block triangles [group][block] of gram.ts, `edge` panels each
 * @param g same of XqᵀX, or 0 when Xq = X
 * @param w [group][neuron panel][8·blocks·edge][8]
 * @param n same shape; −Q is written, or W − Q when g = 0
 * @param codes same shape, bytes
 * @param scratch [worker][8·edge][8] float32
 */
export function settle(
  h: usize, g: usize, w: usize, n: usize, z: usize, scales: usize, zeros: usize, codes: usize, scratch: usize,
  inputs: i32, sampleBlocks: i32, blocks: i32, edge: i32, groups: i32, neuronPanels: i32,
  scaleBlocks: i32, scaleBlockSize: i32, top: f32, now: i32,
  begin: i32, end: i32, worker: i32,
): void {
  const columnBytes = (<usize>(blocks * edge)) << 8
  const blockBytes = <usize>edge << 8
  const p = scratch + <usize>worker * blockBytes
  for (let item = begin; item < end; item++) {
    const group = item / neuronPanels
    const at = <usize>item * columnBytes + <usize>now * blockBytes
    const triangle = <usize>(group * blocks + now) * matrixBytes(edge, 1)
    sumPartials(z, p, item, sampleBlocks, groups * neuronPanels, blockBytes)
    for (let i = 0; i < edge; i++) {
      const row8 = <usize>i << 8
      const hi = h + triangle + <usize>i * <usize>(i + 1) * 128
      if (g) {
        const gi = g + triangle + <usize>i * <usize>(i + 1) * 128
        if (i) multiply(gi, w + at, p + row8, i << 3)
        diagonal(gi + row8, w + at + row8, p + row8, 0)
      }
      if (i) multiply(hi, n + at, p + row8, i << 3)
      for (let t = 0; t < 8; t++) {
        const row = ((now * edge + i) << 3) + t
        const row1 = <usize>t << 5
        if (row >= inputs) {
          v128.store(n + at + row8 + row1, f32x4.splat(0))
          v128.store(n + at + row8 + row1, f32x4.splat(0), 16)
          continue
        }
        const scale = (<usize>(item * scaleBlocks + row / scaleBlockSize)) << 5
        step(
          hi + row8, t, n + at + row8, p + row8, w + at + row8 + row1, 0,
          scales + scale, zeros + scale, codes + ((at + row8 + row1) >> 2), 0, top, ALIVE, g == 0, false,
        )
      }
    }
  }
}

/** p = Σ over sample blocks of z, in order; z is [sample block][group, neuron panel][8·edge][8]. */
function sumPartials(z: usize, p: usize, item: i32, sampleBlocks: i32, items: i32, blockBytes: usize): void {
  memory.copy(p, z + <usize>item * blockBytes, blockBytes)
  for (let b = 1; b < sampleBlocks; b++) {
    const from = z + <usize>(b * items + item) * blockBytes
    for (let k: usize = 0; k < blockBytes; k += 16) {
      v128.store(p + k, f32x4.add(v128.load(p + k), v128.load(from + k)))
    }
  }
}
