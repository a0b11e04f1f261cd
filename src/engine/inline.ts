/**
 * The pool of one: jobs carried out on the calling thread, tile by tile, going back to the event loop often enough for
 * timers, aborts and messages. For runtimes without workers, and inside the one worker of a page that may not share
 * memory (src/executor/hosted.ts). Same module, same tiles, same order of sums: same bytes.
 */

import type { GpfqError } from '../errors.js'
import { createMemory } from '../platform/memory.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import { workerFailed } from './alarm.js'
import { CONTROL_BYTES, type Job, tilesIn } from './job.js'
import type { Pool, RunOptions } from './pool.js'
import { instantiate, runTile } from './tiles.js'
import { closedError, createTurns } from './turns.js'

/** Longest run between two breaths; a tile takes at most about 20 ms more. */
const YIELD_MILLISECONDS = 10
/** Most tiles between two breaths: in edge runtimes the clock stands still while code runs. */
const YIELD_TILES = 64

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

  function tryTile(phase: Job[number], tile: number): void {
    try {
      runTile(kernels, phase, tile, 0)
    } catch (cause) {
      failed = workerFailed(cause)
      throw failed
    }
  }

  async function carryOut(job: Job, { signal }: RunOptions): Promise<void> {
    checkOpen()
    signal?.throwIfAborted()
    let done = 0
    let breath = performance.now()
    for (const phase of job) {
      const tiles = tilesIn(phase)
      for (let tile = 0; tile < tiles; tile++) {
        tryTile(phase, tile)
        done++
        if (done % YIELD_TILES !== 0 && performance.now() - breath < YIELD_MILLISECONDS) continue
        await yieldToEventLoop()
        checkOpen()
        signal?.throwIfAborted()
        breath = performance.now()
      }
    }
  }

  return {
    threads: 1,
    memory,
    run(job, options = {}) {
      return turns.take(() => carryOut(job, options))
    },
    async close() {
      closed = true
      await turns.ended()
    },
  }
}
