/** Where a worker's failure is heard: whatever waits for workers races with it, so that a dead one is an error and not a hang. */
import { GpfqError } from '../errors.js'

export interface Alarm {
  /** Never resolves; only to be raced with. */
  readonly failure: Promise<never>
  /** Rejects `failure`; the first one counts. */
  raise(error: GpfqError): void
}

export function createAlarm(): Alarm {
  let raise: Alarm['raise'] = () => {}
  const failure = new Promise<never>((_, reject) => {
    raise = reject
  })
  failure.catch(() => {}) // races may be over, or not yet begun
  return { failure, raise }
}

export const workerFailed = (cause: unknown): GpfqError =>
  new GpfqError(
    'WORKER_FAILED',
    `thread: expected one that works, got one that failed (${cause instanceof Error ? cause.message : cause}); create a new quantizer`,
    { cause },
  )
