/**
 * Errors across a worker's border. A structured clone keeps neither the class nor the code, so they travel as plain data
 * and are built anew on arrival.
 */
import { GpfqError, type GpfqErrorCode } from '../errors.js'

export interface Failure {
  readonly failure: { readonly name: string; readonly message: string; readonly code?: GpfqErrorCode }
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof GpfqError) {
    return { failure: { name: error.name, message: error.message, code: error.code } }
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  return { failure: { name, message } }
}

export function rebuildFailure({ failure: { name, message, code } }: Failure): Error {
  if (code !== undefined) return new GpfqError(code, message)
  if (name === 'RangeError') return new RangeError(message)
  if (name === 'TypeError') return new TypeError(message)
  return Object.assign(new Error(message), { name })
}
