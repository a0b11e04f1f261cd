/**
 * Worker entry for worker_threads (Node, Bun, Deno). The build bundles it into dist/worker.cjs, "gpfq/worker" there: one
 * CommonJS file, for six modules through the loader of ES modules keep Node from being ready for 15 ms.
 */
import { parentPort } from 'node:worker_threads'
import { expose } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { createWorkerApi } from './carryOut.js'

if (parentPort !== null) expose(createWorkerApi(), nodeEndpoint(parentPort))
