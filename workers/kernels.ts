/** The kernels on a memory, and one tile of a phase: what threads of the pool and the inline executor have in common. */
import { type Phase, tilesOf } from '../src/engine/job.js'

export type Kernels = Readonly<Record<string, (...args: number[]) => void>>

export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  return instance.exports as Kernels
}

/** @param worker the thread's number, for kernels that need scratch of their own. */
export function runTile(kernels: Kernels, phase: Phase, tile: number, worker: number): void {
  let rest = tile
  for (const task of phase) {
    const tiles = tilesOf(task)
    if (rest >= tiles) {
      rest -= tiles
      continue
    }
    const begin = rest * task.step
    const end = Math.min(task.items, begin + task.step)
    const kernel = kernels[task.kernel]
    if (kernel === undefined) throw new Error(`worker: expected a kernel, got "${task.kernel}"`)
    if (task.scratch) kernel(...task.args, begin, end, worker)
    else kernel(...task.args, begin, end)
    return
  }
}
