/**
 * Inputs that are the same for every batch: a sampling rate, a state of zeros, a mask of ones. They have the shape that the
 * model declares. A dimension with a name is as large as in the inputs that have samples; one that nothing tells is 1.
 */
import { GpfqError } from '../errors.js'
import { allocateElements, convertElements, elementCount, isTensorType } from '../tensor/elements.js'
import { describeShape } from '../tensor/shapes.js'
import type { RunnerInput, Tensor } from '../tensor/tensor.js'
import { shapeText } from './quote.js'

/** The value of a constant input: zeros, ones, one number for all elements, or a number for each. */
export type ConstantValue = 'zeros' | 'ones' | number | readonly number[]

/** What the inputs that have samples tell of a batch. */
export interface BatchSizes {
  readonly samples: number
  /** Names of dimensions → their sizes. */
  readonly named: ReadonlyMap<string, number>
}

/**
 * A constant input: its tensor for each batch, the same object for batches that follow each other as long as its shape stays.
 * @param axis the one that counts samples, where the model does not say it; undefined for none
 * @throws {GpfqError} INVALID_DATA, from the function too, if the value does not fit the input's type or shape
 */
export function constantInput(
  input: RunnerInput,
  value: ConstantValue,
  axis: number | undefined,
): (sizes: BatchSizes) => Tensor {
  const { name, type } = input
  const place = `input ${name}`
  if (!isTensorType(type))
    throw new GpfqError('INVALID_DATA', { place, expected: 'an input of numbers', got: type })
  const numbers = numbersOf(value)
  const isList = typeof value === 'object'
  const elements = convertElements(place, Float64Array.from(numbers), 'float64', type)
  const shape = input.dims ?? (isList ? [numbers.length] : [])
  let last: Tensor | undefined
  return ({ samples, named }) => {
    const dims = shape.map((dim, at) => {
      if (typeof dim === 'number' && dim > 0) return dim
      if (at === axis) return samples
      return (typeof dim === 'string' ? named.get(dim) : undefined) ?? 1
    })
    if (last?.dims.join() === dims.join()) return last
    const count = elementCount(dims)
    if (isList && numbers.length !== count)
      throw new GpfqError('INVALID_DATA', {
        place,
        expected: `one number, or ${count} for shape ${describeShape(input.dims)}, ${shapeText(dims)} here`,
        got: `${numbers.length} numbers`,
      })
    const data = isList ? elements : allocateElements(type, count)
    const [element = 0] = elements
    if (!isList) for (let i = 0; i < count; i++) data[i] = element
    last = { type, dims, data }
    return last
  }
}

function numbersOf(value: ConstantValue): readonly number[] {
  if (value === 'zeros') return [0]
  if (value === 'ones') return [1]
  return typeof value === 'number' ? [value] : value
}
