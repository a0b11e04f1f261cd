/**
 * Web Workers and node:worker_threads behind one shape: an endpoint for comlink, one report if it dies, an end. Both
 * kinds are described by what is used of them, so that types need neither the DOM nor Node.
 */
import type { Endpoint } from 'comlink'

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

/** Hears of a worker's end, and makes it an endpoint; a platform knows which kinds of workers it has. */
export type Listen = (worker: WorkerLike, fail: (reason: string) => void) => Endpoint

/** @param onFailure called when the worker dies, does not load or throws outside of a call. */
export function adoptWorker(
  worker: WorkerLike,
  listen: Listen,
  onFailure: (reason: string) => void,
): SpawnedWorker {
  let closing = false
  const fail = (reason: string): void => {
    if (!closing) onFailure(reason)
  }
  const endpoint = listen(worker, fail)
  return {
    endpoint,
    async terminate() {
      closing = true
      await worker.terminate()
    },
  }
}

export const listenWeb: Listen = (worker, fail) => {
  if ('on' in worker) throw new TypeError('createWorker: expected a Web Worker, got another kind')
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
