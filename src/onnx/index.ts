/** "gpfq/onnx": quantize whole ONNX models. */
export { createOrtNodeRunner, createOrtWebRunner, createRunner } from '../calibration/onnxRuntime.js'
export type { Feeds, Runner, RunnerInput, RunnerSession, Tensor, TensorType } from '../calibration/runner.js'
export { type CompareOptions, type Comparison, compareModels, type ModelCost } from '../compare.js'
export { GpfqError, type GpfqErrorCode } from '../errors.js'
export {
  type ClassEvaluation,
  type EvaluateOptions,
  evaluate,
  type SequenceEvaluation,
} from '../evaluate.js'
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
} from '../options.js'
export { type InitOptions, init } from '../platform/init.js'
export { planModel, quantizeModel } from '../quantizeModel.js'
export type { WeightHistogram } from '../weightHistogram.js'
export type { Format, Skipped } from './layer.js'
export { type OpenedModel, openModel } from './openModel.js'
