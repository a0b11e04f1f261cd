/**
 * The typed kernel table, continued: samples as integers (assembly/integers.ts). Same rules as kernels.ts.
 */
import type { Task } from '../engine/job.js'
import type { Pointer } from './arena.js'
import { BLOCK, gram, task } from './kernels.js'

/** Most samples between two ends of a segment: with 255² each, the sums in i32 stay below 2³¹. */
export const MOST_INTEGER_ROWS = 33_025

/** Blocks of paired samples: a panel of 256 rows holds two samples a row. */
export const pairBlocks = (rows: number): number => Math.ceil(rows / (2 * BLOCK))

/** Packs float32 samples s·k in panels as pairs of the integers k, |k| ≤ 255. */
export function pairRows(a: {
  from: Pointer
  to: Pointer
  rows: number
  panels: number // of all groups
  scale: number // s
}): Task {
  return task('pairRows', [a.from, a.to, a.rows, a.panels, 1 / a.scale], pairBlocks(a.rows) * a.panels, 4)
}

/**
 * c += aᵀa, i32, over samples in pairs, the lower triangle; at the end of a segment total += c, float64, and c = 0.
 * c holds MOST_INTEGER_ROWS samples.
 */
export function gramIntegers(a: {
  samples: Pointer
  c: Pointer
  total: Pointer // 0 if the rows do not end a segment
  rows: number
  panels: number
  groups: number
  edge: number
}): Task {
  const { samples, rows, ...rest } = a
  const pairs = Math.ceil(rows / 2)
  const sum = gram({ ...rest, a: samples, b: samples, rows: pairs, triangular: true, lower: true })
  return { ...sum, kernel: 'gramIntegers' }
}

/** out = s²·sums: float64 to float32. Lengths are multiples of 64. */
export function scaleSums(a: { sums: Pointer; out: Pointer; length: number; scale: number }): Task {
  return task('scaleSums', [a.sums, a.out, a.scale * a.scale], a.length / 64, 256)
}
