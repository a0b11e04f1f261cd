/** Turns: asynchronous work runs one piece after another, in the order in which it was asked for. */
import { GpfqError } from '../errors.js'

/** The error of a call to a quantizer that was closed before the call or during it. */
export const closedError = (): GpfqError =>
  new GpfqError('CLOSED', { place: 'quantizer', problem: 'is closed' })

export interface Turns {
  /**
   * Runs `work` when all earlier work has ended, whether or not that failed.
   * @param signal an abort rejects at once if `work` has not started; afterwards `work` itself has to heed the signal
   */
  take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** Resolves when everything asked for so far has ended. */
  ended(): Promise<void>
}

export function createTurns(): Turns {
  let last: Promise<void> = Promise.resolve()
  return {
    take: (work, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const abort = (): void => reject(signal?.reason)
        signal?.addEventListener('abort', abort)
        last = last
          .then(() => {
            signal?.removeEventListener('abort', abort)
            signal?.throwIfAborted()
            return work()
          })
          .then(resolve, reject)
      }),
    ended: () => last,
  }
}
