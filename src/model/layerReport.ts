/** What is reported of a layer, once its codes are chosen and as far as its error is known. */
import { type OutputErrors, relativeOf } from '../calibration/outputErrors.js'
import { outputsOf } from '../onnx/layer.js'
import type { LayerReport } from '../options.js'
import type { FinishedLayer } from './solveStage.js'

/** 20·log₁₀(1/ε): the signal-to-quantization-noise ratio of a relative error, in decibels. */
export const sqnrDb = (relativeError: number): number => -20 * Math.log10(relativeError)

/** Errors of layers' outputs on the samples of calibration, and on those that are kept out. */
export interface LayerErrors {
  readonly errors: OutputErrors
  readonly heldOutErrors: OutputErrors
}

export function describeLayer(
  { planned, samples, deadInputs, seconds, zeros, weights, judgement }: FinishedLayer,
  { errors, heldOutErrors }: LayerErrors,
  bytesOut: number,
): LayerReport {
  const { name, op, weight, inputs, neurons, groups, levels, format, formatReason, codeBits, bytesIn } =
    planned
  const { kernel, ranges, kernelReason, rounded } = planned
  const outputs = outputsOf(planned.layer)
  const relativeError = relativeOf(errors.of(outputs))
  return {
    ...{ name, op, weight, inputs, neurons, groups, rounded, samples, levels, format, formatReason },
    ...{ kernel, ranges, kernelReason },
    relativeError,
    sqnrDb: relativeError === null ? null : sqnrDb(relativeError),
    heldOutError: relativeOf(heldOutErrors.of(outputs)),
    judgement,
    ...{ deadInputs, codeBits, zeros, weights, bytesIn, bytesOut, seconds },
  }
}
