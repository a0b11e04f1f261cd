/** Quantized weights in every format: ONNX Runtime computes the quantized values from them, for every op and opset. */
import { describe, expect, it } from 'vitest'
import { foldBatchNorms } from '#src/onnx/foldBatchNorm.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { makeFloats } from '#src/onnx/tensor.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Format, QuantizedWeight } from '../../src/onnx/layer.js'
import * as b from './build.js'
import { CASES, randomQuantized, stored, valuesOf } from './cases.js'
import {
  entriesOf,
  everyVariant,
  expectClose,
  FORMATS,
  feedsOf,
  modelOf,
  outputsOf,
  randomEntries,
  x33,
} from './quantizedModels.js'

describe('writeQuantized', () => {
  const variants = everyVariant()
  for (const opset of [7, 9, 10, 11, 13, 17, 21, 25, 26])
    it(`computes the quantized values in every format, for every op, at opset ${opset}`, async () => {
      const model = modelOf(variants, opset, ({ case: c }) => b.noise(c.groups * c.inputs * c.neurons))
      const reference = modelOf(variants, opset, (v) => stored(v.case, valuesOf(v.case, v.quantized)))
      const feeds = feedsOf(variants)
      const expected = await b.run(encodeModel(reference), feeds)
      const counts = { float: 0, packed: 0, qdq: 0, nbits: 0 }
      for (const format of ['float', 'packed', 'qdq', 'nbits'] as const) {
        const entries = entriesOf(model, variants, format)
        counts[format] = entries.length
        if (entries.length === 0) continue
        const written = writeQuantized(model, entries).model
        const got = await b.run(encodeModel(written), feeds)
        const wrong = entries.flatMap(({ layer: { name } }) => {
          const d = b.relativeDifference(
            got[name]!.data as Float32Array,
            expected[name]!.data as Float32Array,
          )
          return d < 1e-5 ? [] : [`${format} ${name}: ${d}`]
        })
        expect(wrong).toEqual([])
      }
      const all = variants.length
      expect(counts.float).toBe(all)
      expect(counts.packed).toBe(all)
      expect(counts.nbits).toBeGreaterThan(0)
      if (opset < 13) expect(counts.qdq).toBe(0)
      else expect(counts.qdq).toBe(all)
    })
})

describe('bias corrections', () => {
  it('add one value per neuron to the outputs, in every format', async () => {
    const variants = everyVariant().filter(({ y }) => /_15_neuron$/.test(y))
    const model = modelOf(variants, 21, ({ case: c }) => b.noise(c.groups * c.inputs * c.neurons))
    const corrections = new Map(
      variants.map(({ y, case: c }, i) => [y, b.noise(c.groups * c.neurons, i + 1)]),
    )
    const plain = await outputsOf(
      writeQuantized(model, entriesOf(model, variants, 'float')).model,
      feedsOf(variants),
    )
    for (const format of FORMATS) {
      const entries = entriesOf(model, variants, format)
      const got = await outputsOf(writeQuantized(model, entries, corrections).model, feedsOf(variants))
      for (const { layer } of entries) {
        const correction = corrections.get(layer.name)!
        const { data: before } = { data: plain[layer.name]! }
        // Outputs run (batch, neurons, positions) for convolutions and columns, (samples, neurons) otherwise.
        const op = layer.name.split('_')[0]!
        const positions = /^conv|Left/.test(op)
          ? before.length / (correction.length * (CASES[op]!.x[0] as number))
          : 1
        const expected = before.map((v, i) => v + correction[Math.floor(i / positions) % correction.length]!)
        expect(b.relativeDifference(got[layer.name]!, expected), `${format} ${layer.name}`).toBeLessThan(1e-5)
      }
    }
  })
})

describe('element types', () => {
  it('have the element type of the node: double', async () => {
    const model = b.model(
      [b.node('MatMul', ['x', 'w'], ['y'])],
      [makeFloats('w', b.DataType.DOUBLE, [33, 6], b.noise(198))],
      [b.value('x', b.DataType.DOUBLE)],
      [b.value('y', b.DataType.DOUBLE)],
      { opset: 21 },
    )
    const x = { x: new b.ort.Tensor('float64', Float64Array.from(b.noise(66, 8)), [2, 33]) }
    const expected = await b.run(
      encodeModel(writeQuantized(model, randomEntries(model, 'float', 7)).model),
      x,
    )
    for (const format of ['packed', 'qdq'] as const) {
      const got = await b.run(encodeModel(writeQuantized(model, randomEntries(model, format, 7)).model), x)
      expect(
        b.relativeDifference(got.y!.data as Float64Array, expected.y!.data as Float64Array),
      ).toBeLessThan(1e-6)
    }
  })

  it('of a float16 weight that is cast to float may be left behind', async () => {
    const model = b.model(
      [b.node('Cast', ['w'], ['f'], { to: b.DataType.FLOAT }), b.node('MatMul', ['x', 'f'], ['y'])],
      [makeFloats('w', b.DataType.FLOAT16, [33, 6], b.noise(198))],
      ['x'],
      ['y'],
    )
    const [entry] = randomEntries(model, 'packed', 7)
    const written = writeQuantized(model, [entry!]).model
    expect(written.graph!.initializer.map(({ name }) => name)).not.toContain('w')
    const float = writeQuantized(model, [{ ...entry!, format: 'float' }]).model
    expectClose(await outputsOf(written, x33()), await outputsOf(float, x33()))
  })
})

describe('the writer', () => {
  const model = b.model(
    [b.node('MatMul', ['x', 'w'], ['y'])],
    [b.floats('w', [33, 33], b.noise(33 * 33))],
    ['x'],
    ['y'],
  )
  const [entry] = randomEntries(model, 'packed', 7)

  it('refuses codes and scales that do not fit the layer, and formats that are not possible', () => {
    const write = (change: Partial<QuantizedWeight>, format: Format = 'packed') =>
      writeQuantized(model, [{ layer: entry!.layer, quantized: { ...entry!.quantized, ...change }, format }])
    expect(() => write({ codes: new Uint8Array(5) })).toThrow(/codes of 'y_node': expected 1089, got 5/)
    expect(() => write({ scales: new Float32Array(5) })).toThrow(/scales of 'y_node': expected 33, got 5/)
    expect(() => write({ levels: 3, zero: 1 })).toThrow(/codes of 'y_node': expected at most 2, got 6/)
    const conv = b.model(
      [b.node('Conv', ['x', 'w'], ['y'])],
      [b.floats('w', [2, 2, 1, 1], b.noise(4))],
      ['x'],
      ['y'],
    )
    const [layer] = findLayers(indexGraph(conv)).layers
    const quantized = randomQuantized(layer!, 7, 1000, false, 1)
    expect(() => writeQuantized(conv, [{ layer: layer!, quantized, format: 'nbits' }])).toThrow(
      /MatMul and Gemm only/,
    )
  })

  it('counts the bytes that replace each weight, without the digit table that all share', () => {
    const { model: written, bytes } = writeQuantized(model, [entry!])
    const rest = encodeModel(writeQuantized(model, []).model).length - 33 * 33 * 4
    expect(Math.abs(encodeModel(written).length - rest - bytes.get('y_node')! - 343 * 3)).toBeLessThan(400)
  })

  it('gives a model whose layers are known to be quantized', () => {
    const graph = (format: Format) => indexGraph(writeQuantized(model, [{ ...entry!, format }]).model)
    expect(findLayers(graph('packed'))).toMatchObject({
      layers: [],
      skipped: [{ reason: expect.stringMatching(/computed from initializers/) }],
    })
    expect(findLayers(graph('qdq'))).toMatchObject({
      layers: [],
      skipped: [{ reason: expect.stringMatching(/quantized already/) }],
    })
    expect(findLayers(graph('nbits'))).toMatchObject({
      layers: [],
      skipped: [{ reason: expect.stringMatching(/quantized already/) }],
    })
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  for (const name of ['cifar10-resnet20', 'mnist-mlp-500-300-bn', 'tinystories-llama-260k-t256'] as const)
    it(`compute the same in every format: ${name}`, async () => {
      const model = foldBatchNorms(decodeModel(b.realModel(name))).model
      const feeds = b.realFeeds(name)
      const all = randomEntries(model, 'float', 15)
      const expected = await outputsOf(writeQuantized(model, all).model, feeds)
      for (const format of ['packed', 'qdq', 'nbits'] as const) {
        const possible = new Map(randomEntries(model, format, 15).map((entry) => [entry.layer.name, entry]))
        const entries = all.map((entry) => possible.get(entry.layer.name) ?? entry)
        expectClose(await outputsOf(writeQuantized(model, entries).model, feeds), expected, 1e-4)
      }
    })
})
