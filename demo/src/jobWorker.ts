/**
 * The page's worker as the session sees it. The browser tells a page that a worker's script failed, but not that a worker
 * ran out of memory or crashed: its questions would stay open for ever. So the worker holds a lock as long as it lives, and
 * the page asks for the same lock. It gets it when the worker is gone.
 */
import { type Remote, wrap } from 'comlink'
import type { JobApi, Outcome } from './job/protocol.ts'

export class JobWorker {
  readonly remote: Remote<JobApi>
  /** Settles if the worker is gone without having been ended; no open question is answered then. */
  readonly died: Promise<Outcome<never>>
  /** Settles when the worker is ended; open questions stay without an answer. */
  readonly ended: Promise<'ended'>
  readonly #worker: Worker
  readonly #ending = new AbortController()
  #gone = false

  constructor() {
    const lock = `gpfq ${performance.timeOrigin} ${Math.random()}`
    this.#worker = new Worker(new URL('./job/worker.ts', import.meta.url), { type: 'module', name: lock })
    this.remote = wrap<JobApi>(this.#worker)
    const failed = new Promise<string>((resolve) => {
      this.#worker.addEventListener('error', ({ message }) => resolve(message || NOT_LOADED), { once: true })
    })
    this.died = Promise.race([failed, this.#vanished(lock)]).then((detail) => {
      this.#gone = true
      return { ok: false, failure: { code: 'WORKER_FAILED', title: 'The page’s worker stopped', detail } }
    })
    this.ended = new Promise((resolve) => {
      this.#ending.signal.addEventListener('abort', () => resolve('ended'))
    })
  }

  /** Whether no question is answered any more. */
  get gone(): boolean {
    return this.#gone
  }

  /** Ends the worker with all its threads, whatever it is doing. */
  end(): void {
    this.#gone = true
    this.#ending.abort()
    this.#worker.terminate()
  }

  /** Settles when the worker has given its lock back. Never, where the browser has no locks. */
  async #vanished(lock: string): Promise<string> {
    await this.remote.holdLock()
    return navigator.locks.request(lock, () => VANISHED)
  }
}

const NOT_LOADED = 'Its script did not load. Reload the page to try again.'
const VANISHED =
  'It ran out of memory or crashed. Another has taken its place, so you can start again, with fewer samples if it happens twice.'
