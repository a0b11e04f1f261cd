/** The executor in this thread's memory, for modes pool and inline. */
import type { Pool } from '../engine/pool.js'
import { createTurns } from '../engine/turns.js'
import { measure } from '../methods/measure.js'
import { observe } from '../methods/observe.js'
import { solve } from '../methods/solve.js'
import { Arena } from '../wasm/arena.js'
import type { Executor } from './executor.js'

/** @param pool runs the kernels; the executor closes it */
export function createLocal(mode: 'pool' | 'inline', pool: Pool, fastMath: boolean): Executor {
  const engine = { pool, arena: new Arena(pool.memory) }
  const turns = createTurns()
  return {
    mode,
    threads: pool.threads,
    fastMath,
    get peakMemoryBytes() {
      return engine.arena.peak
    },
    observe: (shape, batches, options) =>
      turns.take(() => observe(engine, shape, batches, options), options.signal),
    solve: (observations, requests, options) =>
      turns.take(() => solve(engine, observations, requests, options), options.signal),
    measure: (shape, batches, request, solution, options) =>
      turns.take(() => measure(engine, shape, batches, request, solution, options), options.signal),
    close: () => pool.close(),
  }
}
