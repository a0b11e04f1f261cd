/**
 * Jobs as plain data: what the coordinator sends and the workers carry out. A job is a list of phases; the tasks of one
 * phase may run in any order and on any thread, a phase starts when the one before is complete. A task is one kernel
 * with its arguments over items [0, items), handed out in tiles of `step` items.
 *
 * All progress lives in a control block at the bottom of the shared memory, so that taking a tile is one atomic add and
 * nothing is posted while a job runs.
 */
export interface Task {
  readonly kernel: string
  readonly args: readonly number[]
  readonly items: number
  readonly step: number
  /** The kernel needs private scratch: it takes the worker's number as its last argument. */
  readonly scratch: boolean
}

export type Phase = readonly Task[]
export type Job = readonly Phase[]

/** Bytes at address 0 that belong to the control block; the arena begins behind it. */
export const CONTROL_BYTES = 65536
/** Int32 index: nonzero tells every worker to stop taking tiles. */
export const STOP = 0
const COUNTERS = 16
/** Most phases of one job. */
export const MAX_PHASES = (CONTROL_BYTES / 4 - COUNTERS) / 2

/** Int32 index of the next tile to take in a phase. */
export const nextAt = (phase: number): number => COUNTERS + 2 * phase
/** Int32 index of the number of tiles completed in a phase. */
export const doneAt = (phase: number): number => COUNTERS + 2 * phase + 1

export const tilesOf = (task: Task): number => Math.ceil(task.items / task.step)
export const tilesIn = (phase: Phase): number => phase.reduce((sum, task) => sum + tilesOf(task), 0)
