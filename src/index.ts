/** "gpfq": quantize one layer. Whole ONNX models: "gpfq/onnx". */
export { GpfqError, type GpfqErrorCode } from './errors.js'
export type { ExecutorMode } from './executor/executor.js'
export type { LayerInputs, LayerObserver } from './layerObserver.js'
export { merge, type ObservationShape, Observations } from './methods/observations.js'
export type { PatchGeometry } from './methods/patches.js'
export type { NeuronRange } from './methods/solution.js'
export type { Method, Radius, ScalePer } from './options.js'
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
