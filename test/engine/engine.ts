/** Creates an engine for one test: a pool of workers and the arena over its memory. */
import { createPool, type Pool } from '#src/engine/pool.js'
import type { Engine } from '#src/methods/engine.js'
import { loadModule } from '#src/platform/init.js'
import { Arena } from '#src/wasm/arena.js'

export interface OwnEngine extends Engine {
  readonly pool: Pool
}

export async function createEngine(threads: number): Promise<OwnEngine> {
  const pool = await createPool(threads, await loadModule())
  return { pool, arena: new Arena(pool.memory) }
}
