/**
 * Quantizes whole ONNX models.
 * @module gpfq/onnx
 */
export {
  createOrtNodeRunner,
  createOrtWebRunner,
  createRunner,
  type OrtRunnerOptions,
  type OrtWebRunnerOptions,
  type RunnerOptions,
} from './calibration/onnxRuntime.js'
export type { LoadOptions, Runner, RunnerSession } from './calibration/runner.js'
export type { Speed } from './calibration/speed.js'
export type { VerifiedOutput } from './calibration/verify.js'
export {
  type DescribedError,
  describeError,
  type ErrorCode,
  type ErrorFacts,
  GpfqError,
  type GpfqErrorCode,
  isDescribed,
} from './errors.js'
export { HINTS, type HintName } from './hints.js'
export { dequantize, type QuantizedValues, type WeightShape } from './methods/alphabet.js'
export {
  defaultPasses,
  METHODS,
  type MethodEntry,
  methodEntry,
  methodOf,
} from './methods/methods.js'
export { BEST_WORDS, METHOD_WORDS, type MethodWords } from './methods/methodWords.js'
export { checkMethodOptions } from './methods/recipe.js'
export { solutionBytes, solutionFrom } from './methods/solutionBytes.js'
export { type Carry, type CarryStatesOptions, carryStates } from './model/carry.js'
export { type RawStorage, type Store, storageStore } from './model/checkpoint/store.js'
export { type CompareOptions, type Comparison, compareModels, type ModelCost } from './model/compare.js'
export {
  type ClassEvaluation,
  type EvaluateOptions,
  evaluate,
  type SequenceEvaluation,
} from './model/evaluate.js'
export type { GivenInput } from './model/givenInputs.js'
export type { Judgement, PathFault } from './model/guard.js'
export type { OutputDifference, OutputKind } from './model/outputDifference.js'
export { planModel, quantizeModel, quantizePlanned } from './model/quantizeModel.js'
export type { Settings } from './model/settings.js'
export type { WeightHistogram } from './model/weightHistogram.js'
export { describeNote, type Note, type NoteCode } from './notes.js'
export type { RangeKind } from './onnx/activations/integers.js'
export type { ReadExternalData } from './onnx/externalData.js'
export type { FloatAccount, KeptFloats } from './onnx/floatAccount.js'
export type { Format, LayerOp, Skipped } from './onnx/layer.js'
export { type ByteSource, type Model, openModel, type WholeModel } from './onnx/openModel.js'
export type {
  ActivationOptions,
  ActivationRanges,
  AnyMethodOptions,
  HeldOutReport,
  Kernel,
  KernelFor,
  LayerReport,
  Method,
  MethodOptions,
  ModelOptions,
  ModelPlan,
  OptionName,
  OptionValues,
  PlanLayer,
  PlanModelOptions,
  PrecisionReport,
  ProgressEvent,
  QuantizeModelOptions,
  QuantizeModelResult,
  QuantizeReport,
  Radius,
  RunOptions,
  SampleWeights,
  ScalePer,
  Sparsity,
} from './options.js'
export type { WasmSource } from './platform/compile.js'
export { type InitOptions, init } from './platform/init.js'
export type { Feeds, RunnerInput, Tensor, TensorData, TensorType } from './tensor/tensor.js'
