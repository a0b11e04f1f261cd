/**
 * Whether the samples of a file fit an input of a model, and as which shape. Shapes here are of one sample, the
 * batch axis taken off; a model's dimension that is a name or unknown fits any size, and no shape at all fits any.
 */
import type { RunnerInput } from './tensor.js'

export type ModelDims = RunnerInput['dims']

/** Shape of one sample of an input. */
export function sampleDims({ dims }: RunnerInput): ModelDims {
  return dims === null ? null : dims.slice(1)
}

/**
 * The shape in which a sample of shape `file` goes into an input of shape `model`, or null.
 * Accepted: the very shape; a missing channel axis of size 1 in front or behind; a flattened or unflattened sample
 * of the same number of elements. Never a transposition, which would silently compute nonsense.
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

/** A model whose images lie as (height, width, channels): only its last axis can be the channels. */
export function isChannelsLast(model: ModelDims): boolean {
  if (model?.length !== 3) return false
  return isChannelCount(model[2]) && !isChannelCount(model[0])
}

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
