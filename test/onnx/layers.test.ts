import { create } from '@bufbuild/protobuf'
import {
  TensorProto_DataType as DataType,
  FunctionProtoSchema,
  type ModelProto,
  type NodeProto,
} from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, floatCopies, readWeights, viewsOf } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { resolvePads } from '#src/onnx/pads.js'
import { makeFloats } from '#src/onnx/tensor.js'
import type { Layer } from '../../src/onnx/layer.js'
import * as b from './build.js'
import { CASES, stored } from './cases.js'

const find = (model: ModelProto, filter = {}) => findLayers(indexGraph(model), filter)
const skipReason = (nodes: NodeProto[], constants: Parameters<typeof b.model>[1], inputs = ['x']) => {
  const { layers, skipped } = find(b.model(nodes, constants, inputs, nodes.at(-1)!.output.slice(0, 1)))
  expect(layers).toEqual([])
  return skipped.map(({ reason }) => reason).join()
}

/** A layer's output from its definition in layer.ts: sample rows times canonical weights, in float64. */
function outputOf(layer: Layer, weights: Float32Array, x: Float32Array, dims: readonly number[]): number[] {
  const { sampling } = layer.uses[0]!
  const { groups, inputs, neurons } = layer
  const dot = (row: (g: number, t: number) => number, g: number, n: number) => {
    let sum = 0
    for (let t = 0; t < inputs; t++) sum += row(g, t) * (weights[(g * inputs + t) * neurons + n] as number)
    return sum
  }
  const y: number[] = []
  if (sampling.kind === 'rows') {
    for (let s = 0; s < x.length / inputs; s++)
      for (let n = 0; n < neurons; n++) y.push(dot((_, t) => x[s * inputs + t] as number, 0, n))
  } else if (sampling.kind === 'columns') {
    const samples = dims.at(-1) as number
    for (let batch = 0; batch < x.length / (inputs * samples); batch++)
      for (let n = 0; n < neurons; n++)
        for (let s = 0; s < samples; s++)
          y.push(dot((_, t) => x[(batch * inputs + t) * samples + s] as number, 0, n))
  } else {
    const [batch, channels, height, width] =
      dims.length === 3 ? [dims[0]!, dims[1]!, 1, dims[2]!] : (dims as [number, number, number, number])
    const { pads, outHeight, outWidth } = resolvePads(sampling, height, width)
    const [kh, kw] = sampling.kernel
    const perGroup = channels / groups
    for (let i = 0; i < batch; i++)
      for (let o = 0; o < groups * neurons; o++)
        for (let oy = 0; oy < outHeight; oy++)
          for (let ox = 0; ox < outWidth; ox++)
            y.push(
              dot(
                (g, t) => {
                  const c = g * perGroup + Math.floor(t / (kh * kw))
                  const py =
                    oy * sampling.strides[0] + (Math.floor(t / kw) % kh) * sampling.dilations[0] - pads[0]
                  const px = ox * sampling.strides[1] + (t % kw) * sampling.dilations[1] - pads[1]
                  const inside = py >= 0 && py < height && px >= 0 && px < width
                  return inside ? (x[((i * channels + c) * height + py) * width + px] as number) : 0
                },
                Math.floor(o / neurons),
                o % neurons,
              ),
            )
  }
  return y
}

describe('findLayers', () => {
  for (const [op, c] of Object.entries(CASES)) {
    const weights = b.noise(c.groups * c.inputs * c.neurons, 11)
    const made = c.nodes('x', 'w', 'y')
    const build = () =>
      b.model(made.nodes, [b.floats('w', [...c.dims], stored(c, weights)), ...made.constants], ['x'], ['y'])

    it(`finds ${op} and reads its weight as (groups, inputs, neurons)`, () => {
      const graph = indexGraph(decodeModel(encodeModel(build())))
      const { layers, skipped } = findLayers(graph)
      expect(skipped).toEqual([])
      expect(layers).toHaveLength(1)
      expect(layers[0]).toMatchObject({
        name: 'y',
        weight: 'w',
        groups: c.groups,
        inputs: c.inputs,
        neurons: c.neurons,
      })
      expect(layers[0]!.uses).toMatchObject([
        { node: 'y', input: 'x', output: 'y', sampling: { kind: c.sampling } },
      ])
      expect(readWeights(graph, layers[0]!)).toEqual(weights)
    })

    it(`describes ${op} so that sample rows times weights are what ONNX Runtime computes`, async () => {
      const model = build()
      const graph = indexGraph(model)
      const x = b.noise(
        c.x.reduce((p, d) => p * d, 1),
        5,
      )
      const ort = (await b.run(encodeModel(model), { x: b.tensor([...c.x], x) })).y!
      let expected = outputOf(findLayers(graph).layers[0]!, weights, x, c.x)
      const isGemm = made.nodes.at(-1)!.opType === 'Gemm'
      const plain = op === 'gemmPlain'
      if (isGemm) {
        const bias = b.noise(6, 5)
        const transposed = c.sampling === 'columns'
        const rows = c.x[transposed ? 1 : 0] as number
        expected = Array.from({ length: rows * 6 }, (_, i) => {
          const [row, n] = [Math.floor(i / 6), i % 6]
          const value = (transposed ? expected[n * rows + row] : expected[i]) as number
          return plain ? value + bias[n]! : 0.5 * value + 2 * bias[n]!
        })
      }
      expect(b.relativeDifference(ort.data as Float32Array, expected)).toBeLessThan(1e-5)
    })
  }

  it('lists layers in topological order, whatever the order in the file', () => {
    const w = () => b.noise(4)
    const nodes = [
      b.node('MatMul', ['a', 'w2'], ['y'], {}, 'second'),
      b.node('MatMul', ['x', 'w1'], ['a'], {}, 'first'),
    ]
    const model = b.model(nodes, [b.floats('w1', [2, 2], w()), b.floats('w2', [2, 2], w())], ['x'], ['y'])
    expect(find(model).layers.map(({ name }) => name)).toEqual(['first', 'second'])
  })

  it('counts an initializer that is also a graph input, and one from a Constant node', () => {
    const listed = b.model(
      [b.node('MatMul', ['x', 'w'], ['y'])],
      [b.floats('w', [2, 2], b.noise(4))],
      ['x', 'w'],
      ['y'],
    )
    expect(find(listed).layers).toHaveLength(1)
    const constant = b.model(
      [
        b.node('Constant', [], ['k'], { value: b.floats('', [2, 2], [1, 2, 3, 4]) }),
        b.node('MatMul', ['x', 'k'], ['y']),
      ],
      [],
      ['x'],
      ['y'],
    )
    const graph = indexGraph(constant)
    const { layers } = findLayers(graph)
    expect(layers[0]?.weight).toBe('k')
    expect([...readWeights(graph, layers[0]!)]).toEqual([1, 2, 3, 4])
  })

  it('makes one layer of a weight that several nodes see alike, in whatever layout', () => {
    const nodes = [
      b.node('Gemm', ['x', 'w', 'c'], ['a'], { transB: 1 }, 'gemm'),
      b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
      b.node('MatMul', ['a', 't'], ['b'], {}, 'matmul'),
      b.node('Relu', ['b'], ['r']),
      b.node('MatMul', ['w', 'r'], ['y'], {}, 'left'),
    ]
    const model = b.model(
      nodes,
      [b.floats('w', [3, 3], b.noise(9)), b.floats('c', [3], b.noise(3))],
      ['x'],
      ['y'],
    )
    const { layers } = find(model)
    expect(layers).toHaveLength(1)
    expect(layers[0]!.uses.map(({ node, sampling }) => [node, sampling.kind])).toEqual([
      ['gemm', 'rows'],
      ['matmul', 'rows'],
      ['left', 'columns'],
    ])
  })

  it('makes a layer each of a weight that two nodes see transposed to one another', () => {
    const nodes = [
      b.node('MatMul', ['x', 'w'], ['a'], {}, 'in'),
      b.node('Gemm', ['a', 'w'], ['y'], { transB: 1 }, 'out'),
    ]
    const model = b.model(nodes, [b.floats('w', [3, 3], b.noise(9))], ['x'], ['y'])
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    expect(layers.map(({ name, weight }) => [name, weight])).toEqual([
      ['in', 'w'],
      ['out', 'w'],
    ])
    const [first, second] = layers.map((layer) => readWeights(graph, layer))
    expect(second![1]).toBe(first![3])
  })

  it.each([DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE])(
    'reads weights of element type %d',
    (type) => {
      const model = b.model(
        [b.node('MatMul', ['x', 'w'], ['y'])],
        [makeFloats('w', type, [2, 2], Float32Array.of(1, -2, 0.5, 4))],
        ['x'],
        ['y'],
      )
      const graph = indexGraph(model)
      expect([...readWeights(graph, findLayers(graph).layers[0]!)]).toEqual([1, -2, 0.5, 4])
    },
  )

  it('says in plain words why a node is not a layer', () => {
    const w = b.floats('w', [2, 2], b.noise(4))
    expect(skipReason([b.node('MatMul', ['x', 'x'], ['y'])], [])).toMatch(/both of its operands are computed/)
    expect(skipReason([b.node('MatMul', ['w', 'w'], ['y'])], [w])).toMatch(
      /both of its operands are constant/,
    )
    expect(skipReason([b.node('Gemm', ['w', 'x'], ['y'])], [w])).toMatch(/left operand is constant/)
    expect(skipReason([b.node('MatMul', ['x', 'v'], ['y'])], [b.floats('v', [2], [1, 2])])).toMatch(
      /\[2\] is not one matrix/,
    )
    expect(skipReason([b.node('ConvTranspose', ['x', 'k'], ['y'])], [], ['x', 'k'])).toMatch(/transposed/)
    expect(skipReason([b.node('Mul', ['w', 'w'], ['s']), b.node('MatMul', ['x', 's'], ['y'])], [w])).toMatch(
      /computed from initializers by Mul/,
    )
    expect(
      skipReason([b.node('MatMul', ['x', 'v'], ['y'])], [b.floats('v', [1, 2], [1, Number.NaN])]),
    ).toMatch(/not finite/)
    expect(skipReason([b.node('MatMul', ['x', 'v'], ['y'])], [b.floats('v', [0, 2], [])])).toMatch(/empty/)
    expect(skipReason([b.node('MatMul', ['x', 'v'], ['y'])], [b.ints('v', [1, 2], [1, 2])])).toMatch(
      /int64, not float/,
    )
    expect(skipReason([b.node('Gather', ['w', 'i'], ['y'])], [w], ['i'])).toMatch(/embedding/)
    expect(skipReason([b.node('LSTM', ['x', 'x', 'x'], ['y'])], [])).toMatch(
      /its W is computed from the inputs/,
    )
    const quantized = [b.node('DequantizeLinear', ['q', 's'], ['d']), b.node('MatMul', ['x', 'd'], ['y'])]
    expect(skipReason(quantized, [b.floats('q', [1, 1], [1]), b.floats('s', [], [1])])).toMatch(
      /quantized already/,
    )
  })

  it('mentions layers inside functions', () => {
    const model = b.model(
      [Object.assign(b.node('Block', ['x'], ['y']), { domain: 'mine' })],
      [],
      ['x'],
      ['y'],
    )
    model.functions = [
      create(FunctionProtoSchema, {
        name: 'Block',
        domain: 'mine',
        input: ['a'],
        output: ['b'],
        node: [b.node('Conv', ['a', 'k'], ['b'])],
      }),
    ]
    expect(find(model).skipped[0]?.reason).toMatch(/function of the model/)
  })
})

describe('floatCopies', () => {
  const copies = (nodes: NodeProto[], outputs: string[]) => {
    const graph = indexGraph(b.model(nodes, [b.floats('w', [2, 2], b.noise(4))], ['x'], outputs))
    return floatCopies(graph, findLayers(graph).layers)
  }
  const layer = b.node('MatMul', ['x', 'w'], ['y'])

  it('names the node, or the output, that reads a weight beside its layer', () => {
    expect(copies([layer], ['y'])).toEqual([])
    expect(copies([layer, b.node('Add', ['x', 'w'], ['z'])], ['y', 'z'])).toEqual([
      { weight: 'w', reader: "node 'z_node'" },
    ])
    expect(copies([layer, b.node('Neg', ['w'], ['z'])], ['y', 'z'])).toEqual([
      { weight: 'w', reader: 'an output of the model' },
    ])
  })

  it('looks through a lattice of constant nodes in linear time', () => {
    const lattice = Array.from({ length: 3000 }, (_, i) => [
      b.node('Neg', [i === 0 ? 'w' : `c${i}`], [`l${i}`]),
      b.node('Abs', [i === 0 ? 'w' : `c${i}`], [`r${i}`]),
      b.node('Add', [`l${i}`, `r${i}`], [`c${i + 1}`]),
    ]).flat()
    expect(copies([layer, ...lattice], ['y'])).toEqual([])
    expect(copies([layer, ...lattice, b.node('Add', ['x', 'c3000'], ['z'])], ['y', 'z'])).toEqual([
      { weight: 'w', reader: "node 'z_node'" },
    ])
  })
})

describe('a large graph', () => {
  it('reads a weight behind 3,000 constant nodes', () => {
    const count = 3000
    const nodes = [
      ...Array.from({ length: count }, (_, i) => b.node('Transpose', [`w${i}`], [`w${i + 1}`])),
      b.node('MatMul', ['x', `w${count}`], ['y']),
    ]
    const graph = indexGraph(b.model(nodes, [b.floats('w0', [2, 2], [1, 2, 3, 4])], ['x'], ['y']))
    const [layer] = findLayers(graph).layers
    expect([...readWeights(graph, layer!)]).toEqual([1, 2, 3, 4])
    expect(floatCopies(graph, [layer!])).toEqual([])
  })

  it('finds the views of a layer without a search through all layers', () => {
    const count = 1000
    const nodes = Array.from({ length: count }, (_, i) => b.node('MatMul', ['x', `w${i}`], [`y${i}`]))
    const constants = nodes.map((_, i) => b.floats(`w${i}`, [1, 1], [i]))
    const graph = indexGraph(
      b.model(
        nodes,
        constants,
        ['x'],
        nodes.map((_, i) => `y${i}`),
      ),
    )
    const { layers } = findLayers(graph)
    let reads = 0
    const counted = layers.map((layer) => ({
      ...layer,
      get name() {
        reads++
        return layer.name
      },
    }))
    for (const layer of counted) viewsOf(graph, layer)
    expect(reads).toBe(count)
    expect(layers.map((layer) => viewsOf(graph, layer)[0]!.node)).toEqual(nodes.map((_, i) => i))
  })

  it('has no views for a layer of another graph', () => {
    const graph = indexGraph(b.model([b.node('Relu', ['x'], ['y'])], [], ['x'], ['y']))
    const other = indexGraph(
      b.model([b.node('MatMul', ['x', 'w'], ['y'])], [b.floats('w', [1, 1], [1])], ['x'], ['y']),
    )
    const [layer] = findLayers(other).layers
    expect(() => viewsOf(graph, layer!)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe('include and exclude', () => {
  const model = b.model(
    [
      b.node('MatMul', ['x', 'a.weight'], ['h'], {}, '/a/MatMul'),
      b.node('MatMul', ['h', 'b.weight'], ['y'], {}, '/b/MatMul'),
    ],
    [b.floats('a.weight', [2, 2], b.noise(4)), b.floats('b.weight', [2, 2], b.noise(4))],
    ['x'],
    ['y'],
  )
  const names = (filter: object) => find(model, filter).layers.map(({ name }) => name)

  it('keep the layers that match, by node or weight name', () => {
    expect(names({ include: ['*a*weight'] })).toEqual(['/a/MatMul'])
    expect(names({ exclude: ['/a/*'] })).toEqual(['/b/MatMul'])
    expect(names({ include: ['*'], exclude: ['b.weight'] })).toEqual(['/a/MatMul'])
  })

  it('list what they left out, with the reason', () => {
    expect(find(model, { exclude: ['/a/*'] }).skipped).toEqual([
      { name: '/a/MatMul', reason: "excluded by '/a/*'" },
    ])
    expect(find(model, { include: ['/a/*'] }).skipped).toEqual([
      { name: '/b/MatMul', reason: 'not among those to include' },
    ])
  })

  it('refuse a pattern that matches nothing', () => {
    expect(() => names({ exclude: ['c.weight'] })).toThrow(expect.objectContaining({ code: 'NO_MATCH' }))
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  const expected = {
    'cifar10-gpfq-cnn': 8,
    'cifar10-resnet20': 20,
    'imagenet-mobilenetv1-0.25-224': 28,
    'mnist-mlp-500-300-bn': 3,
    'tinystories-llama-260k-t256': 36,
  }
  for (const [name, count] of Object.entries(expected))
    it(`have the layers they should: ${name}`, () => {
      expect(find(decodeModel(b.realModel(name as b.RealModel))).layers).toHaveLength(count)
    })
})
