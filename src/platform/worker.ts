/**
 * Web Workers and node:worker_threads behind one interface: a port for messages, a callback if the worker dies, and
 * terminate(). The types list only the members that are used, so that they need neither the DOM's types nor Node's.
 */
import { kindOf, typeError } from '../checks.js'

type Listener = (event: unknown) => void

/** What keeps a process alive while it is there, unless it is told not to: workers in Node and Bun. */
interface Held {
  /** Keeps the process alive. */
  ref?(): void
  /** Lets the process end. */
  unref?(): void
}

/** A Web Worker, in browsers, Bun and Deno. */
export interface WebWorkerLike extends Held {
  postMessage(message: unknown, transfer: Transferable[]): void
  addEventListener(type: string, listener: Listener): void
  removeEventListener(type: string, listener: Listener): void
  terminate(): void
}

/** A Worker of node:worker_threads, in Node, Bun and Deno. */
export interface NodeWorkerLike extends Held {
  postMessage(message: unknown, transfer?: readonly never[]): void
  on(event: string, listener: Listener): unknown
  off(event: string, listener: Listener): unknown
  terminate(): Promise<number>
}

/** A worker that runs "gpfq/worker". */
export type WorkerLike = WebWorkerLike | NodeWorkerLike

/** One end of a channel between two threads. */
export interface Port {
  readonly post: (message: unknown, transfer: ArrayBuffer[]) => void
  /** @param receive gets every message */
  readonly listen: (receive: (message: unknown) => void) => void
}

export interface SpawnedWorker {
  readonly port: Port
  /** Whether the worker keeps the process alive. At first it does. */
  hold(busy: boolean): void
  terminate(): Promise<void>
}

/** Calls `fail` when a worker dies, and returns its port. Each platform has one for its kinds of workers. */
export type Listen = (worker: WorkerLike, fail: (reason: string) => void) => Port

/**
 * @param onFailure called if the worker dies, does not load or throws outside of a call; not after terminate()
 * @throws TypeError for what is no worker
 */
export function adoptWorker(
  worker: WorkerLike | undefined,
  listen: Listen,
  onFailure: (reason: string) => void,
): SpawnedWorker {
  if (typeof worker?.terminate !== 'function') throw notWorker('a worker', kindOf(worker))
  let closing = false
  const port = listen(worker, (reason) => {
    if (!closing) onFailure(reason)
  })
  return {
    port,
    hold: (busy) => (busy ? worker.ref?.() : worker.unref?.()),
    async terminate() {
      closing = true
      worker.ref?.() // else the process can end before the worker has
      await worker.terminate()
    },
  }
}

const notWorker = (expected: string, got: string): TypeError =>
  typeError({ place: 'createWorker', expected, got })

/** The port of a Web Worker, or of the scope inside one. */
export const webPort = (own: Pick<WebWorkerLike, 'postMessage' | 'addEventListener'>): Port => ({
  post: (message, transfer) => own.postMessage(message, transfer),
  listen: (receive) => own.addEventListener('message', (event) => receive((event as MessageEvent).data)),
})

/** @throws TypeError for a worker of node:worker_threads */
export const listenWeb: Listen = (worker, fail) => {
  if ('on' in worker) throw notWorker('a Web Worker', 'another kind')
  worker.addEventListener('error', (event) => {
    const { message } = event as { message?: string }
    fail(
      message ||
        'its script did not load; give its URL to init({ workerUrl }), or start it with init({ createWorker })',
    )
  })
  worker.addEventListener('messageerror', () => fail('it could not read a message'))
  worker.addEventListener('close', () => fail('it ended')) // Bun
  return webPort(worker)
}
