/** Worker entry for worker_threads (Node, Bun, Deno). */
import { parentPort } from 'node:worker_threads'
import { expose } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { createWorkerApi } from './carryOut.js'

if (parentPort !== null) expose(createWorkerApi(), nodeEndpoint(parentPort))
