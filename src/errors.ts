/**
 * The one error type of models and runs. Kinds of arguments are TypeErrors, values out of range are
 * RangeErrors; everything a model, a file, a worker or a runtime can do wrong is a GpfqError whose `code` is
 * stable. Messages read `<place>: expected <X>, got <Y>` and then say how to mend it.
 *
 * Errors cross worker boundaries as plain objects (comlink loses the class), so `code` is a string and
 * nothing else is needed to rebuild one.
 */
export type GpfqErrorCode =
  | 'INVALID_MODEL' // the bytes are not a readable ONNX model, or it contradicts itself
  | 'UNSUPPORTED_MODEL' // a valid model that uses something gpfq cannot handle
  | 'INVALID_DATA' // calibration or evaluation data that cannot be read or does not fit the model
  | 'NO_MATCH' // an --include/--exclude/--bits-for pattern that matches nothing
  | 'NOTHING_TO_QUANTIZE' // no layer is left to quantize
  | 'OUT_OF_MEMORY' // the plan does not fit; the message says what it needs
  | 'WORKER_FAILED' // a worker died or could not start
  | 'RUNTIME_MISSING' // ONNX Runtime (or WebAssembly SIMD) is not there
  | 'RUNTIME_FAILED' // ONNX Runtime refused a model or a run
  | 'VERIFY_FAILED' // the written model does not compute what the calibration computed
  | 'FILE_EXISTS' // an output exists and --force was not given
  | 'FILE_ACCESS' // a path cannot be read or written
  | 'CLOSED' // the quantizer was closed before or during the call

export class GpfqError extends Error {
  override readonly name = 'GpfqError'
  readonly code: GpfqErrorCode

  constructor(code: GpfqErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
