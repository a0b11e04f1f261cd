/**
 * Web Workers and node:worker_threads behind one shape: an endpoint for comlink, one report if it dies, an end. Both
 * kinds are described by what is used of them, so that types need neither the DOM nor Node.
 */
import type { Endpoint } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'

type Listener = (event: unknown) => void

/** A Web Worker, in browsers, Bun and Deno. */
export interface WebWorkerLike {
  postMessage(message: unknown, transfer: Transferable[]): void
  addEventListener(type: string, listener: Listener): void
  removeEventListener(type: string, listener: Listener): void
  terminate(): void
}

/** A Worker of node:worker_threads, in Node, Bun and Deno. */
export interface NodeWorkerLike {
  postMessage(message: unknown, transfer?: readonly never[]): void
  on(event: string, listener: Listener): unknown
  off(event: string, listener: Listener): unknown
  terminate(): Promise<number>
}

export type WorkerLike = WebWorkerLike | NodeWorkerLike

export interface SpawnedWorker {
  readonly endpoint: Endpoint
  terminate(): Promise<void>
}

/** @param onFailure called when the worker dies, does not load or throws outside of a call. */
export function adoptWorker(worker: WorkerLike, onFailure: (reason: string) => void): SpawnedWorker {
  let closing = false
  const fail = (reason: string): void => {
    if (!closing) onFailure(reason)
  }
  const endpoint = 'on' in worker ? listenNode(worker, fail) : listenWeb(worker, fail)
  return {
    endpoint,
    async terminate() {
      closing = true
      await worker.terminate()
    },
  }
}

function listenNode(worker: NodeWorkerLike, fail: (reason: string) => void): Endpoint {
  worker.on('error', (error) => fail(error instanceof Error ? error.message : String(error)))
  worker.on('exit', (code) => fail(`exit code ${code}`))
  return nodeEndpoint(worker)
}

function listenWeb(worker: WebWorkerLike, fail: (reason: string) => void): Endpoint {
  worker.addEventListener('error', (event) => {
    const { message } = event as { message?: string }
    fail(
      message ||
        'its script did not load; name its place with init({ workerUrl }) or start it yourself with init({ createWorker })',
    )
  })
  worker.addEventListener('messageerror', () => fail('a message that it cannot read'))
  worker.addEventListener('close', () => fail('it ended')) // Bun
  return worker as Endpoint
}
