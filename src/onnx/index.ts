/** "gpfq/onnx": quantize whole ONNX models. */
export { createOrtNodeRunner, createOrtWebRunner, createRunner } from '../calibration/onnxRuntime.js'
export type { Feeds, Runner, RunnerInput, RunnerSession, Tensor, TensorType } from '../calibration/runner.js'
export { GpfqError, type GpfqErrorCode } from '../errors.js'
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
export { planModel, quantizeModel } from '../quantizeModel.js'
export type { Format, Skipped } from './layer.js'
