/**
 * Checks batches against the model's inputs: names, element types, fixed dimensions. ONNX Runtime checks them too, but only
 * when the whole model runs, which is the last step.
 */
import { GpfqError } from '../errors.js'
import { elementCount } from '../tensor/elements.js'
import { tensorNamed } from '../tensor/named.js'
import { describeShape } from '../tensor/shapes.js'
import type { Feeds, RunnerInput } from '../tensor/tensor.js'

/**
 * Checks one batch.
 * @param place the name of the batch in errors
 * @throws {GpfqError} INVALID_DATA with the input, the expected type and shape, and those found
 */
export function checkFeeds(place: string, feeds: Feeds, inputs: readonly RunnerInput[]): void {
  for (const { name, type, dims } of inputs) {
    if (type === 'not a tensor') continue
    const tensor = tensorNamed(feeds, name)
    const expected = `${describeShape(dims)} of ${type} for input '${name}'`
    if (tensor === undefined)
      throw invalid(place, expected, `none; there is ${Object.keys(feeds).join(', ') || 'nothing'}`)
    const found = `${describeShape(tensor.dims)} of ${tensor.type}`
    const fits =
      dims === null ||
      (dims.length === tensor.dims.length &&
        dims.every((dim, axis) => typeof dim !== 'number' || dim === tensor.dims[axis]))
    if (!fits || tensor.type !== type) throw invalid(place, expected, found)
    if (tensor.data.length !== elementCount(tensor.dims))
      throw invalid(place, `${elementCount(tensor.dims)} values for ${found}`, `${tensor.data.length}`)
  }
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
