/** Checks of what callers say in numbers and words: whoever writes plain JavaScript has no compiler to do it. */

export const rangeError = (place: string, expected: string, got: unknown): RangeError =>
  new RangeError(`${place}: expected ${expected}, got ${got}`)

export function checkWhole(
  place: string,
  value: number,
  least: number,
  most = Number.POSITIVE_INFINITY,
): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
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
