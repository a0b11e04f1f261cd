/** Notes of a run: what a caller should know of a result that is not an error. Like errors they are data with a text. */

/** What a note is about. */
export type NoteCode =
  | 'DAMPING_RAISED' // H was not positive definite
  | 'BATCHES_RECOMPUTED' // calibration tensors fit neither into the budget nor into a temporary file
  | 'TENSORS_IN_FILE' // calibration tensors beyond the budget are in a temporary file
  | 'CHECKPOINT_DAMAGED' // a file of a checkpoint was damaged, and computed again
  | 'BATCHES_CUT' // ONNX Runtime had no memory for batches of the size that was given
  | 'VALUES_ARE_FLOAT' // method frame writes reals
  | 'FAST_MATH' // codes may differ from machine to machine
  | 'FAST_MATH_MISSING' // asked for, and the runtime has none
  | 'EXTERNAL_DATA_EMBEDDED' // external data is written into the model file
  | 'NO_LAYER_ON_INTEGERS' // activations were to be quantized, and no layer gains from it
  | 'BYTES_POSSIBLE' // an input is rounded to 8 bits, and could be taken as bytes
  | 'BYTES_TAKEN' // an input is taken as bytes: its scale and zero point
  | 'RUNTIME_SATURATES' // integer kernels of the runtime at hand are not exact for codes of 8 bits
  | 'FLOAT_COPY_KEPT' // something beside the layers reads a weight
  | 'WEIGHTS_NOT_INPUTS' // weights that a caller of the model could replace are constants now
  | 'BATCH_NORMS_KEPT' // BatchNormalizations that could not be folded
  | 'SAMPLES_ALIKE' // calibration samples that do not differ
  | 'PATH_DAMPED' // λ was added to H, because the plain path loses more on other samples
  | 'ROUNDED_INSTEAD' // rounding loses less on other samples than any path
  | 'ROUNDING_IS_BETTER' // an output of the network loses less by rounding
  | 'QUANTIZED_ALREADY' // the model was quantized before, and the float model is wanted
  | 'OUTPUT_JUMPS' // the written model differs in an output that optimizations of the runtime change too
  | 'IF_RESOLVED' // one branch of an If is left
  | 'WEBGPU_DIFFERS' // nodes that WebGPU does not compute as they are written
  | 'RUNNER_FELL_BACK' // the GPU did not run all models of the run
  | 'WEIGHTS_EXTREME' // weights at the ends of what float32 holds

/** Something a caller should know of a run that is not an error. */
export interface Note {
  readonly code: NoteCode
  /** The layer or tensor it is about; null for the whole run. */
  readonly place: string | null
  /** One sentence without the place. */
  readonly text: string
}

/**
 * The text of a note: its sentence with its place in front.
 * @param note of a plan or a report
 * @example
 * for (const note of report.notes) console.warn(describeNote(note))
 */
export const describeNote = (note: Note): string =>
  note.place === null ? note.text : `${note.place}: ${note.text}`
