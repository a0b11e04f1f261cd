/**
 * Worker entry for worker_threads (Node, Bun, Deno). The build bundles it into dist/worker.cjs, "gpfq/worker" there: one
 * CommonJS file, for the loader of ES modules takes its time over six of them (`npm run bench -- startup`).
 */
import { parentPort } from 'node:worker_threads'
import { expose } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { createWorkerApi } from '../src/engine/worker.js'

if (parentPort !== null) expose(createWorkerApi(), nodeEndpoint(parentPort))
