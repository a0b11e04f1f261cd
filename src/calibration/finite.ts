/**
 * Outputs that are not finite. A network whose outputs are NaN cannot be quantized or compared: every error of it is NaN, too.
 * What is at fault is said: the samples, a constant of the model, or what the model computes of both. Minus infinity is a
 * value that masks use, and is allowed where an output has finite values as well.
 */
import { GpfqError, invalidData } from '../errors.js'
import type { GraphIndex } from '../onnx/graph.js'
import { graphOf } from '../onnx/model.js'
import { isFloatType, readFloats } from '../onnx/tensor.js'
import { isFloatType as isFloat } from '../tensor/elements.js'
import { floatsOf } from '../tensor/floats.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'

/** How many values of a float tensor no network should give: NaN, infinity, or all of them where none is finite. */
export function wrongValues(tensor: Tensor): number {
  if (!isFloat(tensor.type)) return 0
  const values = floatsOf(tensor)
  let wrong = 0
  let masked = 0
  for (const value of values) {
    if (value === Number.NEGATIVE_INFINITY) masked++
    else if (!Number.isFinite(value)) wrong++
  }
  return wrong + masked === values.length ? values.length : wrong
}

/**
 * Checks what the float model gives for the first batch.
 * @throws {GpfqError} INVALID_DATA with the output, and what is at fault; with the input where the samples are
 */
export function checkFloatOutputs(
  graph: GraphIndex,
  feeds: Feeds,
  outputs: ReadonlyMap<string, Tensor>,
): void {
  for (const name of graph.computedOutputs) {
    const tensor = outputs.get(name)
    const wrong = tensor === undefined ? 0 : wrongValues(tensor)
    if (tensor === undefined || wrong === 0) continue
    checkSamples(feeds)
    throw new GpfqError('INVALID_DATA', {
      place: `float model, output '${name}'`,
      problem: `${wrong} of ${tensor.data.length} values are not finite, before anything is quantized`,
      hint: culprit(graph),
    })
  }
}

function checkSamples(feeds: Feeds): void {
  for (const [name, tensor] of Object.entries(feeds))
    if (isFloat(tensor.type) && floatsOf(tensor).some((value) => !Number.isFinite(value)))
      throw invalidData(`tensor '${name}'`, 'finite values', 'NaN or infinity, in the samples')
}

function culprit(graph: GraphIndex): string {
  const constants = [
    ...graphOf(graph.model).initializer.map(({ name }) => name),
    ...graph.nodes.flatMap(({ opType, output }) => (opType === 'Constant' ? output.slice(0, 1) : [])),
  ]
  const constant = constants.find((name) => {
    const stored = graph.constant(name)
    if (stored === undefined || !isFloatType(stored.dataType)) return false
    return readFloats(stored).some((value) => Number.isNaN(value) || value === Number.POSITIVE_INFINITY)
  })
  if (constant !== undefined) return `its constant '${constant}' has values that are not finite`
  return 'look at the model and its samples: an overflow, a division by zero or a logarithm makes such values'
}
