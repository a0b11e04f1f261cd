/** Values of float tensors, float16 against ONNX Runtime's own Cast over all bit patterns. */
import { describe, expect, it } from 'vitest'
import { encodeModel } from '#src/onnx/model.js'
import { floatsOf } from '#src/tensor/floats.js'
import type { Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

describe('floatsOf', () => {
  it('is the array itself for float32', () => {
    const data = Float32Array.of(1, 2)
    expect(floatsOf({ type: 'float32', dims: [2], data })).toBe(data)
  })

  it('rounds float64 to float32', () => {
    const data = Float64Array.of(0.1, 1e300, -(2 ** -151))
    const expected = Float32Array.of(Math.fround(0.1), Number.POSITIVE_INFINITY, -0)
    expect(floatsOf({ type: 'float64', dims: [3], data })).toEqual(expected)
  })

  it('reads all 65536 values of float16 as ONNX Runtime does', async () => {
    const data = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
    const model = b.model(
      [b.node('Cast', ['x'], ['y'], { to: b.DataType.FLOAT })],
      [],
      [b.value('x', b.DataType.FLOAT16, [65536])],
      ['y'],
    )
    const { y } = await b.run(encodeModel(model), { x: new b.ort.Tensor('float16', data, [65536]) })
    expect(floatsOf({ type: 'float16', dims: [65536], data })).toEqual(y!.data)
  })

  it.each<Tensor>([
    { type: 'uint16', dims: [1], data: Uint16Array.of(1) },
    { type: 'int64', dims: [1], data: BigInt64Array.of(1n) },
    { type: 'bool', dims: [1], data: Uint8Array.of(1) },
  ])('refuses $type', (tensor) => {
    expect(() => floatsOf(tensor)).toThrow(TypeError)
    expect(() => floatsOf(tensor)).toThrow(`tensor: expected floats, got ${tensor.type}`)
  })
})
