/**
 * Worker entry for Web Workers (browsers, Bun, Deno). A worker is either one thread of the pool or runs all verbs for a page
 * (src/executor/host.ts). The build bundles it with all its imports into dist/worker.js, the export "gpfq/worker".
 */
import { expose } from 'comlink'
import { createWorkerApi } from '../src/engine/worker.js'
import { createHostApi } from '../src/executor/host.js'

expose({ ...createWorkerApi(), ...createHostApi() })
