/** Acts one after another in the order they were asked for, whether or not the one before failed. */
import { GpfqError } from '../errors.js'

export const closedError = (): GpfqError =>
  new GpfqError('CLOSED', 'quantizer: expected an open quantizer, got a closed one')

export interface Turns {
  take<T>(act: () => Promise<T>): Promise<T>
  /** Resolves when everything asked for so far has ended. */
  ended(): Promise<void>
}

export function createTurns(): Turns {
  let last: Promise<void> = Promise.resolve()
  return {
    take(act) {
      const mine = last.then(act)
      last = mine.then(
        () => {},
        () => {},
      )
      return mine
    },
    ended: () => last,
  }
}
