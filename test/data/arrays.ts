/** Arbitrary tensors of every element type, for tests that write and read them. */
import fc from 'fast-check'
import { elementCount, elementsIn } from '#src/tensor/elements.js'
import type { Tensor, TensorType } from '#src/tensor/tensor.js'

const SIZES: readonly (readonly [TensorType, number])[] = [
  ['float32', 4],
  ['float64', 8],
  ['float16', 2],
  ['int8', 1],
  ['uint8', 1],
  ['int16', 2],
  ['uint16', 2],
  ['int32', 4],
  ['uint32', 4],
  ['int64', 8],
  ['uint64', 8],
]

export const tensors: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom(...SIZES), fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }))
  .chain(([[type, size], dims]) => {
    const length = elementCount(dims)
    return fc
      .uint8Array({ minLength: length * size, maxLength: length * size })
      .map((bytes) => ({ type, dims, data: elementsIn(type, bytes.slice().buffer, 0, length) }))
  })

/** The bytes of a tensor's elements, so that NaNs compare too. */
export function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
}

/** Bytes from hexadecimal text; spaces are ignored. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/** Latin-1 bytes of a text. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0))
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}
