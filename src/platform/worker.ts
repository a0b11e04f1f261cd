/**
 * Web Workers and node:worker_threads behind one interface: an endpoint for comlink, a callback if the worker dies, and
 * terminate(). The types list only the members that are used, so that they need neither the DOM's types nor Node's.
 */
import type { Endpoint } from 'comlink'
import { typeError } from '../checks.js'

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

/** A worker that runs "gpfq/worker". */
export type WorkerLike = WebWorkerLike | NodeWorkerLike

export interface SpawnedWorker {
  readonly endpoint: Endpoint
  terminate(): Promise<void>
}

/** Calls `fail` when a worker dies, and returns its endpoint. Each platform has one for its kinds of workers. */
export type Listen = (worker: WorkerLike, fail: (reason: string) => void) => Endpoint

/** @param onFailure called if the worker dies, does not load or throws outside of a call; not after terminate() */
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

/** @throws TypeError for a worker of node:worker_threads */
export const listenWeb: Listen = (worker, fail) => {
  if ('on' in worker) {
    throw typeError({ place: 'createWorker', expected: 'a Web Worker', got: 'another kind' })
  }
  worker.addEventListener('error', (event) => {
    const { message } = event as { message?: string }
    fail(
      message ||
        'its script did not load; give its URL to init({ workerUrl }), or start it with init({ createWorker })',
    )
  })
  worker.addEventListener('messageerror', () => fail('it could not read a message'))
  worker.addEventListener('close', () => fail('it ended')) // Bun
  return worker as Endpoint
}
