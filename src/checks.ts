/** Checks of arguments, for callers whose compiler does not check them. What they throw carries the fields of ErrorFacts. */
import { type DescribedError, describeError, type ErrorFacts } from './errors.js'

type ArgumentFacts = ErrorFacts & { readonly code: 'INVALID_ARGUMENT' }

const described = <E extends Error>(error: E, facts: ErrorFacts): E & DescribedError & ArgumentFacts =>
  Object.assign(error, facts, { code: 'INVALID_ARGUMENT' as const })

/** A value out of range: `<place>: expected <X>, got <Y>`, perhaps with a hint. */
export const rangeError = (
  place: string,
  expected: string,
  got: unknown,
  hint?: string,
): RangeError & DescribedError => {
  const facts = { place, expected, got: String(got), ...(hint !== undefined && { hint }) }
  return described(new RangeError(describeError(facts)), facts)
}

/** A value of the wrong kind, or a combination that cannot be. */
export const typeError = (facts: ErrorFacts): TypeError & DescribedError =>
  described(new TypeError(describeError(facts)), facts)

export function checkWhole(
  place: string,
  value: unknown,
  least: number,
  most = Number.POSITIVE_INFINITY,
): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return
  throw rangeError(
    place,
    `an integer ${most < 2 ** 53 ? `from ${least} to ${most}` : `of at least ${least}`}`,
    value,
  )
}

/** A word out of a list. */
export function checkName(place: string, name: string, allowed: readonly string[]): void {
  if (!allowed.includes(name)) throw rangeError(place, `one of ${allowed.join(', ')}`, name)
}

/** A signal to abort by, or none. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  throw typeError({ place: 'signal', expected: 'an AbortSignal', got: kindOf(signal) })
}

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return value === undefined ? 'none' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
