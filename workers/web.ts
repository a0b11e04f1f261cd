/**
 * Worker entry for Web Workers (browsers, Bun, Deno): a thread of the pool, or the host of a whole quantizer. The build
 * bundles it with all it imports into dist/worker.js, "gpfq/worker".
 */
import { expose } from 'comlink'
import { createWorkerApi } from '../src/engine/worker.js'
import { createHostApi } from '../src/executor/host.js'

expose({ ...createWorkerApi(), ...createHostApi() })
