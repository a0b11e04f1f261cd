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
  HINTS,
  type HintName,
  isDescribed,
} from './errors.js'
export { type CompareOptions, type Comparison, compareModels, type ModelCost } from './model/compare.js'
export {
  type ClassEvaluation,
  type EvaluateOptions,
  evaluate,
  type SequenceEvaluation,
} from './model/evaluate.js'
export { planModel, quantizeModel } from './model/quantizeModel.js'
export type { WeightHistogram } from './model/weightHistogram.js'
export type { Format, Skipped } from './onnx/layer.js'
export { type OpenedModel, openModel } from './onnx/openModel.js'
export type {
  LayerReport,
  Method,
  ModelPlan,
  ProgressEvent,
  QuantizeModelOptions,
  QuantizeModelResult,
  QuantizeReport,
  Radius,
  ScalePer,
} from './options.js'
export { type InitOptions, init } from './platform/init.js'
export type { Feeds, RunnerInput, Tensor, TensorType } from './tensor/tensor.js'
