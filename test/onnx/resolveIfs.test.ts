/** Ifs that follow from inputs with one value: the resolved model computes what the model computes with these values. */
import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { accountFloats } from '#src/onnx/floatAccount.js'
import { indexGraph } from '#src/onnx/graph.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { resolveIfs } from '#src/onnx/resolveIfs.js'
import type { Tensor } from '../../src/tensor/tensor.js'
import { countOperations } from '../operations.js'
import * as b from './build.js'

const integer = (value: number): Tensor => ({
  type: 'int64',
  dims: [],
  data: BigInt64Array.of(BigInt(value)),
})
const SR = b.value('sr', b.DataType.INT64, [])
const X = b.value('x', b.DataType.FLOAT, [2, 3])
const body = (nodes: NodeProto[], outputs: string[], constants: Parameters<typeof b.graph>[1] = []) =>
  b.graph(nodes, constants, [], outputs)
const scaled = (by: number, output: string): GraphProto =>
  body([b.node('Mul', ['x', 'k'], [output])], [output], [b.floats('k', [], [by])])

async function expectSame(model: ModelProto, sr: number): Promise<ModelProto> {
  const { model: resolved } = resolveIfs(decodeModel(encodeModel(model)), new Map([['sr', integer(sr)]]))
  const feeds = () => ({
    x: b.tensor([2, 3], b.noise(6)),
    sr: new b.ort.Tensor('int64', BigInt64Array.of(BigInt(sr)), []),
  })
  const expected = await b.run(encodeModel(model), feeds())
  const got = await b.run(encodeModel(resolved), feeds())
  expect(Object.keys(got)).toEqual(Object.keys(expected))
  for (const [name, { data }] of Object.entries(expected)) expect(got[name]!.data).toEqual(data)
  expect(resolved.graph!.input.map(({ name }) => name)).toContain('sr')
  return resolved
}

const opsOf = ({ graph }: ModelProto): string[] => graph!.node.map(({ opType }) => opType)

describe('an If is resolved', () => {
  it('to the branch that the value of an input chooses, and nothing of the other stays', async () => {
    const branches = { then_branch: scaled(2, 'y'), else_branch: scaled(3, 'e') }
    const model = b.model(
      [b.node('Equal', ['sr', 'rate'], ['c']), b.node('If', ['c'], ['y'], branches, 'if')],
      [b.ints('rate', [], [16000])],
      [X, SR],
      ['y'],
    )
    for (const sr of [16000, 8000]) {
      const resolved = await expectSame(model, sr)
      expect(opsOf(resolved)).toEqual(['Mul'])
      expect(resolved.graph!.initializer.map(({ name }) => name.replace(/_\d+$/, ''))).toEqual(['k'])
    }
    const { resolved } = resolveIfs(model, new Map([['sr', integer(8000)]]))
    expect(resolved).toEqual([{ name: 'if', branch: 'else' }])
  })

  it('through casts, logic, comparisons, shapes and constants', async () => {
    const branches = () => ({ then_branch: scaled(2, 't'), else_branch: scaled(3, 'e') })
    const conditions: Readonly<Record<string, NodeProto[]>> = {
      cast: [b.node('Cast', ['sr'], ['c'], { to: b.DataType.BOOL })],
      not: [b.node('Equal', ['sr', 'rate'], ['s']), b.node('Not', ['s'], ['c'])],
      and: [
        b.node('Less', ['sr', 'rate'], ['l']),
        b.node('Greater', ['sr', 'rate'], ['g']),
        b.node('Or', ['l', 'g'], ['o']),
        b.node('Identity', ['o'], ['i']),
        b.node('And', ['i', 'i'], ['c']),
      ],
      float: [
        b.node('Cast', ['sr'], ['f'], { to: b.DataType.FLOAT }),
        b.node('Constant', [], ['h'], { value: b.floats('', [1], [8000]) }),
        b.node('LessOrEqual', ['f', 'h'], ['c1']),
        b.node('Squeeze', ['c1'], ['c']),
      ],
      shape: [
        b.node('Shape', ['x'], ['s']),
        b.node('Gather', ['s', 'last'], ['d']),
        b.node('Equal', ['d', 'three'], ['c']),
      ],
      reshape: [
        b.node('Reshape', ['sr', 'all'], ['s']),
        b.node('Gather', ['s', 'nought'], ['d']),
        b.node('Equal', ['d', 'rate'], ['c']),
      ],
      size: [b.node('Size', ['x'], ['s']), b.node('GreaterOrEqual', ['s', 'three'], ['c'])],
    }
    for (const [name, nodes] of Object.entries(conditions)) {
      const model = b.model(
        [...nodes, b.node('If', ['c'], ['y'], branches())],
        [
          b.ints('rate', [], [16000]),
          b.ints('last', [], [-1]),
          b.ints('three', [], [3]),
          b.ints('all', [1], [-1]),
          b.ints('nought', [], [0]),
        ],
        [X, SR],
        ['y'],
      )
      for (const sr of [0, 8000, 16000]) expect(opsOf(await expectSame(model, sr)), name).toEqual(['Mul'])
    }
  })

  it('inside branches and bodies, with names that are unique and captures that resolve', async () => {
    const inner = (by: number) =>
      b.node(
        'If',
        ['c'],
        ['m'],
        {
          then_branch: body([b.node('Mul', ['a', 'k'], ['z'])], ['z'], [b.floats('k', [], [by])]),
          else_branch: body([b.node('Identity', ['a'], ['z'])], ['z']),
        },
        'inner',
      )
    // Both branches define a, k, m and n; outputs are what nodes make, a constant, and a tensor of outside.
    const branch = (by: number) =>
      body(
        [
          b.node('Add', ['x', 'k'], ['a']),
          inner(by),
          b.node('Neg', ['m'], ['n'], {}, 'neg'),
          b.node('Identity', ['x'], ['same']),
        ],
        ['n', 'm', 'k', 'same'],
        [b.floats('k', [], [by])],
      )
    const loop = b.graph(
      [
        b.node('Equal', ['sr', 'rate'], ['c']),
        b.node('If', ['c'], ['s'], {
          then_branch: body([b.node('Add', ['h', 'k'], ['q'])], ['q'], [b.floats('k', [], [5])]),
          else_branch: body([b.node('Abs', ['h'], ['q'])], ['q']),
        }),
        b.node('Identity', ['go'], ['on']),
      ],
      [],
      [b.value('i', b.DataType.INT64, []), b.value('go', b.DataType.BOOL, []), X].map((value, i) =>
        i === 2 ? b.value('h', b.DataType.FLOAT, [2, 3]) : value,
      ),
      [b.value('on', b.DataType.BOOL, []), b.value('s', b.DataType.FLOAT, [2, 3])],
    )
    const model = b.model(
      [
        b.node('Equal', ['sr', 'rate'], ['c0']),
        b.node('If', ['c0'], ['y', 'y2', 'k0', 'x0'], {
          then_branch: withCondition(branch(2)),
          else_branch: withCondition(branch(3)),
        }),
        b.node('Neg', ['y'], ['w'], {}, 'neg'),
        b.node('Loop', ['trips', '', 'w'], ['l'], { body: loop }),
      ],
      [b.ints('rate', [], [16000]), b.ints('trips', [], [2])],
      [X, SR],
      ['y', 'y2', 'k0', 'x0', 'l'],
    )
    for (const sr of [16000, 8000]) {
      const resolved = await expectSame(model, sr)
      expect(opsOf(resolved)).not.toContain('If')
      const loopBody = resolved.graph!.node.find(({ opType }) => opType === 'Loop')!.attribute[0]!.g!
      expect(loopBody.node.map(({ opType }) => opType)).not.toContain('If')
      expect(() => indexGraph(resolved)).not.toThrow()
    }
  })

  it('only where its condition is known', () => {
    const branches = { then_branch: scaled(2, 't'), else_branch: scaled(3, 'e') }
    const model = b.model(
      [
        b.node('ReduceMax', ['x'], ['s']),
        b.node('Cast', ['s'], ['c'], { to: 9 }),
        b.node('If', ['c'], ['y'], branches),
      ],
      [],
      [X, SR],
      ['y'],
    )
    expect(resolveIfs(model, new Map([['sr', integer(1)]]))).toEqual({ model, resolved: [] })
  })

  it('in operations linear in the model, however deep its bodies nest', async () => {
    const model = (n: number) => {
      let deep = body(
        Array.from({ length: n }, (_, i) => b.node('Neg', [i === 0 ? 'x' : `t${i}`], [`t${i + 1}`])),
        [`t${n}`],
      )
      for (let level = 0; level < 28; level++)
        deep = body(
          [b.node('If', ['c'], [`i${level}`], { then_branch: deep, else_branch: scaled(3, 'e') })],
          [`i${level}`],
        )
      const many = Array.from({ length: n }, (_, i) =>
        b.node('If', ['c'], [`m${i}`], { then_branch: scaled(2, 'o'), else_branch: scaled(3, 'o') }),
      )
      return b.model(
        [
          b.node('Equal', ['sr', 'sr'], ['c']),
          b.node('If', ['c'], ['y'], { then_branch: deep, else_branch: scaled(3, 'e') }),
          ...many,
          b.node('Sum', ['y', ...many.flatMap(({ output }) => output)], ['sum']),
        ],
        [],
        [X, SR],
        ['sum'],
      )
    }
    const count = (n: number) => {
      const own = model(n)
      return countOperations(async () => {
        const { model: resolved } = resolveIfs(own, new Map([['sr', integer(1)]]))
        accountFloats({
          file: resolved,
          graph: indexGraph(resolved),
          layers: [],
          skipped: [],
          renamed: new Map(),
          sources: new Map(),
        })
      })
    }
    await count(200)
    expect((await count(800)) / (await count(400))).toBeLessThan(2.25)
  })
})

/** Computes the condition of the If inside a branch, in the branch. */
function withCondition(graph: GraphProto): GraphProto {
  graph.node.unshift(b.node('Equal', ['sr', 'rate'], ['c']))
  return graph
}
