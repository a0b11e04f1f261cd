/**
 * Which axis of each input counts samples: what batches are cut along, and samples are taken out of them. Most inputs count
 * them on their first axis. A state (layers, batch, width) has another one, and a sampling rate has none.
 */
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { samplesIn } from './streamTensors.js'

/** The axis of each input that counts samples; inputs without one are the same in all batches. */
export type SampleAxes = ReadonlyMap<string, number>

/**
 * The axes that count samples. Of the first tensor of a batch it is the first axis. Of another it is the axis with the name of
 * that dimension, or else the first one that the model leaves open; it has the number of samples in all batches. An axis with
 * the name of another dimension of the first input counts something else, whatever its size.
 * @param batches of one run
 * @returns null where a batch cannot be cut: the model fixes its size, or a tensor has no such axis and differs from batch to
 * batch
 */
export function sampleAxes(batches: readonly Feeds[], inputs: readonly RunnerInput[]): SampleAxes | null {
  const axes = new Map<string, number>()
  const counts = batches.map((feeds) => samplesIn(feeds))
  const isOne = counts.every((count) => count <= 1)
  const declared = new Map(inputs.map(({ name, dims }) => [name, dims]))
  const names = Object.keys(batches[0] ?? {})
  const [batch, ...others] = declared.get(names[0] ?? '') ?? []
  for (const name of names) {
    const tensors = batches.map((feeds) => tensorNamed(feeds, name))
    const own = declared.get(name)
    const counting = (tensors[0]?.dims ?? []).flatMap((_, axis) =>
      tensors.every((tensor, i) => tensor?.dims[axis] === counts[i]) ? [axis] : [],
    )
    const isOpen = (axis: number): boolean => {
      const dim = own?.[axis]
      return typeof dim === 'string' ? dim === batch || !others.includes(dim) : typeof dim !== 'number'
    }
    const isNamed = (axis: number): boolean => typeof batch === 'string' && own?.[axis] === batch
    const axis = name === names[0] ? counting.find(isOpen) : (counting.find(isNamed) ?? counting.find(isOpen))
    const isFixed = counting[0] === 0 && typeof own?.[0] === 'number'
    if (axis !== undefined) axes.set(name, axis)
    else if (isFixed && isOne) axes.set(name, 0)
    else if (isFixed || tensors.some((tensor) => !isSame(tensor, tensors[0]))) return null
  }
  return axes
}

/** Whether two tensors have the same type, shape and bits. */
export function isSame(a: Tensor | undefined, b: Tensor | undefined): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined || a.type !== b.type || a.dims.join() !== b.dims.join()) return false
  if (a.data === b.data) return true
  const [own, other] = [bytesOf(a), bytesOf(b)]
  return own.every((byte, i) => byte === other[i])
}

const bytesOf = ({ data: { buffer, byteOffset, byteLength } }: Tensor): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)
