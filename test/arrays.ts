/** Byte-for-byte comparison of long arrays: fast where they agree, precise where they do not. */
import { expect } from 'vitest'

type Numbers = Float32Array | Float64Array | Uint8Array

const bytesOf = ({ buffer, byteOffset, byteLength }: Numbers): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** Equal lengths and equal bytes; names the first element that differs. */
export function expectSame<T extends Numbers>(actual: T, expected: T, place = 'element'): void {
  expect(actual.length, `${place}: length`).toBe(expected.length)
  if (Buffer.compare(bytesOf(actual), bytesOf(expected)) === 0) return
  const at = actual.findIndex((value, i) => !Object.is(value, expected[i]))
  expect.fail(`${place} ${at} of ${actual.length}: expected ${expected[at]}, got ${actual[at]}`)
}
