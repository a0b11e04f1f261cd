/**
 * Errors in plain words: a title that says what went wrong, and the library's own text with the page's words for its
 * places and hints. Titles depend on the error's code, place and hint, never on its text.
 */
import { describeError, type ErrorCode, HINTS, isDescribed } from 'gpfq/onnx'
import type { Failure, Outcome } from './protocol.ts'

/** A code of the library, or one of the page's own. */
type FailureCode = ErrorCode | 'CANCELLED' | 'UNEXPECTED'

const TITLES: Readonly<Partial<Record<FailureCode, string>>> = {
  INVALID_MODEL: 'This is not an ONNX model that can be read',
  UNSUPPORTED_MODEL: 'This model uses something that gpfq cannot handle',
  INVALID_DATA: 'This data does not fit the model',
  INVALID_ARGUMENT: 'These settings do not go together',
  NO_MATCH: 'No layer has a name like that',
  NOTHING_TO_QUANTIZE: 'There is nothing to quantize in this model',
  OUT_OF_MEMORY: 'This model is too large for this tab',
  WORKER_FAILED: 'A part of the computation stopped working',
  RUNTIME_MISSING: 'A part of the page did not load',
  RUNTIME_FAILED: 'ONNX Runtime cannot run this model',
  VERIFY_FAILED: 'The quantized model did not pass its check',
  CANCELLED: 'Cancelled',
}

/** Titles that are more exact than the code's. */
const TITLES_BY_HINT: Readonly<Partial<Record<string, string>>> = {
  [HINTS['convert-opset']]: 'This model is written in a version of ONNX that is not supported',
}

/** Titles that are more exact than the code's, for arguments. */
const TITLES_BY_PLACE: Readonly<Partial<Record<string, string>>> = {
  targetSize: 'The weights cannot be made as small as that',
}

/** Places in the page's words. Those that are not here are names of layers, tensors and files, or read the same. */
const PAGE_PLACES: Readonly<Partial<Record<string, string>>> = {
  targetSize: 'the size as a share of the float weights (1 means 100 %)',
}

/** Hints in the page's words. Those that are not here read the same as in the library. */
const PAGE_HINTS: Readonly<Partial<Record<string, string>>> = {
  [HINTS['layout-nchw']]: 'try the order of axes channels, height, width under “How the data is prepared”',
  [HINTS['layout-nhwc']]: 'try the order of axes height, width, channels under “How the data is prepared”',
  [HINTS['scale-mean-std']]:
    'change or empty “Divide by”, “Mean” and “Standard deviation” under “How the data is prepared”',
  [HINTS['samples-for-input']]: 'choose a file with its name as well',
  [HINTS['npz-with-names']]: 'name each file like its input, or choose one .npz with these names',
  [HINTS['max-bytes']]:
    'choose a smaller file, or quantize on the command line, where --max-data allows more',
  [HINTS['choose-array']]: 'choose an .npz with an array of that name',
}

/** What the page shows of an error. */
function failureOf(error: unknown): Failure {
  const code = codeOf(error)
  const title = exactTitle(error) ?? TITLES[code] ?? 'Something went wrong'
  return { code, title, detail: detailOf(error) }
}

function exactTitle(error: unknown): string | undefined {
  if (!isDescribed(error)) return
  const { code, place, hint } = error
  if (hint !== undefined && TITLES_BY_HINT[hint] !== undefined) return TITLES_BY_HINT[hint]
  return code === 'INVALID_ARGUMENT' ? TITLES_BY_PLACE[place] : undefined
}

function detailOf(error: unknown): string {
  if (isDescribed(error)) return describeError(error, PAGE_HINTS, PAGE_PLACES[error.place])
  return error instanceof Error ? error.message : String(error)
}

function codeOf(error: unknown): FailureCode {
  if (isDescribed(error)) return error.code
  if (error instanceof DOMException && error.name === 'AbortError') return 'CANCELLED'
  // The library describes its errors. A RangeError without fields is the engine's, of an array that does not fit.
  return error instanceof RangeError ? 'OUT_OF_MEMORY' : 'UNEXPECTED'
}

/** Runs `act` and returns its result or its failure: errors lose their class on the way between threads. */
export async function outcomeOf<T>(act: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await act() }
  } catch (error) {
    return { ok: false, failure: failureOf(error) }
  }
}
