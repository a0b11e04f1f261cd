/**
 * Errors are data: a code, the place, what was expected there, what was found, and a hint how to mend it. The text of an
 * error is made from these fields, so that no caller has to parse it: the command line and the page say the same in their
 * own words (`describeError` takes another table of hints).
 *
 * Kinds of arguments are TypeErrors and values out of range are RangeErrors, both made by src/checks.ts with the code
 * INVALID_ARGUMENT; everything that a model, a file, a worker or a runtime can do wrong is a GpfqError.
 */
export type GpfqErrorCode =
  | 'INVALID_MODEL' // the bytes are not a readable ONNX model, or it contradicts itself
  | 'UNSUPPORTED_MODEL' // a valid model that uses something gpfq cannot handle
  | 'INVALID_DATA' // calibration or evaluation data that cannot be read or does not fit the model
  | 'NO_MATCH' // a pattern that matches no layer
  | 'NOTHING_TO_QUANTIZE' // no layer is left to quantize
  | 'OUT_OF_MEMORY' // the plan does not fit; the error says what it needs
  | 'WORKER_FAILED' // a worker died or could not start
  | 'RUNTIME_MISSING' // ONNX Runtime (or WebAssembly SIMD) is not there
  | 'RUNTIME_FAILED' // ONNX Runtime refused a model or a run
  | 'VERIFY_FAILED' // the written model does not compute what the calibration computed
  | 'FILE_EXISTS' // an output exists and must not be overwritten
  | 'FILE_ACCESS' // a path cannot be read or written
  | 'CHECKPOINT_DIFFERS' // a checkpoint is of another model, other samples, other options or another version
  | 'CLOSED' // the quantizer was closed before or during the call

/** Every code that an error of this library carries. */
export type ErrorCode = GpfqErrorCode | 'INVALID_ARGUMENT'

/** How to mend a lack of memory. It is here for hints.ts: the command line has words of its own for it. */
export const EXCLUDE_OR_SHRINK = 'exclude the layer, or use fewer samples, patches or threads'

/** The fields of an error. Either `expected` and `got` are there, for a wrong value, or `problem`, for a state. */
export interface ErrorFacts {
  /** What the error is about: an argument, a layer, a tensor, a file. */
  readonly place: string
  readonly expected?: string
  readonly got?: string
  /** What happened, where nothing was expected. */
  readonly problem?: string
  /** How to mend it. HINTS has those that a face may want to say in other words. */
  readonly hint?: string
}

/** An error with its fields: a GpfqError, or a TypeError or RangeError for an argument. */
export interface DescribedError extends Error, ErrorFacts {
  readonly code: ErrorCode
}

/**
 * The text of an error: `<place>: expected <X>, got <Y>; <hint>`, or `<place>: <problem>; <hint>`.
 * @param facts the fields, for instance an error of this library
 * @param hints other words for some hints, by the library's words (HINTS)
 * @param place another word for the place
 * @example
 * describeError({ place: 'levels', expected: 'an integer from 2 to 256', got: '1' })
 * // 'levels: expected an integer from 2 to 256, got 1'
 */
export function describeError(
  facts: ErrorFacts,
  hints: Readonly<Partial<Record<string, string>>> = {},
  place: string = facts.place,
): string {
  const { expected, got, problem, hint } = facts
  const said = problem ?? `expected ${expected ?? 'another value'}, got ${got ?? 'none'}`
  const mend = hint === undefined ? '' : `; ${hints[hint] ?? hint}`
  return `${place}: ${said}${mend}`
}

/**
 * Whether an error carries the fields of ErrorFacts and a code, as all errors do that this library throws on purpose.
 * @param error any value that was thrown
 * @example
 * try { … } catch (error) { if (isDescribed(error)) show(error.place, describeError(error)) }
 */
export function isDescribed(error: unknown): error is DescribedError {
  return error instanceof Error && 'code' in error && 'place' in error && typeof error.place === 'string'
}

/** What a value that was thrown says. */
export const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/**
 * A failure of a model, a file, a worker or a runtime.
 * @example
 * try { … } catch (error) { if (error instanceof GpfqError && error.code === 'INVALID_MODEL') … }
 */
export class GpfqError extends Error implements ErrorFacts {
  override readonly name = 'GpfqError'
  readonly code: GpfqErrorCode
  declare readonly place: string
  declare readonly expected?: string
  declare readonly got?: string
  declare readonly problem?: string
  declare readonly hint?: string

  /**
   * @param code what kind of failure it is
   * @param facts its fields: place, expected, got and hint
   * @param options its cause
   */
  constructor(code: GpfqErrorCode, facts: ErrorFacts, options?: ErrorOptions) {
    super(describeError(facts), options)
    this.code = code
    Object.assign(this, facts)
  }
}

/** The error of a need of memory that is not granted. @param more what takes the most of it */
export const outOfMemory = (
  place: string,
  bytes: number,
  more: string,
  hint: string | undefined,
  cause: unknown,
): GpfqError => {
  const problem = `it needs ${Math.ceil(bytes / 2 ** 20)} MiB${more}, which the system does not grant`
  return new GpfqError('OUT_OF_MEMORY', { place, problem, ...(hint && { hint }) }, { cause })
}

/** An error of samples, observations or bytes: `<place>: expected <X>, got <Y>; <hint>`. */
export const invalidData = (place: string, expected: string, got: unknown, hint?: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got: String(got), ...(hint && { hint }) })

/** The same error at another place: for code that knows the layer or the file around what failed. */
export const atPlace = (error: GpfqError, place: string): GpfqError =>
  new GpfqError(error.code, { ...error, place }, { cause: error })

/** The fields of an error that it has. */
export const factsOf = (error: ErrorFacts): ErrorFacts => {
  const { place, expected, got, problem, hint } = error
  const all = Object.entries({ place, expected, got, problem, hint })
  return { place, ...Object.fromEntries(all.filter(([, value]) => value !== undefined)) }
}
