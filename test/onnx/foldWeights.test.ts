/** Weights that are picked out of stored tensors, or joined from several: ONNX Runtime computes the same before and after folding. */
import fc from 'fast-check'
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { planModel } from '#src/model/quantizeModel.js'
import { foldWeights } from '#src/onnx/foldWeights.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import { makeTensor } from '#src/onnx/tensor.js'
import { feedOf, outputsOf } from '../model/feeds.js'
import * as b from './build.js'

const N = 8
const x = b.value('x', b.DataType.FLOAT, ['n', N])
const feeds = { x: feedOf([3, N], 77) }

const modelOf = (nodes: NodeProto[], weights: TensorProto[], outputs: string[], opset = 17): ModelProto =>
  b.model(nodes, weights, [x], outputs, { opset })

const namesOf = (model: ModelProto): string[] => findLayers(indexGraph(model)).layers.map(({ name }) => name)

/** The weight alone: no MatMul takes a matrix of any shape. */
function withoutReader(model: ModelProto): Uint8Array {
  const copy = decodeModel(encodeModel(model))
  copy.graph!.node = copy.graph!.node.filter(({ opType }) => opType !== 'MatMul')
  copy.graph!.input = []
  return encodeModel(copy)
}

async function expectSame(model: ModelProto): Promise<ModelProto> {
  const folded = foldWeights(model).model
  const decoded = decodeModel(encodeModel(folded)) // as a file
  expect(await outputsOf(encodeModel(decoded), feeds)).toEqual(await outputsOf(encodeModel(model), feeds))
  return folded
}

describe('folding', () => {
  it('makes q, k and v layers of their own, where they are slices or parts of one matrix', async () => {
    const slices = ['q', 'k', 'v'].flatMap((name, i) => [
      b.node('Slice', ['w', `from${i}`, `from${i + 1}`, 'axis'], [`w${name}`]),
      b.node('MatMul', ['x', `w${name}`], [name], {}, name),
    ])
    const places = [0, 1, 2, 3].map((i) => b.ints(`from${i}`, [1], [i * N]))
    const whole = b.noisy('w', [N, 3 * N], 1)
    const sliced = modelOf(slices, [whole, b.ints('axis', [1], [-1]), ...places], ['q', 'k', 'v'])
    const split = modelOf(
      [
        b.node('Split', ['w'], ['wq', 'wk', 'wv'], { axis: 1 }),
        ...['q', 'k', 'v'].map((name) => b.node('MatMul', ['x', `w${name}`], [name], {}, name)),
      ],
      [whole],
      ['q', 'k', 'v'],
    )
    for (const model of [sliced, split]) {
      const folded = await expectSame(model)
      expect(namesOf(model)).toEqual([])
      expect(namesOf(folded)).toEqual(['q', 'k', 'v'])
      expect(folded.graph!.initializer.map(({ name }) => name)).not.toContain('w')
      expect(encodeModel(folded).length).toBeLessThan(encodeModel(model).length + 300)
      const { layers, floats } = await planModel(await openModel(encodeModel(model)), {})
      expect(layers.map(({ name }) => name)).toEqual(['q', 'k', 'v'])
      expect(floats).toEqual({ bytes: 4 * N * 3 * N, quantized: 4 * N * 3 * N, kept: [] })
    }
  })

  it('takes entries by their numbers, as Gather does, where they are not more than before', async () => {
    const places = fc.array(fc.integer({ min: -6, max: 5 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(places, fc.constantFrom(0, 1, -1), async (at, axis) => {
        const model = modelOf(
          [b.node('Gather', ['w', 'at'], ['f'], { axis }), b.node('MatMul', ['x', 'f'], ['y'])],
          [b.noisy('w', [6, 6], 5), b.ints('at', [at.length], at)],
          ['y'],
        )
        const folded = foldWeights(model).model
        expect(folded.graph!.node[0]!.opType).toBe(at.length <= 6 ? 'Constant' : 'Gather')
        for (const own of [model, folded]) own.graph!.output = [b.value('f')]
        expect(await outputsOf(withoutReader(folded), {})).toEqual(await outputsOf(withoutReader(model), {}))
      }),
      { numRuns: 40 },
    )
  })

  const layer = (parts: string[]): NodeProto[] => [
    b.node('Concat', parts, ['joined'], { axis: 0 }),
    b.node('MatMul', ['x', 'joined'], ['good'], {}, 'good'),
  ]
  const halves = [b.noisy('upper', [N / 2, N], 1), b.noisy('lower', [N / 2, N], 2)]

  it('is not hindered by other weights: those that would grow, and those that share tensors with each other in a row', async () => {
    const overlapping = [0, 1].flatMap((i) => [
      b.node('Slice', ['w', `from${i}`, `to${i}`], [`part${i}`]),
      b.node('MatMul', ['x', `part${i}`], [`p${i}`], {}, `p${i}`),
    ])
    const places = [0, 1].flatMap((i) => [b.ints(`from${i}`, [1], [i]), b.ints(`to${i}`, [1], [i + N])])
    const grows = modelOf(
      [...overlapping, ...layer(['upper', 'lower'])],
      [...halves, b.noisy('w', [N + 1, N], 3), ...places],
      ['good', 'p0', 'p1'],
    )
    const LONG = 12
    const row = Array.from({ length: LONG }, (_, i) => [
      b.node('Concat', [`s${i}`, `s${i + 1}`], [`w${i}`], { axis: 0 }),
      b.node('MatMul', ['x', `w${i}`], [`y${i}`], {}, `y${i}`),
    ])
    const pieces = Array.from({ length: LONG + 1 }, (_, i) =>
      b.noisy(`s${i}`, [i % 2 === 0 ? 1 : N - 1, N], i + 1),
    )
    const inRow = modelOf(
      [...row.flat(), b.node('Add', ['x', 's0'], ['z']), ...layer(['upper', 'lower'])],
      [...halves, ...pieces],
      ['good', 'z', ...row.map((_, i) => `y${i}`)],
    )
    for (const model of [grows, inRow]) expect(namesOf(await expectSame(model))).toEqual(['good'])
  })

  it('takes an output without a name for nothing that could be read', () => {
    const nodes = [b.node('Split', ['w'], ['upper', ''], { axis: 0 }), ...layer(['upper', ''])]
    const model = modelOf(nodes, [b.noisy('w', [N, N], 1)], ['good'])
    expect(foldWeights(model).model).toBe(model)
  })

  it('leaves float64 as it is, which float32 does not hold', () => {
    const double = (name: string) =>
      makeTensor(name, b.DataType.DOUBLE, [N / 2, N], new Float64Array((N * N) / 2).fill(1 / 3))
    const model = modelOf(layer(['upper', 'lower']), [double('upper'), double('lower')], ['good'])
    expect(foldWeights(model).model).toBe(model)
  })

  it('drops sizes, places and declared shapes that nothing reads any more', async () => {
    const model = modelOf(
      [
        b.node('Slice', ['w', 'from', 'to'], ['part']),
        b.node('Identity', ['part'], ['between']),
        b.node('Slice', ['between', 'from', 'end'], ['own']),
        b.node('MatMul', ['x', 'own'], ['y']),
        b.node('Unsqueeze', ['y', 'from'], ['z']),
      ],
      [
        b.noisy('w', [N + 3, N], 1),
        b.ints('from', [1], [0]),
        b.ints('to', [1], [N + 1]),
        b.ints('end', [1], [N]),
      ],
      ['z'],
    )
    model.graph!.valueInfo = ['part', 'between', 'own', 'y'].map((name) => b.value(name))
    const { graph } = await expectSame(model)
    expect(graph!.initializer.map(({ name }) => name)).toEqual(['from'])
    expect(graph!.valueInfo.map(({ name }) => name)).toEqual(['own', 'y'])
  })

  it('says which inputs of the model are gone', async () => {
    const model = modelOf(layer(['upper', 'lower']), halves, ['good'])
    model.graph!.input.push(b.value('upper', b.DataType.FLOAT, [N / 2, N]))
    await expectSame(model)
    const { notes } = await planModel(encodeModel(model), {})
    expect(notes.map(({ code, text }) => [code, text])).toEqual([
      [
        'WEIGHTS_NOT_INPUTS',
        "inputs of the model with these names ('upper') are gone: their weights are constants now",
      ],
    ])
  })

  it('takes any number of tensors, and no memory for what is left out', () => {
    const many = Array.from({ length: 150_000 }, (_, i) => b.floats(`p${i}`, [1, 2], [i, 1]))
    const wide = modelOf(layer(many.map(({ name }) => name)), many, ['good'])
    expect(namesOf(foldWeights(wide).model)).toEqual(['good'])
    // 10^12 values, if they were made
    const again = modelOf(
      layer(new Array<string>(1_000_000).fill('w')),
      [b.noisy('w', [1000, 1000], 1)],
      ['good'],
    )
    expect(foldWeights(again).model).toBe(again)
    // no values in 2^40 rows
    const empty = { ...b.floats('w', [0, N], []), dims: [2n ** 40n, 0n] }
    const nothing = modelOf(
      [b.node('Slice', ['w', 'from', 'to'], ['own']), b.node('MatMul', ['x', 'own'], ['y'])],
      [empty, b.ints('from', [1], [0]), b.ints('to', [1], [2 ** 41]), b.noisy('idle', [N], 1)],
      ['y'],
    )
    expect(foldWeights(nothing).model).toBe(nothing)
  })

  it('leaves weights whose sources something else reads, and weights that would make the file larger', async () => {
    const read = modelOf(
      [
        b.node('Concat', ['a', 'c'], ['w'], { axis: 0 }),
        b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer'),
        b.node('Add', ['x', 'a'], ['z']),
      ],
      [b.noisy('a', [1, N], 1), b.noisy('c', [N - 1, N], 2)],
      ['y', 'z'],
    )
    const twice = modelOf(
      [b.node('Concat', ['a', 'a'], ['w'], { axis: 1 }), b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer')],
      [b.noisy('a', [N, N], 1)],
      ['y'],
    )
    for (const model of [read, twice]) {
      expect(foldWeights(model)).toEqual({ model, sources: new Map() })
      const { skipped } = findLayers(indexGraph(model))
      expect(skipped).toEqual([
        { name: 'layer', reason: 'its weight is computed from initializers by Concat' },
      ])
    }
  })

  it('stops at tensors that grow without end', () => {
    const nodes = Array.from({ length: 60 }, (_, i) =>
      b.node('Concat', [`w${i}`, `w${i}`], [`w${i + 1}`], { axis: 1 }),
    )
    const model = modelOf(
      [...nodes, b.node('MatMul', ['x', 'w60'], ['y'])],
      [b.noisy('w0', [N, 1], 1)],
      ['y'],
    )
    expect(foldWeights(model).model).toBe(model)
  })

  it('joins the gates of an LSTM in another order, once for both branches that read them', async () => {
    const H = 4
    const gates = (name: string): NodeProto[] => {
      const parts = [0, 3, 1, 2].map((gate, i) =>
        b.node('Slice', [`stored${name}`, `at${gate}`, `at${gate + 1}`, 'first'], [`${name}${i}`]),
      )
      const joined = b.node(
        'Concat',
        [0, 1, 2, 3].map((i) => `${name}${i}`),
        [`${name}j`],
        { axis: 0 },
      )
      return [...parts, joined, b.node('Unsqueeze', [`${name}j`, 'first'], [name])]
    }
    const branch = (name: string, direction: string) =>
      b.graph(
        [
          ...gates('W'),
          ...gates('R'),
          b.node('LSTM', ['t', 'W', 'R'], [name, ''], { hidden_size: H, direction }, name),
        ],
        [],
        [],
        [name],
      )
    const model = modelOf(
      [
        b.node('Unsqueeze', ['x', 'first'], ['t']),
        b.node('ReduceSum', ['x'], ['sum'], { keepdims: 0 }),
        b.node('Greater', ['sum', 'nought'], ['positive']),
        b.node('If', ['positive'], ['y'], {
          then_branch: branch('forth', 'forward'),
          else_branch: branch('back', 'reverse'),
        }),
      ],
      [
        b.noisy('storedW', [4 * H, N], 1),
        b.noisy('storedR', [4 * H, H], 2),
        b.ints('first', [1], [0]),
        b.floats('nought', [], [0]),
        ...[0, 1, 2, 3, 4].map((i) => b.ints(`at${i}`, [1], [i * H])),
      ],
      ['y'],
    )
    const folded = await expectSame(model)
    expect(namesOf(folded)).toEqual(['forth:W', 'forth:R'])
    expect(encodeModel(folded).length).toBeLessThan(encodeModel(model).length)
    const { floats } = await planModel(await openModel(encodeModel(model)), {})
    expect(floats.quantized).toBe(4 * (4 * H * N + 4 * H * H))
    expect(floats.kept.map(({ place }) => place)).toEqual(["'nought'"])
  })

  it('computes what ONNX Runtime computes, whatever is picked and joined', async () => {
    const part = fc.record({
      start: fc.integer({ min: -10, max: 10 }),
      end: fc.integer({ min: -10, max: 10 }),
      step: fc.constantFrom(1, 2, 3, -1, -2),
      axis: fc.constantFrom(0, 1, -1),
      turns: fc.boolean(),
    })
    let folds = 0
    await fc.assert(
      fc.asyncProperty(part, fc.constantFrom(9, 17), async ({ start, end, step, axis, turns }, opset) => {
        const plain = opset === 9
        const from = plain ? Math.abs(step) === step : true
        fc.pre(from && (!plain || step === 1))
        const slice = plain
          ? b.node('Slice', ['w'], ['s'], { starts: [start], ends: [end], axes: [axis] })
          : b.node('Slice', ['w', 'start', 'end', 'axis', 'step'], ['s'])
        const model = modelOf(
          [
            slice,
            b.node('Transpose', ['s'], ['t'], { perm: turns ? [1, 0] : [0, 1] }),
            b.node('Dropout', ['t'], ['d']),
            b.node('Concat', ['d'], ['c'], { axis: 0 }),
            b.node(
              'Slice',
              plain ? ['c'] : ['c', 'none', 'all', 'none', 'one'],
              ['f'],
              plain ? { starts: [0], ends: [1000], axes: [0] } : {},
            ),
            b.node('MatMul', ['x', 'f'], ['y']),
          ],
          [
            b.noisy('w', [6, 9], 5),
            ...(plain
              ? []
              : [
                  b.ints('start', [1], [start]),
                  b.ints('end', [1], [end]),
                  b.ints('axis', [1], [axis]),
                  b.ints('step', [1], [step]),
                  b.ints('none', [1], [0]),
                  b.ints('all', [1], [1000]),
                  b.ints('one', [1], [1]),
                ]),
          ],
          ['f'],
          opset,
        )
        const [expected] = await outputsOf(withoutReader(model), {})
        const folded = foldWeights(model).model
        const made = folded.graph!.node.find(({ output }) => output[0] === 'f')
        folds += Number(made?.opType === 'Constant')
        expect([...(await outputsOf(withoutReader(folded), {}))[0]!]).toEqual([...expected!])
      }),
      { numRuns: 60 },
    )
    expect(folds).toBeGreaterThan(10)
  })
})
