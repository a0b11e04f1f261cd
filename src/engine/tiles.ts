/**
 * Running one tile: which items of which task it stands for, and the call of the kernel. Used by the workers of the
 * pool (worker.ts) and by the pool on the calling thread (inline.ts), so that both run the same tiles.
 */
import { type Phase, tilesOfTask } from './job.js'

export type Kernels = Readonly<Record<string, (...args: number[]) => void>>

/** The kernels of a compiled module, on the given memory. */
export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  return instance.exports as Kernels
}

/**
 * Runs one tile of a share of a phase. Each task's tiles are divided evenly among the shares, in order; a share's tiles
 * are numbered from 0 through all tasks of the phase.
 * @param tile number within the share
 * @param worker number of the worker, for kernels that need private scratch
 * @param share of `shares`; without them one share is the whole phase
 * @returns false if the share has no such tile
 */
export function runTile(
  kernels: Kernels,
  phase: Phase,
  tile: number,
  worker: number,
  share = 0,
  shares = 1,
): boolean {
  let rest = tile
  for (const task of phase) {
    const tiles = tilesOfTask(task)
    const first = Math.floor((tiles * share) / shares)
    const count = Math.floor((tiles * (share + 1)) / shares) - first
    if (rest >= count) {
      rest -= count
      continue
    }
    const begin = (first + rest) * task.step
    const end = Math.min(task.items, begin + task.step)
    const kernel = kernels[task.kernel]
    if (kernel === undefined) throw new Error(`the module has no kernel "${task.kernel}"`)
    kernel(...task.args, begin, end, worker)
    return true
  }
  return false
}
