/**
 * Worker entry for Web Workers (browsers, Bun, Deno). A worker is either one thread of the pool or runs all verbs for a page
 * (src/executor/host.ts). The build bundles it with all its imports into dist/worker.js, the export "gpfq/worker".
 */
import { connect } from '../src/engine/calls.js'
import { createWorkerApi } from '../src/engine/worker.js'
import { createHostApi, type PageApi } from '../src/executor/host.js'
import { webPort } from '../src/platform/worker.js'

const port = webPort({
  postMessage: (message, transfer) => postMessage(message, { transfer }),
  addEventListener: (type, listener) => addEventListener(type, listener),
})
connect<PageApi>(port, (page) => ({ ...createWorkerApi(), ...createHostApi(page) }))
