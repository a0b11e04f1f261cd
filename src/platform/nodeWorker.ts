/** Accepts workers of node:worker_threads and also Web Workers, which Bun and Deno have too. */
import { type Listen, listenWeb, type NodeWorkerLike, type Port } from './worker.js'

interface NodeEnd extends Pick<NodeWorkerLike, 'on'> {
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void
}

/** The port of a worker of node:worker_threads, or of its parent inside one. */
export const nodePort = (own: NodeEnd): Port => ({
  post: (message, transfer) => own.postMessage(message, transfer),
  listen: (receive) => void own.on('message', receive),
})

export const listenEither: Listen = (worker, fail) => {
  if (!('on' in worker)) return listenWeb(worker, fail)
  worker.on('error', (error) => fail(error instanceof Error ? error.message : String(error)))
  worker.on('exit', (code) => fail(`exit code ${code}`))
  return nodePort(worker)
}
