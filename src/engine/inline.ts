/**
 * A pool without workers: jobs run on the calling thread, tile by tile, and return to the event loop often enough for
 * timers, aborts and messages. It serves runtimes without workers, and runs inside the single worker of a page that may
 * not share memory (src/executor/host.ts). Module, tiles and order of sums are those of the worker pool, so its results
 * are the same bytes.
 */

import type { GpfqError } from '../errors.js'
import { createMemory } from '../platform/memory.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import { workerFailed } from './alarm.js'
import { CONTROL_BYTES, type Job, type Phase, tilesOfPhase } from './job.js'
import type { Pool, RunOptions } from './pool.js'
import { instantiate, runTile } from './tiles.js'
import { closedError, createTurns } from './turns.js'

/** Longest time between two returns to the event loop. One tile takes at most about 20 ms more. */
const YIELD_MILLISECONDS = 10
/** Most tiles between two returns to the event loop: in edge runtimes the clock does not advance while code runs. */
const YIELD_TILES = 64

/** @throws WebAssembly errors, if the module cannot be instantiated */
export async function createInlinePool(module: WebAssembly.Module): Promise<Pool> {
  const memory = createMemory(CONTROL_BYTES / 65536)
  const kernels = await instantiate(module, memory)
  const turns = createTurns()
  let failed: GpfqError | undefined
  let closed = false
  const checkOpen = (): void => {
    if (failed !== undefined) throw failed
    if (closed) throw closedError()
  }

  function tryTile(phase: Phase, tile: number): void {
    try {
      runTile(kernels, phase, tile, 0)
    } catch (cause) {
      failed = workerFailed(cause)
      throw failed
    }
  }

  async function runJob(job: Job, { signal }: RunOptions): Promise<void> {
    checkOpen()
    signal?.throwIfAborted()
    let done = 0
    let lastYield = performance.now()
    for (const phase of job) {
      const tiles = tilesOfPhase(phase)
      for (let tile = 0; tile < tiles; tile++) {
        tryTile(phase, tile)
        done++
        if (done % YIELD_TILES !== 0 && performance.now() - lastYield < YIELD_MILLISECONDS) continue
        await yieldToEventLoop()
        checkOpen()
        signal?.throwIfAborted()
        lastYield = performance.now()
      }
    }
  }

  return {
    threads: 1,
    memory,
    run(job, options = {}) {
      return turns.take(() => runJob(job, options))
    },
    async close() {
      closed = true
      await turns.ended()
    },
  }
}
