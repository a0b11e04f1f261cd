/**
 * Jobs as plain data. A job is a list of phases, a phase a list of tasks, a task one kernel with its arguments over
 * items [0, items), cut into tiles of `step` items. The tiles of one phase may run in any order and on any thread; a
 * phase starts when the one before it is complete.
 *
 * All counters live in control blocks at the bottom of the shared memory, so that taking a tile is one atomic add and
 * no message is posted while a job runs. There are two blocks, used by jobs alternately: while one job runs, the next
 * is already posted, and a worker that has finished the first goes on with it.
 */
export interface Task {
  /** Name of an export of the module. */
  readonly kernel: string
  /** Arguments of the kernel before `begin`, `end` and the worker's number, which only kernels with private scratch take. */
  readonly args: readonly number[]
  readonly items: number
  /** Items of a tile. */
  readonly step: number
}

export type Phase = readonly Task[]
export type Job = readonly Phase[]

/**
 * Shares of a phase. A worker begins with its own shares and then helps with the others. So a worker gets the same groups
 * and samples in every phase, while its caches still hold them. Twelve divide evenly among 2, 3, 4 or 6 workers.
 */
export const SHARES = 12

/** Bytes of the control blocks, which begin at address 0. The arena begins behind them. */
export const CONTROL_BYTES = 65536
/** Int32s of one control block. The indices below are relative to a block. */
const BLOCK = CONTROL_BYTES / 8
/** Index of the stop flag: if it is not zero, workers take no more tiles of this job. */
export const STOP = 0
/** Int32s of a phase; the stop flag lies before the first. */
const STRIDE = SHARES + 1
/** Phases that a block has counters for. The pool runs longer jobs in parts. */
export const MAX_PHASES = (BLOCK - (BLOCK % STRIDE)) / STRIDE - 1

/** Index of the number of completed tiles of a phase. */
export const doneAt = (phase: number): number => STRIDE * (phase + 1)
/** Index of the number of the next tile of a share of a phase. */
export const nextAt = (phase: number, share: number): number => doneAt(phase) + 1 + share

/** The two control blocks. */
export const controlBlocks = ({ buffer }: WebAssembly.Memory): readonly Int32Array[] =>
  [0, 1].map((block) => new Int32Array(buffer, 4 * BLOCK * block, BLOCK))

/** Number of tiles of a task. */
export const tilesOfTask = (task: Task): number => Math.ceil(task.items / task.step)
/** Number of tiles of all tasks of a phase. */
export const tilesOfPhase = (phase: Phase): number => phase.reduce((sum, task) => sum + tilesOfTask(task), 0)
