/** A model whose run takes long: matrices of 1,200 × 1,200, multiplied again and again. */
import { encodeModel } from '#src/onnx/model.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const SIZE = 1200

/** @param products of about half a second each */
export function longModel(products: number): { readonly model: Uint8Array; readonly feeds: Feeds } {
  const name = (i: number): string => (i === 0 ? 'x' : i === products ? 'y' : `h${i}`)
  const model = b.model(
    [
      ...Array.from({ length: products }, (_, i) => b.node('MatMul', [name(i), 'x'], [name(i + 1)])),
      b.node('MatMul', ['x', 'w'], ['z'], {}, 'fc'),
    ],
    [b.floats('w', [SIZE, 4], b.noise(4 * SIZE, 1))],
    [b.value('x', b.DataType.FLOAT, [SIZE, SIZE])],
    [b.value('y', b.DataType.FLOAT, [SIZE, SIZE]), b.value('z', b.DataType.FLOAT, [SIZE, 4])],
  )
  // Rows that sum to less than one, so that powers of the matrix stay finite.
  const data = b.noise(SIZE * SIZE, 2).map((value) => value / SIZE)
  return { model: encodeModel(model), feeds: { x: { type: 'float32', dims: [SIZE, SIZE], data } } }
}
