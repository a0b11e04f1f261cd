/** Acts one after another in the order they were asked for, whether or not the one before failed. */
import { GpfqError } from '../errors.js'

export const closedError = (): GpfqError =>
  new GpfqError('CLOSED', 'quantizer: expected an open quantizer, got a closed one')

export interface Turns {
  /** @param signal of an act that need not wait for its turn to be aborted */
  take<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** Resolves when everything asked for so far has ended. */
  ended(): Promise<void>
}

export function createTurns(): Turns {
  let last: Promise<void> = Promise.resolve()
  return {
    take: (act, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const abort = (): void => reject(signal?.reason)
        signal?.addEventListener('abort', abort)
        last = last
          .then(() => {
            signal?.removeEventListener('abort', abort)
            signal?.throwIfAborted()
            return act()
          })
          .then(resolve, reject)
      }),
    ended: () => last,
  }
}
