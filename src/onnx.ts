/** "gpfq/onnx": quantize whole ONNX models. */
export { createOrtNodeRunner, createOrtWebRunner, createRunner } from './calibration/onnxRuntime.js'
export type { Runner, RunnerSession } from './calibration/runner.js'
export {
  type DescribedError,
  describeError,
  type ErrorCode,
  type ErrorFacts,
  GpfqError,
  type GpfqErrorCode,
  isDescribed,
} from './errors.js'
export {
  defaultPasses,
  METHODS,
  type MethodEntry,
  methodEntry,
  methodOf,
} from './methods/methods.js'
export { BEST_WORDS, METHOD_WORDS, type MethodWords } from './methods/methodWords.js'
export { checkMethodOptions } from './methods/recipe.js'
export { type CompareOptions, type Comparison, compareModels, type ModelCost } from './model/compare.js'
export {
  type ClassEvaluation,
  type EvaluateOptions,
  evaluate,
  type SequenceEvaluation,
} from './model/evaluate.js'
export { planModel, quantizeModel } from './model/quantizeModel.js'
export type { Settings } from './model/settings.js'
export type { WeightHistogram } from './model/weightHistogram.js'
export type { Note, NoteCode } from './notes.js'
export type { Format, Skipped } from './onnx/layer.js'
export { type OpenedModel, openModel } from './onnx/openModel.js'
export type {
  AnyMethodOptions,
  LayerReport,
  Method,
  MethodOptions,
  ModelPlan,
  PlanModelOptions,
  ProgressEvent,
  QuantizeModelOptions,
  QuantizeModelResult,
  QuantizeReport,
  Radius,
  ScalePer,
  Sparsity,
} from './options.js'
export { type InitOptions, init } from './platform/init.js'
export type { Feeds, RunnerInput, Tensor, TensorData, TensorType } from './tensor/tensor.js'
