/** What a written model keeps of the model it was made from, and what it adds beside the weights. */
import { describe, expect, it } from 'vitest'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import * as b from './build.js'
import { stored, valuesOf } from './cases.js'
import {
  entriesOf,
  everyVariant,
  expectClose,
  FORMATS,
  feedsOf,
  modelOf,
  outputsOf,
  randomEntries,
  type Variant,
  x33,
} from './quantizedModels.js'

describe('what is not quantized', () => {
  const chained = () => {
    const model = b.model(
      [
        b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
        b.node('MatMul', ['x', 't'], ['m']),
        b.node('Add', ['m', 'k'], ['y']),
      ],
      [
        b.floats('w', [33, 33], b.noise(33 * 33)),
        b.floats('k', [33], b.noise(33)),
        b.floats('idle', [1], [1]),
      ],
      ['x', 'w'],
      ['y'],
    )
    model.graph!.valueInfo = [b.value('t'), b.value('m')]
    model.$unknown = [{ no: 1000, wireType: 2, data: Uint8Array.of(1, 9) }]
    model.graph!.node[2]!.$unknown = [{ no: 1001, wireType: 2, data: Uint8Array.of(1, 9) }]
    return model
  }

  it('is not changed: nodes, constants, unknown fields, producer, and the whole input model', () => {
    const model = chained()
    const before = encodeModel(model)
    for (const format of FORMATS) {
      const { model: written } = writeQuantized(model, randomEntries(model, format, 15))
      const graph = decodeModel(encodeModel(written)).graph!
      expect(written.$unknown).toEqual(model.$unknown)
      expect(graph.node.at(-1)!.$unknown).toHaveLength(1)
      expect(written.producerName).toBe('test')
      expect(graph.initializer.map(({ name }) => name)).toContain('idle')
      expect(graph.initializer.find(({ name }) => name === 'k')!.rawData).toEqual(
        model.graph!.initializer[1]!.rawData,
      )
      expect(encodeModel(model)).toEqual(before)
    }
  })

  it('does not include the old weight, its chain, its graph input or their shapes', () => {
    const { graph } = writeQuantized(chained(), randomEntries(chained(), 'float', 15)).model
    expect(graph!.initializer.map(({ name }) => name)).not.toContain('w')
    expect(graph!.node.map(({ opType }) => opType)).toEqual(['MatMul', 'Add'])
    expect(graph!.input.map(({ name }) => name)).toEqual(['x'])
    expect(graph!.valueInfo.map(({ name }) => name)).toEqual(['m'])
  })

  it('gives new tensors names that are not in the model', async () => {
    const model = chained()
    const taken = [
      'w:codes',
      'w:quantized',
      'w:scale',
      'gpfq:0',
      'gpfq:1',
      'gpfq:levels:15',
      'gpfq:zero:7',
      'gpfq:powers:15:2',
    ]
    model.graph!.initializer.push(...taken.map((name) => b.floats(name, [1], [3])))
    const expected = await outputsOf(
      writeQuantized(chained(), randomEntries(chained(), 'float', 15)).model,
      x33(),
    )
    for (const format of FORMATS)
      expectClose(
        await outputsOf(writeQuantized(model, randomEntries(model, format, 15)).model, x33()),
        expected,
      )
  })

  it('gets one line of metadata when asked for, in place of an older one', () => {
    const once = writeQuantized(chained(), [], new Map(), 'gpfq 1').model
    const twice = writeQuantized(once, [], new Map(), 'gpfq 2').model
    expect(twice.metadataProps.map(({ key, value }) => `${key}=${value}`)).toEqual(['gpfq=gpfq 2'])
  })

  it('declares new initializers as inputs where the IR version requires it', async () => {
    const variants = everyVariant().filter(({ y }) => /_(3|15)_(neuron|block5)$/.test(y))
    const weights = (v: Variant) => stored(v.case, valuesOf(v.case, v.quantized))
    const model = modelOf(variants, 8, ({ case: c }) => b.noise(c.groups * c.inputs * c.neurons), 3)
    model.graph!.input.push(
      ...model.graph!.initializer.map(({ name, dataType, dims }) =>
        b.value(name, dataType, dims.map(Number)),
      ),
    )
    const expected = await b.run(encodeModel(modelOf(variants, 8, weights)), feedsOf(variants))
    for (const format of ['packed', 'nbits'] as const) {
      const entries = entriesOf(model, variants, format)
      const written = writeQuantized(model, entries).model
      const declared = new Set(written.graph!.input.map(({ name }) => name))
      for (const { name } of written.graph!.initializer) expect(declared.has(name), name).toBe(true)
      const got = await b.run(encodeModel(written), feedsOf(variants))
      for (const { layer } of entries)
        expect(
          b.relativeDifference(
            got[layer.name]!.data as Float32Array,
            expected[layer.name]!.data as Float32Array,
          ),
          layer.name,
        ).toBeLessThan(1e-5)
    }
  })
})
