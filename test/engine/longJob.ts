/** A long job to interrupt: one Gram matrix summed again and again, for minutes unless it is stopped. */
import { controlBlocks, doneAt, type Job, tilesOfPhase } from '#src/engine/job.js'
import type { Pool } from '#src/engine/pool.js'
import { Arena } from '#src/wasm/arena.js'
import { gram } from '#src/wasm/kernels.js'

const PANELS = 128
const ROWS = 1024

/** @param phases of about 60 ms on one thread each */
export function longJob(pool: Pool, phases: number): Job {
  const arena = new Arena(pool.memory)
  const samples = arena.allocate(ROWS * PANELS * 32)
  const c = arena.allocate(PANELS * (PANELS + 1) * 128)
  const common = { rows: ROWS, panels: PANELS, groups: 1, triangular: true, lower: true, edge: 4 }
  return Array.from({ length: phases }, () => [gram({ ...common, a: samples, b: samples, c, total: 0 })])
}

/**
 * How many tiles of a job are done, and how many there are.
 * @param nth position of the job among all jobs given to this pool, from 0; it must be one of the last two
 */
export function tilesDone(pool: Pool, job: Job, nth = 0): { done: number; total: number } {
  const control = controlBlocks(pool.memory)[nth % 2]!
  return {
    done: job.reduce((sum, _, phase) => sum + Atomics.load(control, doneAt(phase)), 0),
    total: job.reduce((sum, phase) => sum + tilesOfPhase(phase), 0),
  }
}

/** Resolves after `count` timers, one after another. */
export async function ticks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setTimeout(resolve, 5))
}
