/**
 * Worker entry for worker_threads (Node, Bun, Deno). The build bundles it into dist/worker.cjs, the export
 * "gpfq/worker" in these runtimes. It is one CommonJS file, because a worker starts later if it loads several ES modules
 * (`npm run bench -- startup`).
 */
import { parentPort } from 'node:worker_threads'
import { connect } from '../src/engine/calls.js'
import { createWorkerApi } from '../src/engine/worker.js'
import { nodePort } from '../src/platform/nodeWorker.js'

if (parentPort !== null) connect(nodePort(parentPort), createWorkerApi)
