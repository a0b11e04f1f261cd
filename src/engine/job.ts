/**
 * Jobs as plain data: what the coordinator sends and the workers carry out. A job is a list of phases; the tasks of one
 * phase may run in any order and on any thread, a phase starts when the one before is complete. A task is one kernel
 * with its arguments over items [0, items), handed out in tiles of `step` items.
 *
 * All counters live in control blocks at the bottom of the shared memory, so that taking a tile is one atomic add and
 * nothing is posted while a job runs. There are two, for jobs take turns: a worker that has ended one finds the next
 * already posted.
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

/**
 * Shares of a phase: a worker begins with those that are its own and then helps with the others'. So a worker finds the
 * same groups and samples in every phase, while its caches still hold them. Twelve are as many for each of 2, 3, 4 or 6.
 */
export const SHARES = 12

/** Bytes at address 0 that belong to the control blocks; the arena begins behind them. */
export const CONTROL_BYTES = 65536
/** Int32s of one control block; the places below are within it. */
const BLOCK = CONTROL_BYTES / 8
/** Int32 index: nonzero tells every worker to stop taking tiles of this job. */
export const STOP = 0
/** Int32s of a phase; STOP lies before the first. */
const STRIDE = SHARES + 1
/** Phases that there are counters for; the pool carries out longer jobs in parts. */
export const MAX_PHASES = (BLOCK - (BLOCK % STRIDE)) / STRIDE - 1

/** Int32 index of the number of tiles completed in a phase. */
export const doneAt = (phase: number): number => STRIDE * (phase + 1)
/** Int32 index of the next tile to take of a share of a phase. */
export const nextAt = (phase: number, share: number): number => doneAt(phase) + 1 + share

/** The control blocks of two jobs. */
export const controlBlocks = ({ buffer }: WebAssembly.Memory): readonly Int32Array[] =>
  [0, 1].map((block) => new Int32Array(buffer, 4 * BLOCK * block, BLOCK))

export const tilesOf = (task: Task): number => Math.ceil(task.items / task.step)
export const tilesIn = (phase: Phase): number => phase.reduce((sum, task) => sum + tilesOf(task), 0)
