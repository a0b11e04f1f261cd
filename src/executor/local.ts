/** The executor whose memory this thread sees: over the pool of workers, or over the inline one. */
import type { Pool } from '../engine/pool.js'
import { quantizeSamples } from '../methods/quantizeSamples.js'
import { Arena } from '../wasm/arena.js'
import type { Executor } from './executor.js'

export function createLocal(mode: 'pool' | 'inline', pool: Pool, fastMath: boolean): Executor {
  const arena = new Arena(pool.memory)
  return {
    mode,
    threads: pool.threads,
    fastMath,
    get peakMemoryBytes() {
      return arena.peak
    },
    quantizeSamples: (...args) => quantizeSamples({ pool, arena }, ...args),
    close: () => pool.close(),
  }
}
