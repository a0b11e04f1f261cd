import fc from 'fast-check'
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { type GraphIndex, indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel } from '#src/onnx/model.js'
import { planStages, type Stage } from '#src/onnx/stages.js'
import type { Layer } from '../../src/onnx/layer.js'
import * as b from './build.js'

function plan(model: ModelProto): { graph: GraphIndex; layers: Layer[]; stages: Stage[] } {
  const graph = indexGraph(model)
  const { layers } = findLayers(graph)
  return { graph, layers, stages: planStages(graph, layers) }
}

/** Walks through a plan holding only what it says, and checks everything it promises. */
function check({ graph, layers, stages }: ReturnType<typeof plan>): void {
  const count = graph.nodes.length
  const placed = stages.flatMap(({ nodes }) => nodes)
  expect(placed.toSorted((x, y) => x - y)).toEqual(Array.from({ length: count }, (_, i) => i))
  expect(stages.flatMap(({ quantize }) => quantize.map(({ name }) => name)).toSorted()).toEqual(
    layers.map(({ name }) => name).toSorted(),
  )
  expect(stages.at(-1)!.quantize).toEqual([])

  const useOf = new Map(
    layers.flatMap((layer) => layer.uses.map((use) => [graph.nodeNamed(use.node), layer] as const)),
  )
  const done = new Set<Layer>()
  const ranEarly = new Set<Layer>()
  const differs = new Set<string>()
  let held = new Set(graph.inputs)
  for (const stage of stages) {
    for (const input of stage.inputs) expect(held.has(input), `input ${input}`).toBe(true)
    const known = new Set(stage.inputs)
    for (const node of stage.nodes) {
      const layer = useOf.get(node)
      if (layer !== undefined && !done.has(layer)) ranEarly.add(layer)
      for (const tensor of graph.reads(node))
        expect(known.has(tensor) || graph.isConstant(tensor), `${tensor} for ${graph.names[node]}`).toBe(true)
      const changes =
        (layer !== undefined && done.has(layer)) || graph.reads(node).some((tensor) => differs.has(tensor))
      for (const output of graph.nodes[node]!.output) {
        known.add(output)
        if (changes) differs.add(output)
      }
    }
    for (const output of stage.outputs) expect(known.has(output)).toBe(true)
    held = new Set([...held, ...stage.outputs])
    for (const tensor of stage.changed) expect(held.has(tensor) && differs.has(tensor)).toBe(true)
    for (const tensor of held) if (differs.has(tensor)) expect(stage.changed, tensor).toContain(tensor)
    for (const layer of stage.quantize) {
      for (const use of layer.uses) expect(held.has(use.input), `${use.input} for ${layer.name}`).toBe(true)
      done.add(layer)
    }
    const replay = stage.quantize.some((layer) => ranEarly.has(layer))
    expect(stage.replay).toBe(replay)
    if (replay) {
      for (const input of graph.inputs) expect(held.has(input)).toBe(true)
      // The stream computed again from the start: every use so far is a quantized one.
      for (const node of graph.order) {
        const layer = useOf.get(node)
        if (!stages.slice(0, stages.indexOf(stage) + 1).some(({ nodes }) => nodes.includes(node))) continue
        if ((layer && done.has(layer)) || graph.reads(node).some((tensor) => differs.has(tensor)))
          for (const output of graph.nodes[node]!.output) differs.add(output)
      }
    }
    for (const tensor of stage.live) expect(held.has(tensor)).toBe(true)
    held = new Set(stage.live)
  }
  const given = new Set([...graph.inputs, ...stages.flatMap(({ outputs }) => outputs)])
  for (const output of graph.outputs) if (!graph.isConstant(output)) expect(given.has(output)).toBe(true)
}

const weight = (name: string) => b.floats(name, [2, 2], b.noise(4))

describe('planStages', () => {
  it('runs each node of a 30-layer chain once, one layer per stage', () => {
    const nodes: NodeProto[] = []
    const weights: TensorProto[] = []
    for (let i = 0; i < 30; i++) {
      nodes.push(b.node('MatMul', [`h${i}`, `w${i}`], [`m${i}`]), b.node('Relu', [`m${i}`], [`h${i + 1}`]))
      weights.push(weight(`w${i}`))
    }
    const planned = plan(b.model(nodes, weights, ['h0'], ['h30']))
    check(planned)
    const { stages } = planned
    expect(stages).toHaveLength(31)
    expect(stages.map(({ nodes: own }) => own.length)).toEqual([0, ...new Array(30).fill(2)])
    expect(stages.every(({ live }) => live.length <= 1)).toBe(true)
    expect(stages[0]!.changed).toEqual([])
    expect(stages[1]!.changed).toEqual(['h1'])
    expect(stages[5]!.measured).toEqual(['m4'])
  })

  it('quantizes layers that read the same tensor in one stage, with one capture', () => {
    const planned = plan(
      b.model(
        [
          b.node('Relu', ['x'], ['n']),
          b.node('MatMul', ['n', 'q'], ['a']),
          b.node('MatMul', ['n', 'k'], ['b']),
          b.node('MatMul', ['n', 'v'], ['c']),
          b.node('Sum', ['a', 'b', 'c'], ['y']),
        ],
        [weight('q'), weight('k'), weight('v')],
        ['x'],
        ['y'],
      ),
    )
    check(planned)
    expect(planned.stages).toHaveLength(2)
    expect(planned.stages[0]).toMatchObject({ nodes: [0], outputs: ['n'], live: ['n'] })
    expect(planned.stages[0]!.quantize).toHaveLength(3)
  })

  it('keeps a residual branch alive until it joins', () => {
    const planned = plan(
      b.model(
        [
          b.node('Relu', ['x'], ['r']),
          b.node('MatMul', ['r', 'w1'], ['a']),
          b.node('MatMul', ['a', 'w2'], ['m']),
          b.node('Add', ['m', 'r'], ['y']),
        ],
        [weight('w1'), weight('w2')],
        ['x'],
        ['y'],
      ),
    )
    check(planned)
    expect([...planned.stages[1]!.live].sort()).toEqual(['a', 'r'])
  })

  it('quantizes a weight used side by side once, without replay', () => {
    const nodes = [
      b.node('MatMul', ['x', 'w'], ['a']),
      b.node('Relu', ['x'], ['r']),
      b.node('MatMul', ['r', 'w'], ['b']),
      b.node('Add', ['a', 'b'], ['y']),
    ]
    const planned = plan(b.model(nodes, [weight('w')], ['x'], ['y']))
    check(planned)
    expect(planned.stages.map(({ quantize, replay }) => [quantize.length, replay])).toEqual([
      [1, false],
      [0, false],
    ])
  })

  it('runs early nodes of a weight tied across depth as float, then asks for a replay', () => {
    const nodes = [
      b.node('MatMul', ['x', 'w'], ['a'], {}, 'first'),
      b.node('Relu', ['a'], ['r']),
      b.node('MatMul', ['r', 'v'], ['s'], {}, 'between'),
      b.node('MatMul', ['s', 'w'], ['y'], {}, 'last'),
    ]
    const planned = plan(b.model(nodes, [weight('w'), weight('v')], ['x'], ['y']))
    check(planned)
    const { stages } = planned
    expect(stages.map(({ quantize, replay }) => [quantize.map(({ name }) => name).join(), replay])).toEqual([
      ['between', false],
      ['first', true],
      ['', false],
    ])
    expect(stages[0]!.changed).toEqual([])
    expect(stages[0]!.live).toContain('x')
  })

  it('unties weights that wait for each other', () => {
    const nodes = [
      b.node('MatMul', ['x', 'a'], ['t1']),
      b.node('MatMul', ['t1', 'b'], ['t2']),
      b.node('MatMul', ['t2', 'a'], ['t3']),
      b.node('MatMul', ['t3', 'b'], ['y']),
    ]
    check(plan(b.model(nodes, [weight('a'), weight('b')], ['x'], ['y'])))
  })

  it('places nodes of constants where they are read', () => {
    const nodes = [
      b.node('Constant', [], ['k'], { value: b.floats('', [1], [1]) }),
      b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
      b.node('Constant', [], ['unused'], { value: b.floats('', [1], [1]) }),
      b.node('MatMul', ['x', 't'], ['m']),
      b.node('Add', ['m', 'k'], ['y']),
    ]
    const planned = plan(b.model(nodes, [weight('w')], ['x'], ['y']))
    check(planned)
    expect(planned.stages.map((stage) => stage.nodes)).toEqual([[], [0, 1, 2, 3, 4]])
    expect(planned.stages[1]!.inputs).toEqual(['x'])
  })

  it('gives the whole graph in one stage when there is nothing to quantize', () => {
    const graph = indexGraph(b.model([b.node('Relu', ['x'], ['y'])], [], ['x'], ['y']))
    expect(planStages(graph, [])).toMatchObject([{ nodes: [0], inputs: ['x'], outputs: ['y'], live: [] }])
  })

  it('keeps its promises on random graphs with tied weights, residuals and side outputs', () => {
    const node = fc.record({
      kind: fc.constantFrom('MatMul', 'MatMul', 'Relu', 'Add', 'Transposed'),
      a: fc.nat(1000),
      b: fc.nat(1000),
      weight: fc.nat(5),
    })
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 25 }), fc.nat(1000), (specs, side) => {
        const tensors = ['x0', 'x1']
        const pick = (i: number) => tensors[i % tensors.length] as string
        const nodes = specs.flatMap((spec, i): NodeProto[] => {
          const made = `t${i}`
          const [a, c] = [pick(spec.a), pick(spec.b)]
          tensors.push(made)
          switch (spec.kind) {
            case 'Relu':
              return [b.node('Relu', [a], [made])]
            case 'Add':
              return [b.node('Add', [a, c], [made])]
            case 'Transposed':
              return [
                b.node('Transpose', [`w${spec.weight}`], [`${made}w`], { perm: [1, 0] }),
                b.node('MatMul', [a, `${made}w`], [made]),
              ]
            default:
              return [b.node('MatMul', [a, `w${spec.weight}`], [made])]
          }
        })
        const outputs = [...new Set([tensors.at(-1) as string, pick(side)])]
        const weights = Array.from({ length: 6 }, (_, i) => weight(`w${i}`))
        check(plan(b.model(nodes, weights, ['x0', 'x1'], outputs)))
      }),
      { numRuns: 300, seed: 5 },
    )
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  for (const name of Object.keys(b.REAL_MODELS) as b.RealModel[])
    it(`are planned with every node once: ${name}`, () => {
      check(plan(decodeModel(b.realModel(name))))
    })
})
