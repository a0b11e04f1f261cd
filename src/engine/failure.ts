/**
 * Errors that cross between threads. A structured clone keeps neither the class nor the fields of an error, so errors are
 * posted as plain data and created again on the other side.
 */
import { type ErrorCode, type ErrorFacts, factsOf, GpfqError, isDescribed } from '../errors.js'

/** An error as plain data. */
export interface Failure {
  readonly failure: {
    readonly name: string
    readonly message: string
    /** Fields and code of an error of this library. */
    readonly described?: ErrorFacts & { readonly code: ErrorCode }
  }
}

/** An error as plain data. */
export function describeFailure(error: unknown): Failure {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  if (!isDescribed(error)) return { failure: { name, message } }
  return { failure: { name, message, described: { ...factsOf(error), code: error.code } } }
}

export const isFailure = (value: unknown): value is Failure =>
  typeof value === 'object' && value !== null && 'failure' in value

export function rebuildFailure({ failure: { name, message, described } }: Failure): Error {
  if (described !== undefined && described.code !== 'INVALID_ARGUMENT') {
    return new GpfqError(described.code, described)
  }
  const kinds: Readonly<Record<string, ErrorConstructor>> = { RangeError, TypeError }
  return Object.assign(new (kinds[name] ?? Error)(message), { name }, described)
}
