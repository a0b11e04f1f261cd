/** A command line that is not valid: exit code 2, as for options that commander refuses. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
