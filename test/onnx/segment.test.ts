import type { ModelProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { extractSegment } from '#src/onnx/segment.js'
import { planStages, type Stage } from '#src/onnx/stages.js'
import { ELEM_TYPES } from '#src/onnx/tensor.js'
import type { TensorType } from '../../src/tensor/tensor.js'
import * as b from './build.js'

/** Runs the stages one after the other, holding only what each says is live; returns the graph's outputs. */
async function runStages(
  model: ModelProto,
  stages: readonly Stage[],
  feeds: Record<string, b.ort.Tensor>,
  weights: (quantized: ReadonlySet<string>) => ReadonlyMap<string, Float32Array> = () => new Map(),
): Promise<Map<string, b.ort.Tensor>> {
  const held = new Map(Object.entries(feeds))
  const done = new Set<string>()
  const results = new Set(model.graph?.output.map(({ name }) => name))
  for (const stage of stages) {
    if (stage.outputs.length > 0) {
      const inputs = stage.inputs.map((name) => {
        const tensor = held.get(name)
        if (tensor === undefined) throw new Error(`'${name}' is not held`)
        return { name, elemType: ELEM_TYPES[tensor.type as TensorType] }
      })
      const bytes = extractSegment(model, inputs, stage.outputs, { weights: weights(done) })
      const made = await b.run(bytes, Object.fromEntries(stage.inputs.map((name) => [name, held.get(name)!])))
      for (const [name, tensor] of Object.entries(made)) held.set(name, tensor)
    }
    for (const layer of stage.quantize) {
      for (const use of layer.uses) expect(held.has(use.input), `${use.input} of ${layer.name}`).toBe(true)
      done.add(layer.name)
    }
    for (const name of held.keys()) if (!stage.live.includes(name) && !results.has(name)) held.delete(name)
  }
  return held
}

describe.skipIf(!b.hasAssets)('segments of real models, run one after the other in ONNX Runtime', () => {
  for (const name of Object.keys(b.REAL_MODELS) as b.RealModel[])
    it(`give the outputs of the whole model: ${name}`, async () => {
      const bytes = b.realModel(name)
      const model = decodeModel(bytes)
      const graph = indexGraph(model)
      const stages = planStages(graph, findLayers(graph).layers)
      const feeds = b.realFeeds(name)
      const whole = await b.run(bytes, feeds)
      const held = await runStages(model, stages, feeds)
      for (const output of graph.outputs) {
        const expected = whole[output]!.data as Float32Array
        expect(b.relativeDifference(held.get(output)!.data as Float32Array, expected)).toBeLessThan(1e-4)
      }
    })
})

describe('extractSegment', () => {
  it('gives a layer other weights without touching other readers of the initializer', async () => {
    const model = b.model(
      [
        b.node('Gather', ['w', 'i'], ['e']),
        b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
        b.node('MatMul', ['e', 't'], ['y'], {}, 'head'),
      ],
      [b.floats('w', [3, 2], [1, 2, 3, 4, 5, 6])],
      [b.value('i', b.DataType.INT64)],
      ['e', 'y'],
    )
    const graph = indexGraph(model)
    const [layer] = findLayers(graph).layers
    expect([...readWeights(graph, layer!)]).toEqual([1, 3, 5, 2, 4, 6])
    const before = encodeModel(model)
    const inputs = [{ name: 'i', elemType: ELEM_TYPES.int64 }]
    const weights = new Map([['head', Float32Array.of(1, 0, 0, 0, 1, 0)]])
    const bytes = extractSegment(model, inputs, ['e', 'y'], { weights })
    const out = await b.run(bytes, { i: new b.ort.Tensor('int64', BigInt64Array.of(1n), [1]) })
    expect([...(out.e!.data as Float32Array)]).toEqual([3, 4])
    expect([...(out.y!.data as Float32Array)]).toEqual([3, 4, 0])
    expect(encodeModel(model)).toEqual(before)
  })

  it('gives every node of a shared weight the new values in its own layout', async () => {
    const model = b.model(
      [
        b.node('Gemm', ['x', 'w'], ['a'], { transB: 1 }, 'gemm'),
        b.node('MatMul', ['w', 'x'], ['b'], {}, 'left'),
      ],
      [b.floats('w', [2, 2], [1, 2, 3, 4])],
      ['x'],
      ['a', 'b'],
    )
    const bytes = extractSegment(
      model,
      [{ name: 'x', elemType: ELEM_TYPES.float32 }],
      ['a', 'b'],
      { weights: new Map([['gemm', Float32Array.of(5, 6, 7, 8)]]) }, // (inputs, neurons): the matrix is [[5, 7], [6, 8]]
    )
    const out = await b.run(bytes, { x: b.tensor([2, 2], [1, 0, 0, 1]) })
    expect([...(out.a!.data as Float32Array)]).toEqual([5, 6, 7, 8])
    expect([...(out.b!.data as Float32Array)]).toEqual([5, 7, 6, 8])
  })

  it('takes only what the outputs need, and computes constants inside', async () => {
    const model = b.model(
      [
        b.node('Constant', [], ['k'], { value: b.floats('', [1], [10]) }),
        b.node('Add', ['x', 'k'], ['a']),
        b.node('Mul', ['a', 'big'], ['b']),
        b.node('Add', ['a', 'k'], ['y']),
      ],
      [b.floats('big', [1], [2]), b.floats('unused', [1], [2])],
      ['x'],
      ['b', 'y'],
    )
    const bytes = extractSegment(model, [{ name: 'a', elemType: ELEM_TYPES.float32 }], ['y'])
    const graph = decodeModel(bytes).graph!
    expect(graph.node.map(({ opType }) => opType)).toEqual(['Constant', 'Add'])
    expect(graph.initializer).toEqual([])
    expect(await b.run(bytes, { a: b.tensor([1], [5]) })).toMatchObject({ y: { data: Float32Array.of(15) } })
  })

  it('passes an input on as an output', async () => {
    const model = b.model([b.node('Relu', ['x'], ['y'])], [], ['x'], ['y'])
    const bytes = extractSegment(model, [{ name: 'x', elemType: ELEM_TYPES.float32 }], ['x', 'y'])
    const out = await b.run(bytes, { x: b.tensor([2], [-1, 1]) })
    expect([...(out.x!.data as Float32Array), ...(out.y!.data as Float32Array)]).toEqual([-1, 1, 0, 1])
  })

  it('takes along what a subgraph captures', async () => {
    const branch = (op: string) => b.graph([b.node(op, ['a', 'k'], [`${op}_out`])], [], [], [`${op}_out`])
    const model = b.model(
      [
        b.node('Relu', ['x'], ['a']),
        b.node('If', ['c'], ['y'], { then_branch: branch('Add'), else_branch: branch('Sub') }),
      ],
      [b.floats('k', [1], [3])],
      ['x', b.value('c', b.DataType.BOOL, [])],
      ['y'],
    )
    const inputs = [
      { name: 'a', elemType: ELEM_TYPES.float32 },
      { name: 'c', elemType: ELEM_TYPES.bool },
    ]
    const bytes = extractSegment(model, inputs, ['y'])
    const out = await b.run(bytes, { a: b.tensor([1], [5]), c: new b.ort.Tensor('bool', [false], []) })
    expect([...(out.y!.data as Float32Array)]).toEqual([2])
  })

  it('refuses to compute what its inputs do not give', () => {
    const model = b.model([b.node('Relu', ['x'], ['a']), b.node('Relu', ['a'], ['y'])], [], ['x'], ['y'])
    expect(() => extractSegment(model, [], ['y'])).toThrow(/'x' is neither among the inputs nor made/)
  })
})

describe('the stages of a plan', () => {
  it('give the quantized network when each layer is replaced as soon as the plan quantizes it', async () => {
    const size = 4
    const nodes = [
      b.node('MatMul', ['x', 'w0'], ['a']),
      b.node('Relu', ['a'], ['b']),
      b.node('MatMul', ['b', 'w1'], ['c']),
      b.node('Add', ['c', 'b'], ['d']),
      b.node('MatMul', ['d', 'w2'], ['y']),
    ]
    const weights = [0, 1, 2].map((i) => b.floats(`w${i}`, [size, size], b.noise(size * size, i + 1)))
    const model = b.model(nodes, weights, ['x'], ['y'])
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    const rounded = new Map(
      layers.map((layer) => [layer.name, readWeights(graph, layer).map((v) => Math.round(v * 2) / 2)]),
    )
    const stages = planStages(graph, layers)
    const feeds = { x: b.tensor([3, size], b.noise(3 * size, 9)) }
    const held = await runStages(
      model,
      stages,
      feeds,
      (done) => new Map([...rounded].filter(([name]) => done.has(name))),
    )
    const quantized = b.model(
      nodes,
      layers.map((layer) => b.floats(layer.weight, [size, size], rounded.get(layer.name)!)),
      ['x'],
      ['y'],
    )
    const expected = await b.run(encodeModel(quantized), feeds)
    expect(
      b.relativeDifference(held.get('y')!.data as Float32Array, expected.y!.data as Float32Array),
    ).toBeLessThan(1e-5)
  })
})
