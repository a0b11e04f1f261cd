/** Samples of a tensor that counts them on any of its axes: some of them, or those of several tensors as one. */
import { allocateElements, elementCount } from '../tensor/elements.js'
import { swapLeading } from '../tensor/shapes.js'
import type { Tensor, TensorData } from '../tensor/tensor.js'

/** Some samples of a tensor, in this order: a copy. */
export function takeSamples(tensor: Tensor, axis: number, samples: readonly number[]): Tensor {
  const data = oneByOne(tensor, axis)
  const length = data.length / Math.max(1, tensor.dims[axis] ?? 1)
  return stacked(
    tensor,
    axis,
    samples.map((i) => data.subarray(i * length, (i + 1) * length)),
  )
}

/** The samples of several tensors, which have the same shape otherwise, one after another. */
export const joinSamples = (tensors: readonly [Tensor, ...Tensor[]], axis: number): Tensor =>
  stacked(
    tensors[0],
    axis,
    tensors.map((tensor) => oneByOne(tensor, axis)),
  )

/** The elements of a tensor, one sample after another. */
function oneByOne({ type, dims, data }: Tensor, axis: number): TensorData {
  if (axis === 0) return data
  const [outer, inner] = [elementCount(dims.slice(0, axis)), elementCount(dims.slice(axis + 1))]
  return swapLeading(type, data, outer, dims[axis] ?? 1, inner)
}

/** A tensor of samples that lie one after another in these parts. */
function stacked({ type, dims }: Tensor, axis: number, parts: readonly TensorData[]): Tensor {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const out = allocateElements(type, length)
  const bytes = new Uint8Array(out.buffer)
  let at = 0
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at)
    at += part.byteLength
  }
  const sample = elementCount(dims.toSpliced(axis, 1))
  const samples = sample === 0 ? 0 : length / sample
  if (axis === 0) return { type, dims: dims.with(0, samples), data: out }
  const [outer, inner] = [elementCount(dims.slice(0, axis)), elementCount(dims.slice(axis + 1))]
  return { type, dims: dims.with(axis, samples), data: swapLeading(type, out, samples, outer, inner) }
}
