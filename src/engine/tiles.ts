/** The kernels on a memory, and one tile of a phase: what threads of the pool and the inline executor have in common. */
import { type Phase, tilesOf } from './job.js'

export type Kernels = Readonly<Record<string, (...args: number[]) => void>>

export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  return instance.exports as Kernels
}

/**
 * @param tile of the share: its tiles of the first task come first
 * @param worker the thread's number, for kernels that need scratch of their own
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
    const tiles = tilesOf(task)
    const first = Math.floor((tiles * share) / shares)
    const count = Math.floor((tiles * (share + 1)) / shares) - first
    if (rest >= count) {
      rest -= count
      continue
    }
    const begin = (first + rest) * task.step
    const end = Math.min(task.items, begin + task.step)
    const kernel = kernels[task.kernel]
    if (kernel === undefined) throw new Error(`worker: expected a kernel, got "${task.kernel}"`)
    if (task.scratch) kernel(...task.args, begin, end, worker)
    else kernel(...task.args, begin, end)
    return true
  }
  return false
}
