/**
 * Quantizes one layer. Whole ONNX models: "gpfq/onnx".
 * @module gpfq
 */
export {
  type DescribedError,
  describeError,
  type ErrorCode,
  type ErrorFacts,
  GpfqError,
  type GpfqErrorCode,
  isDescribed,
} from './errors.js'
export type { ExecutorMode } from './executor/executor.js'
export type { LayerInputs, LayerObserver } from './layerObserver.js'
export { dequantize, type QuantizedValues, type WeightShape } from './methods/alphabet.js'
export { merge, type ObservationShape, Observations } from './methods/observations.js'
export type { ImageShape, PatchGeometry } from './methods/patches.js'
export { checkMethodOptions } from './methods/recipe.js'
export type { Axes, Convolution } from './methods/samples.js'
export {
  joinNeurons,
  type LayerSolution,
  type NeuronRange,
} from './methods/solution.js'
export { describeNote, type Note, type NoteCode } from './notes.js'
export type { AnyMethodOptions, Method, MethodOptions, Radius, ScalePer, Sparsity } from './options.js'
export type { WasmSource } from './platform/compile.js'
export { type InitOptions, init } from './platform/init.js'
export type { NodeWorkerLike, WebWorkerLike, WorkerLike } from './platform/worker.js'
export {
  createQuantizer,
  type LayerOptions,
  type LayerProblem,
  type LayerResult,
  type Quantizer,
  type QuantizerOptions,
  type SolvedLayer,
  type SolveLayerOptions,
} from './quantizer.js'
