/** Weights that several nodes read: what is stored once, what is copied, and what is kept for other readers. */
import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Format } from '../../src/onnx/layer.js'
import * as b from './build.js'
import { randomQuantized, valuesOf } from './cases.js'
import { expectClose, FORMATS, outputsOf, randomEntries, shape, x33 } from './quantizedModels.js'

describe('a weight with several readers', () => {
  const tied = (opset: number) =>
    b.model(
      [
        b.node('Gemm', ['x', 'w', 'c'], ['g'], { transB: 1 }),
        b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
        b.node('MatMul', ['x', 't'], ['m']),
        b.node('MatMul', ['w', 'xt'], ['l']),
        b.node('Transpose', ['x'], ['xt'], { perm: [1, 0] }),
      ],
      [b.floats('w', [33, 33], b.noise(33 * 33)), b.floats('c', [33], b.noise(33))],
      ['x'],
      ['g', 'm', 'l'],
      { opset },
    )

  for (const opset of [7, 13, 25])
    it(`is stored once and read by each node in its own layout, at opset ${opset}`, async () => {
      const model = tied(opset)
      const [layer] = findLayers(indexGraph(model)).layers
      expect(layer!.uses).toHaveLength(3)
      for (const levels of [3, 15, 16, 255]) {
        const quantized = randomQuantized(shape, levels, 1000, false, levels)
        const written = (format: Format) =>
          writeQuantized(model, [{ layer: layer!, quantized, format }]).model
        const reference = tied(opset)
        reference.graph!.initializer[0] = b.floats('w', [33, 33], transposed(valuesOf(shape, quantized)))
        const expected = await outputsOf(reference, x33())
        for (const format of opset < 13
          ? (['float', 'packed'] as const)
          : (['float', 'packed', 'qdq'] as const)) {
          const result = written(format)
          expectClose(await outputsOf(result, x33()), expected)
          const large = result.graph!.initializer.filter(
            ({ name, rawData }) => !name.startsWith('gpfq:') && rawData.length > 160,
          )
          expect(large, format).toHaveLength(1)
        }
      }
    })

  it('keeps the original values for readers that are not quantized', async () => {
    const model = b.model(
      [b.node('Gather', ['w', 'i'], ['e']), b.node('MatMul', ['e', 'w'], ['y'])],
      [b.floats('w', [33, 33], b.noise(33 * 33))],
      [b.value('i', b.DataType.INT64)],
      ['e', 'y'],
    )
    const feeds = { i: new b.ort.Tensor('int64', BigInt64Array.of(2n, 30n), [2]) }
    const expected = await outputsOf(model, feeds)
    for (const format of FORMATS) {
      const written = writeQuantized(model, randomEntries(model, format, 15)).model
      expect((await outputsOf(written, feeds)).e).toEqual(expected.e)
    }
  })

  it('gets a copy of its own for each way of seeing it that differs', async () => {
    const nodes = [b.node('MatMul', ['x', 'w'], ['a']), b.node('Gemm', ['x', 'w'], ['y'], { transB: 1 })]
    const build = (w: ArrayLike<number>) => b.model(nodes, [b.floats('w', [33, 33], w)], ['x'], ['a', 'y'])
    const model = build(b.noise(33 * 33))
    const entries = randomEntries(model, 'packed', 7)
    expect(entries).toHaveLength(2)
    const got = await outputsOf(writeQuantized(model, entries).model, x33())
    const [a, y] = entries.map(({ quantized }) => valuesOf(shape, quantized))
    expectClose({ a: got.a! }, { a: (await outputsOf(build(a!), x33())).a! })
    expectClose({ y: got.y! }, { y: (await outputsOf(build(transposed(y!)), x33())).y! })
  })
})

function transposed(values: Float32Array): Float32Array {
  return values.map((_, i) => values[(i % 33) * 33 + Math.floor(i / 33)] as number)
}
