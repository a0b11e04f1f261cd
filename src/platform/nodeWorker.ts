/** Accepts workers of node:worker_threads and also Web Workers, which Bun and Deno have too. */
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { type Listen, listenWeb } from './worker.js'

export const listenEither: Listen = (worker, fail) => {
  if (!('on' in worker)) return listenWeb(worker, fail)
  worker.on('error', (error) => fail(error instanceof Error ? error.message : String(error)))
  worker.on('exit', (code) => fail(`exit code ${code}`))
  return nodeEndpoint(worker)
}
