/**
 * Whether the samples of a file fit an input of a model, and in which shape. Shapes are of one sample, without the batch
 * axis, which is the first one unless it is said otherwise. A dimension of the model that is a name or unknown fits any size; an input without a declared shape fits any
 * shape.
 */
import { allocateElements } from './elements.js'
import type { RunnerInput, TensorData, TensorType } from './tensor.js'

/** Dimensions that a model declares: sizes, names, or null if unknown; null for no shape. */
export type ModelDims = RunnerInput['dims']

/** Shape of one sample of an input. @param axis that of the batch */
export function sampleDims({ dims }: RunnerInput, axis = 0): ModelDims {
  return dims === null ? null : dims.toSpliced(axis, 1)
}

/** Elements (a, b, inner) in the order (b, a, inner). */
export function swapLeading(
  type: TensorType,
  data: TensorData,
  a: number,
  b: number,
  inner: number,
): TensorData {
  const out = allocateElements(type, data.length)
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++)
      for (let k = 0, from = (i * b + j) * inner, to = (j * a + i) * inner; k < inner; k++)
        out[to + k] = data[from + k]!
  return out
}

/**
 * The shape in which a sample of shape `file` goes into an input of shape `model`, or null.
 * Accepted: the same shape; a missing channel axis of size 1, first or last; a flattened or unflattened sample with the
 * same number of elements. Not accepted: a transposition, because the model would compute wrong outputs from it.
 */
export function fitSample(file: readonly number[], model: ModelDims): readonly number[] | null {
  if (model === null || matches(file, model)) return file
  if (model[0] === 1 && matches(file, model.slice(1))) return [1, ...file]
  if (model.at(-1) === 1 && matches(file, model.slice(0, -1))) return [...file, 1]
  const fixed = model.filter((dim): dim is number => typeof dim === 'number')
  const isFlat = file.length === 1 || model.length === 1
  if (isFlat && fixed.length === model.length && product(fixed) === product(file)) return fixed
  return null
}

/** Whether images are (height, width, channels): only the last axis has the size of channels. */
export function isChannelsLast(model: ModelDims): boolean {
  if (model?.length !== 3) return false
  return isChannelCount(model[2]) && !isChannelCount(model[0])
}

/** A shape as text. */
export function describeShape(dims: ModelDims): string {
  return dims === null ? '(any shape)' : `(${dims.map((dim) => dim ?? '?').join(', ')})`
}

function isChannelCount(dim: number | string | null | undefined): boolean {
  return dim === 1 || dim === 3 || dim === 4
}

function matches(file: readonly number[], model: NonNullable<ModelDims>): boolean {
  return (
    file.length === model.length && file.every((dim, i) => typeof model[i] !== 'number' || model[i] === dim)
  )
}

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1)
}
