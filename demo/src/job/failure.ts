/** Errors in plain words: what went wrong for somebody who only wants a smaller model, and the library's exact words. */
import { GpfqError } from 'gpfq/onnx'
import type { Failure, Outcome } from './protocol.ts'

const TITLES: Readonly<Record<string, string>> = {
  INVALID_MODEL: 'This is not an ONNX model that can be read',
  UNSUPPORTED_MODEL: 'This model uses something that gpfq cannot handle',
  INVALID_DATA: 'This data does not fit the model',
  NO_MATCH: 'No layer has a name like that',
  NOTHING_TO_QUANTIZE: 'There is nothing to quantize in this model',
  OUT_OF_MEMORY: 'This model is too large for this tab',
  WORKER_FAILED: 'A part of the computation stopped working',
  RUNTIME_MISSING: 'A part of the page did not load',
  RUNTIME_FAILED: 'ONNX Runtime cannot run this model',
  VERIFY_FAILED: 'The quantized model did not pass its check',
  CANCELLED: 'Cancelled',
}

/** What the command line calls its options is called otherwise on a page. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/--layout (nchw|nhwc)/g, 'the other order of axes, under “How the data is prepared”'],
  [/--scale, --mean, --std/g, 'Divide by, subtract, divide'],
  [/--scale and --std/g, '“divide by” and “standard deviation”'],
  [/is --scale 255 missing\?/g, 'should they be divided by 255?'],
  [/--scale/g, '“divide by”'],
  [/--mean/g, '“mean”'],
  [/--std/g, '“standard deviation”'],
  [/, or give an \.npz with these names/g, ', or give one .npz with these names'],
]

export function plainWords(text: string): string {
  return WORDS.reduce((words, [option, plain]) => words.replace(option, plain), text)
}

export function failureOf(error: unknown): Failure {
  const code = codeOf(error)
  const text = error instanceof Error ? error.message : String(error)
  const opset = /\bopset\b/i.test(text) && (code === 'UNSUPPORTED_MODEL' || code === 'RUNTIME_FAILED')
  const title = opset ? 'This model is written in a version of ONNX that is not supported' : TITLES[code]
  return { code, title: title ?? 'Something went wrong', detail: plainWords(text) }
}

function codeOf(error: unknown): string {
  if (error instanceof GpfqError) return /out of memory/i.test(error.message) ? 'OUT_OF_MEMORY' : error.code
  if (error instanceof DOMException && error.name === 'AbortError') return 'CANCELLED'
  if (error instanceof RangeError && /allocation|array length|memory/i.test(error.message))
    return 'OUT_OF_MEMORY'
  return 'UNEXPECTED'
}

/** Runs `act`; what it throws becomes a failure, for errors lose their kind on the way between threads. */
export async function outcomeOf<T>(act: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await act() }
  } catch (error) {
    return { ok: false, failure: failureOf(error) }
  }
}
