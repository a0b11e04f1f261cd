/**
 * A pool that runs every tile on the calling thread and records its time, for the tables of methods and of predicted
 * threads. Same kernels, same tiles, same results.
 */
import { readFile } from 'node:fs/promises'
import { CONTROL_BYTES, type Job, tilesOfTask } from '#src/engine/job.js'
import type { Pool } from '#src/engine/pool.js'
import { instantiate, runTile } from '#src/engine/tiles.js'
import type { Executor } from '#src/executor/executor.js'
import { createLocal } from '#src/executor/local.js'
import { createMemory } from '#src/platform/memory.js'

/** Tiles of one task, in the order they are taken. */
export interface TimedTask {
  readonly kernel: string
  readonly tiles: number[] // seconds
}

export interface TimedJob {
  /** Seconds of the caller's own work since the job before. */
  readonly before: number
  readonly phases: readonly (readonly TimedTask[])[]
}

export interface TimedRun {
  readonly jobs: readonly TimedJob[]
  /** Seconds of the caller's own work after the last job. */
  readonly after: number
}

export interface TileTimer {
  readonly executor: Executor
  /** All jobs that ran during `act`. */
  time(act: () => Promise<unknown>): Promise<TimedRun>
}

export async function createTileTimer(): Promise<TileTimer> {
  const memory = createMemory(CONTROL_BYTES / 65536)
  const bytes = await readFile(new URL('../dist/gpfq.wasm', import.meta.url))
  const kernels = await instantiate(await WebAssembly.compile(bytes), memory)
  let jobs: TimedJob[] = []
  let last = 0
  const carryOut = (job: Job): TimedJob => {
    const before = (performance.now() - last) / 1000
    const phases = job.map((phase) => {
      let tile = 0
      return phase.map((task) => {
        const tiles = Array.from({ length: tilesOfTask(task) }, () => {
          const begin = performance.now()
          runTile(kernels, phase, tile++, 0)
          return (performance.now() - begin) / 1000
        })
        return { kernel: task.kernel, tiles }
      })
    })
    last = performance.now()
    return { before, phases }
  }
  const pool: Pool = {
    threads: 1,
    memory,
    run: async (job) => void jobs.push(carryOut(job)),
    close: async () => {},
  }
  return {
    executor: createLocal('inline', pool, false),
    async time(act) {
      jobs = []
      last = performance.now()
      await act()
      return { jobs, after: (performance.now() - last) / 1000 }
    },
  }
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
