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
 * A constant input for one batch.
 * @param axis the one that counts samples, where the model does not say it; undefined for none
 * @throws {GpfqError} INVALID_DATA if the value does not fit the input's type or shape
 */
export function constantTensor(
  input: RunnerInput,
  value: ConstantValue,
  { samples, named }: BatchSizes,
  axis: number | undefined,
): Tensor {
  const { name, type } = input
  const place = `input ${name}`
  if (!isTensorType(type))
    throw new GpfqError('INVALID_DATA', { place, expected: 'an input of numbers', got: type })
  const numbers = numbersOf(value)
  const sizeOf = (dim: number | string | null, at: number): number => {
    if (typeof dim === 'number' && dim > 0) return dim
    if (at === axis) return samples
    return (typeof dim === 'string' ? named.get(dim) : undefined) ?? 1
  }
  const shape = input.dims ?? (typeof value === 'object' ? [numbers.length] : [])
  const dims = shape.map(sizeOf)
  const count = elementCount(dims)
  if (typeof value === 'object' && numbers.length !== count)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: `one number, or ${count} for shape ${describeShape(input.dims)}, ${shapeText(dims)} here`,
      got: `${numbers.length} numbers`,
    })
  const elements = convertElements(place, Float64Array.from(numbers), 'float64', type)
  if (typeof value === 'object') return { type, dims, data: elements }
  const data = allocateElements(type, count)
  const [element = 0] = elements
  for (let i = 0; i < count; i++) data[i] = element
  return { type, dims, data }
}

function numbersOf(value: ConstantValue): readonly number[] {
  if (value === 'zeros') return [0]
  if (value === 'ones') return [1]
  return typeof value === 'number' ? [value] : value
}
