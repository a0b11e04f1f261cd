/** "gpfq": quantize one layer. Whole ONNX models: "gpfq/onnx". */
export { GpfqError, type GpfqErrorCode } from './errors.js'
export type { Form } from './methods/plan.js'
export type { Method, Radius, ScalePer } from './options.js'
export {
  createQuantizer,
  type LayerOptions,
  type LayerProblem,
  type LayerResult,
  type Quantizer,
  type QuantizerOptions,
} from './quantizer.js'
