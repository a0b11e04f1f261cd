/** What every computation here runs on: workers and the memory that they share. */
import type { Pool } from '../engine/pool.js'
import type { Arena } from '../wasm/arena.js'

export interface Engine {
  readonly pool: Pool
  readonly arena: Arena
}
