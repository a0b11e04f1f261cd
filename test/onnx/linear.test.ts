/**
 * Planning takes time linear in the model, whatever its shape: with twice the size it does at most a little more than twice
 * the operations. They are counted (test/operations.ts), so the test does not depend on the machine.
 */
import { create } from '@bufbuild/protobuf'
import {
  FunctionProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { planModel } from '#src/model/quantizeModel.js'
import { accountFloats } from '#src/onnx/floatAccount.js'
import { formatsFor } from '#src/onnx/formats/choose.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { Network } from '#src/onnx/network.js'
import { planStages } from '#src/onnx/stages.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import type { PlanModelOptions } from '../../src/options.js'
import { countOperations } from '../operations.js'
import * as b from './build.js'
import { randomQuantized } from './cases.js'

const SIZE = 400
/** Sorting adds a logarithm, and what is done once takes a share of the smaller count. */
const TWICE = 2.25

const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))
const weight = (name: string): TensorProto => b.floats(name, [2, 2], [1, 2, 3, 4])
const layer = (from: string, w: string, to: string): NodeProto => b.node('MatMul', [from, w], [to])

function net(nodes: NodeProto[], constants: TensorProto[], outputs: string[]): ModelProto {
  return b.model(nodes, constants, [b.value('x', b.DataType.FLOAT, ['n', 2])], outputs)
}

/** A layer behind constants `w0` … that `nodes` make. */
const behind = (n: number, nodes: (i: number) => NodeProto[]): ModelProto =>
  net([...times(n, nodes).flat(), layer('x', `w${n}`, 'y')], [weight('w0')], ['y'])

/** Bodies in bodies, as deep as the decoder allows; at the bottom, `n` nodes that read n tensors from outside. */
function nested(n: number): ModelProto {
  let body: GraphProto = b.graph(
    times(n, (i) => b.node('Neg', [`t${i}`], [`b${i}`])),
    [],
    [],
    ['b0'],
  )
  for (let level = 0; level < 28; level++)
    body = b.graph([b.node('If', ['c'], [`i${level}`], { then_branch: body })], [], [], [`i${level}`])
  const nodes = times(n, (i) => b.node('Neg', ['x'], [`t${i}`]))
  return b.model(
    [...nodes, b.node('If', ['c'], ['z'], { then_branch: body }), layer('x', 'w', 'y')],
    [weight('w')],
    ['x', b.value('c', b.DataType.BOOL, [])],
    ['y', 'z'],
  )
}

/** Bodies in bodies with layers: `n` at the bottom, of weights of their own and of one around them. */
function layersInBodies(n: number): ModelProto {
  let body: GraphProto = b.graph(
    times(n, (i) => [layer('x', `w${i}`, `a${i}`), layer('x', 'w', `b${i}`)]).flat(),
    times(n, (i) => weight(`w${i}`)),
    [],
    ['a0'],
  )
  for (let level = 0; level < 28; level++)
    body = b.graph([b.node('If', ['c'], [`i${level}`], { then_branch: body })], [], [], [`i${level}`])
  return b.model(
    [b.node('If', ['c'], ['z'], { then_branch: body }), layer('x', 'w', 'y')],
    [weight('w')],
    ['x', b.value('c', b.DataType.BOOL, [])],
    ['y', 'z'],
  )
}

/** `n` bodies side by side that define the same names and read one weight. */
const bodiesOfOneName = (n: number): ModelProto =>
  b.model(
    times(n, (i) => {
      const nodes = [layer('x', 'own', 'm'), layer('m', 'w', 'same')]
      const body = b.graph(nodes, [weight('own')], [], ['same'])
      return b.node('If', ['c'], [`z${i}`], { then_branch: body, else_branch: body }, 'same')
    }),
    [weight('w')],
    ['x', b.value('c', b.DataType.BOOL, [])],
    times(n, (i) => `z${i}`),
  )

function functions(n: number): ModelProto {
  const model = net(
    [
      ...times(n, (i) => Object.assign(b.node(`f${i}`, ['x'], [`y${i}`]), { domain: 'own' })),
      layer('x', 'w', 'y'),
    ],
    [weight('w')],
    ['y'],
  )
  model.functions = times(n, (i) =>
    create(FunctionProtoSchema, {
      name: `f${i}`,
      domain: 'own',
      input: ['a'],
      output: ['b'],
      node: [
        i === n - 1
          ? b.node('MatMul', ['a', 'a'], ['b'])
          : Object.assign(b.node(`f${i + 1}`, ['a'], ['b']), { domain: 'own' }),
      ],
    }),
  )
  return model
}

const SHAPES: Readonly<Record<string, (n: number) => ModelProto>> = {
  'a chain of layers': (n) =>
    net(
      times(n, (i) => [
        layer(`${i === 0 ? 'x' : `r${i}`}`, `w${i}`, `m${i}`),
        b.node('Relu', [`m${i}`], [`r${i + 1}`]),
      ]).flat(),
      times(n, (i) => weight(`w${i}`)),
      [`r${n}`],
    ),
  'a chain whose layers are all outputs': (n) =>
    net(
      times(n, (i) => layer(i === 0 ? 'x' : `m${i - 1}`, `w${i}`, `m${i}`)),
      times(n, (i) => weight(`w${i}`)),
      times(n, (i) => `m${i}`),
    ),
  'constants in a chain': (n) => behind(n, (i) => [b.node('Identity', [`w${i}`], [`w${i + 1}`])]),
  'transposed constants in a chain': (n) => behind(n, (i) => [b.node('Transpose', [`w${i}`], [`w${i + 1}`])]),
  'diamonds of constants': (n) => behind(n, (i) => [b.node('Add', [`w${i}`, `w${i}`], [`w${i + 1}`])]),
  'diamonds of constants beside a layer': (n) => {
    const model = behind(n, (i) => [b.node('Add', [`w${i}`, `w${i}`], [`w${i + 1}`])])
    model.graph!.node.push(layer('x', 'w0', 'z'))
    model.graph!.output.push(b.value('z'))
    return model
  },
  'diamonds of computed tensors': (n) =>
    net(
      [
        ...times(n, (i) => [
          b.node('Relu', [i === 0 ? 'x' : `d${i}`], [`l${i}`]),
          b.node('Neg', [i === 0 ? 'x' : `d${i}`], [`r${i}`]),
          b.node('Add', [`l${i}`, `r${i}`], [`d${i + 1}`]),
        ]).flat(),
        layer(`d${n}`, 'w', 'y'),
      ],
      [weight('w')],
      ['y'],
    ),
  'layers at every place of a chain of constants': (n) => {
    const model = behind(n, (i) => [
      b.node('Identity', [`w${i}`], [`w${i + 1}`]),
      layer('x', `w${i}`, `y${i}`),
    ])
    return model
  },
  'layers at every place of a chain that only moves': (n) =>
    net(
      times(n, (i) => [
        b.node('Identity', [i === 0 ? 'x' : `s${i}`], [`s${i + 1}`]),
        layer(`s${i + 1}`, `w${i}`, `y${i}`),
      ]).flat(),
      times(n, (i) => weight(`w${i}`)),
      times(n, (i) => `y${i}`),
    ),
  'nodes without outputs or names': (n) =>
    net(
      [...times(n, () => b.node('Dropout', ['x'], [''], {}, '')), layer('x', 'w', 'y')],
      [weight('w')],
      ['y'],
    ),
  'nodes of one name': (n) =>
    net(
      [...times(n, (i) => b.node('MatMul', ['x', 'w'], [`y${i}`], {}, 'same'))],
      [weight('w')],
      times(n, (i) => `y${i}`),
    ),
  'initializers that nothing reads': (n) =>
    net([layer('x', 'w', 'y')], [weight('w'), ...times(n, (i) => weight(`w${i}`))], ['y']),
  'many layers that read one tensor': (n) =>
    net(
      [
        ...times(n, (i) => layer('x', `w${i}`, `m${i}`)),
        b.node(
          'Sum',
          times(n, (i) => `m${i}`),
          ['y'],
        ),
      ],
      times(n, (i) => weight(`w${i}`)),
      ['y'],
    ),
  'one weight at every depth': (n) =>
    net(
      times(n, (i) => layer(i === 0 ? 'x' : `m${i - 1}`, 'w', `m${i}`)),
      [weight('w')],
      [`m${n - 1}`],
    ),
  'weights that come again in the opposite order': (n) =>
    net(
      times(2 * n, (i) => layer(i === 0 ? 'x' : `m${i - 1}`, `w${i < n ? i : 2 * n - 1 - i}`, `m${i}`)),
      times(n, (i) => weight(`w${i}`)),
      [`m${2 * n - 1}`],
    ),
  'weights that come again in the same order': (n) =>
    net(
      times(2 * n, (i) => layer(i === 0 ? 'x' : `m${i - 1}`, `w${i % n}`, `m${i}`)),
      times(n, (i) => weight(`w${i}`)),
      [`m${2 * n - 1}`],
    ),
  'one weight that is read through many reshapes': (n) =>
    net(
      times(n, (i) => [b.node('Reshape', ['w', 's'], [`v${i}`]), layer('x', `v${i}`, `y${i}`)]).flat(),
      [weight('w'), b.ints('s', [2], [2, -1])],
      times(n, (i) => `y${i}`),
    ),
  'convolutions with BatchNormalization': (n) =>
    net(
      [
        b.node('Reshape', ['x', 's'], ['c0']),
        ...times(n, (i) => [
          b.node('Conv', [`c${i}`, `w${i}`], [`n${i}`]),
          b.node('BatchNormalization', [`n${i}`, 'p', 'p', 'p', 'p'], [`c${i + 1}`]),
        ]).flat(),
      ],
      [
        b.ints('s', [4], [-1, 2, 1, 1]),
        b.floats('p', [2], [1, 1]),
        ...times(n, (i) => b.floats(`w${i}`, [2, 2, 1, 1], [1, 2, 3, 4])),
      ],
      [`c${n}`],
    ),
  'BatchNormalizations that cannot be folded': (n) =>
    net(
      [
        ...times(n, (i) =>
          b.node('BatchNormalization', [i === 0 ? 'x' : `b${i}`, 'p', 'p', 'p', 'p'], [`b${i + 1}`]),
        ),
        layer(`b${n}`, 'w', 'y'),
      ],
      [weight('w'), b.floats('p', [2], [1, 1])],
      ['y'],
    ),
  'a sequence that grows from layer to layer': (n) =>
    net(
      [
        b.node('SequenceConstruct', ['x'], ['s0']),
        ...times(n, (i) => [
          b.node('SequenceAt', [`s${i}`, 'last'], [`a${i}`]),
          layer(`a${i}`, `w${i}`, `m${i}`),
          b.node('SequenceInsert', [`s${i}`, `m${i}`], [`s${i + 1}`]),
        ]).flat(),
      ],
      [b.ints('last', [], [-1]), ...times(n, (i) => weight(`w${i}`))],
      [`m${n - 1}`],
    ),
  'bodies in bodies that read from outside': nested,
  'layers in bodies in bodies': layersInBodies,
  'bodies with the same names': bodiesOfOneName,
  'recurrent layers in a chain': (n) =>
    net(
      times(n, (i) =>
        b.node('RNN', [i === 0 ? 'x' : `h${i - 1}`, `w${i}`, 'r'], [`h${i}`], { hidden_size: 2 }),
      ),
      [
        ...times(n, (i) => b.floats(`w${i}`, [1, 2, 2], [1, 2, 3, 4])),
        b.floats('r', [1, 2, 2], [1, 2, 3, 4]),
      ],
      [`h${n - 1}`],
    ),
  'functions that call functions': functions,
  'slices of one matrix': (n) =>
    net(
      times(n, (i) => [
        b.node('Slice', ['w', `from${i}`, `to${i}`, 'axis'], [`w${i}`]),
        b.node('MatMul', ['x', `w${i}`], [`y${i}`]),
      ]).flat(),
      [
        b.noisy('w', [2, 2 * n], 1),
        b.ints('axis', [1], [1]),
        ...times(n, (i) => [b.ints(`from${i}`, [1], [2 * i]), b.ints(`to${i}`, [1], [2 * i + 2])]).flat(),
      ],
      times(n, (i) => `y${i}`),
    ),
  'weights joined from more and more tensors': (n) =>
    net(
      times(n, (i) => [
        b.node('Concat', i === 0 ? ['v0'] : [`w${i - 1}`, `v${i}`], [`w${i}`], { axis: 1 }),
        b.node('MatMul', ['x', `w${i}`], [`y${i}`]),
      ]).flat(),
      times(n, (i) => b.noisy(`v${i}`, [2, 1], i)),
      times(n, (i) => `y${i}`),
    ),
}

const OPTIONS: Readonly<Record<string, PlanModelOptions>> = {
  'as they are': {},
  'on integers, as qdq': { activations: { bits: 8 }, format: 'qdq' },
}

describe('planning does twice the operations for twice', () => {
  for (const [name, make] of Object.entries(SHAPES))
    for (const [how, options] of Object.entries(OPTIONS))
      it(`${name}, ${how}`, async () => {
        await expectLinear(make, async (bytes) => {
          await planModel(bytes, options).catch(() => {}) // some of these models hold no layer
        })
      })

  it('names to leave out', async () => {
    const ratio = await ratioOf(async (n) => {
      const bytes = encodeModel(SHAPES['a chain of layers']!(n))
      const exclude = times(n - 1, (i) => `w${i}`)
      return () => planModel(bytes, { exclude })
    })
    expect(ratio).toBeLessThan(TWICE)
  })
})

describe('an account, formats, segments and a written model do twice the operations for twice', () => {
  for (const name of [
    'a chain of layers',
    'many layers that read one tensor',
    'constants in a chain',
    'nodes of one name',
    'bodies in bodies that read from outside',
    'layers in bodies in bodies',
    'bodies with the same names',
    'recurrent layers in a chain',
    'functions that call functions',
  ])
    it(name, async () => {
      await expectLinear(SHAPES[name]!, async (bytes) => {
        const file = decodeModel(bytes)
        const graph = indexGraph(file)
        const { layers, skipped } = findLayers(graph)
        accountFloats({ file, graph, layers, skipped, renamed: new Map(), sources: new Map() })
        for (const own of layers) formatsFor(graph, own, 15, own.inputs)
        const solved = layers.map((own) => ({
          layer: own,
          quantized: randomQuantized(own, 15, own.inputs, false, 1),
        }))
        const network = Network.of(file).with(solved)
        for (const { inputs, outputs } of planStages(graph, layers))
          if (outputs.length > 0)
            network.segment(
              inputs.map((input) => ({ name: input, elemType: b.DataType.FLOAT })),
              outputs,
            )
        const entries = solved.map((own) => ({ ...own, format: 'float' as const }))
        encodeModel(writeQuantized(file, entries).model)
      })
    })
})

async function expectLinear(
  make: (n: number) => ModelProto,
  work: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const ratio = await ratioOf(async (n) => {
    const bytes = encodeModel(make(n))
    return () => work(bytes)
  })
  expect(ratio).toBeLessThan(TWICE)
}

/** How many times the operations twice the size takes. */
async function ratioOf(prepare: (n: number) => Promise<() => Promise<unknown>>): Promise<number> {
  const [once, small, large] = [await prepare(SIZE), await prepare(SIZE), await prepare(2 * SIZE)]
  await once() // what is done when code runs for the first time is not counted
  return (await countOperations(large)) / (await countOperations(small))
}
