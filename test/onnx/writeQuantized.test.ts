import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { foldBatchNorms } from '#src/onnx/foldBatchNorm.js'
import { formatsFor } from '#src/onnx/formats/choose.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { makeFloats } from '#src/onnx/tensor.js'
import { type QuantizedEntry, writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Format, QuantizedWeight } from '../../src/onnx/layer.js'
import * as b from './build.js'
import { CASES, type Case, randomQuantized, stored, valuesOf } from './cases.js'

const LEVELS = [2, 3, 4, 7, 15, 16, 31, 127, 255, 256]
const SCALINGS = [
  { name: 'layer', block: 1000, equal: true },
  { name: 'neuron', block: 1000, equal: false },
  { name: 'block16', block: 16, equal: false },
  { name: 'block5', block: 5, equal: false },
]

interface Variant {
  readonly y: string
  readonly case: Case
  readonly quantized: QuantizedWeight
}

/** A model in which every case stands once per number of levels and scaling, side by side. */
function everyVariant(): Variant[] {
  return Object.entries(CASES).flatMap(([op, entry], i) =>
    LEVELS.flatMap((levels) =>
      SCALINGS.map(({ name, block, equal }) => ({
        y: `${op}_${levels}_${name}`,
        case: entry,
        quantized: randomQuantized(entry, levels, block, equal, 31 * levels + i),
      })),
    ),
  )
}

function modelOf(
  variants: readonly Variant[],
  opset: number,
  weights: (v: Variant) => Float32Array,
  irVersion = 8,
): ModelProto {
  const nodes: NodeProto[] = []
  const constants: TensorProto[] = []
  for (const variant of variants) {
    const op = variant.y.split('_')[0] as string
    const made = variant.case.nodes(`x_${op}`, `${variant.y}_w`, variant.y)
    nodes.push(...made.nodes)
    constants.push(b.floats(`${variant.y}_w`, [...variant.case.dims], weights(variant)), ...made.constants)
  }
  const ops = [...new Set(variants.map(({ y }) => y.split('_')[0] as string))]
  return b.model(
    nodes,
    constants,
    ops.map((op) => `x_${op}`),
    variants.map(({ y }) => y),
    { opset, irVersion },
  )
}

function feedsOf(variants: readonly Variant[]): Record<string, b.ort.Tensor> {
  return Object.fromEntries(
    variants.map(({ y, case: { x } }) => [
      `x_${y.split('_')[0]}`,
      b.tensor(
        [...x],
        b.noise(
          x.reduce((p, d) => p * d, 1),
          99,
        ),
      ),
    ]),
  )
}

function entriesOf(model: ModelProto, variants: readonly Variant[], format: Format): QuantizedEntry[] {
  const graph = indexGraph(model)
  const { layers, skipped } = findLayers(graph)
  expect(skipped).toEqual([])
  return variants.flatMap((variant) => {
    const layer = layers.find(({ name }) => name === variant.y)!
    const { levels, blockSize } = variant.quantized
    const possible = formatsFor(graph, layer, levels, blockSize).find((f) => f.format === format)?.possible
    return possible ? [{ layer, quantized: variant.quantized, format }] : []
  })
}

describe('writeQuantized', () => {
  const variants = everyVariant()
  for (const opset of [7, 9, 10, 11, 13, 17, 21, 25, 26])
    it(`computes the quantized values in every form, for every op, at opset ${opset}`, async () => {
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

const FORMATS = ['float', 'packed', 'qdq', 'nbits'] as const
const x33 = () => ({ x: b.tensor([4, 33], b.noise(132, 8)) })
const shape = { groups: 1, inputs: 33, neurons: 33 }

/** The entries of all layers that can take the format, with random codes of `levels` values. */
function randomEntries(model: ModelProto, format: Format, levels: number, block = 1000): QuantizedEntry[] {
  const graph = indexGraph(model)
  return findLayers(graph).layers.flatMap((layer, i) => {
    const quantized = randomQuantized(layer, levels, block, false, 100 + i)
    const option = formatsFor(graph, layer, levels, quantized.blockSize).find((f) => f.format === format)
    return option?.possible ? [{ layer, quantized, format }] : []
  })
}

async function outputsOf(
  model: ModelProto,
  feeds: Record<string, b.ort.Tensor>,
): Promise<Record<string, Float32Array>> {
  const out = await b.run(encodeModel(model), feeds)
  return Object.fromEntries(Object.entries(out).map(([name, { data }]) => [name, data as Float32Array]))
}

function expectClose(
  got: Record<string, Float32Array>,
  expected: Record<string, Float32Array>,
  tolerance = 1e-5,
): void {
  expect(Object.keys(got)).toEqual(Object.keys(expected))
  for (const [name, values] of Object.entries(expected))
    expect(b.relativeDifference(got[name]!, values), name).toBeLessThan(tolerance)
}

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

  it('stays as it was: nodes, constants, unknown fields, producer, and the input model altogether', () => {
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

  it('lends no names: new tensors get names that nobody has', async () => {
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

  it('declares new initializers as inputs where the IR version wants it', async () => {
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

describe('bias corrections', () => {
  it('add one value per neuron to the outputs, in every form', async () => {
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
  it('of the weight stay what the node wants: double', async () => {
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

  it('refuses codes and scales that do not fit the layer, and forms that are not possible', () => {
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

  it('tells how many bytes stand for each layer, apart from the digit table that all share', () => {
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
    it(`compute the same in every form: ${name}`, async () => {
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
