/**
 * Weights that are rounded because calibration sees no rows of what reads them: recurrent layers, and layers in the bodies of
 * If, Loop and Scan. The written model must compute what the float model computes with the rounded weights of a float64 twin.
 */
import { create } from '@bufbuild/protobuf'
import { type ModelProto, type NodeProto, OperatorSetIdProtoSchema, type TensorProto } from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { accountFloats } from '#src/onnx/floatAccount.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { subgraphs } from '#src/onnx/subgraphs.js'
import { readFloats } from '#src/onnx/tensor.js'
import type { PlanModelOptions } from '../../src/options.js'
import type { Feeds } from '../../src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { feedOf, outputsOf } from './feeds.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
})

/** Rows rounded to M levels, each with the scale of least error: the rule `mse` in float64. */
function roundRows(values: Float32Array, inputs: number, levels: number): Float32Array {
  const zero = (levels - 1) / 2
  const rounded = (row: Float32Array, scale: number) =>
    row.map((w) => {
      const ratio = w / scale + zero
      const floor = Math.floor(ratio)
      const tie = ratio - floor === 0.5
      const code = tie ? floor + (floor % 2) : Math.round(ratio)
      return Math.fround(scale) * (Math.min(levels - 1, Math.max(0, code)) - zero)
    })
  const out = new Float32Array(values.length)
  for (let at = 0; at < values.length; at += inputs) {
    const row = values.subarray(at, at + inputs)
    const most = row.reduce((max, w) => Math.max(max, Math.abs(w)), 0)
    let best = Number.POSITIVE_INFINITY
    for (let percent = 40; percent <= 100; percent += 5) {
      const scale = (2 * most * percent) / 100 / (levels - 1)
      const tried = rounded(row, scale)
      const error = tried.reduce((sum, q, i) => sum + (q - row[i]!) ** 2, 0)
      if (error < best) {
        best = error
        out.set(tried, at)
      }
    }
  }
  return out
}

/** The transposition of a matrix (rows, columns). */
const transposed = (values: Float32Array, columns: number): Float32Array =>
  values.map((_, i) => {
    const rows = values.length / columns
    return values[(i % rows) * columns + Math.floor(i / rows)]!
  })

/** A weight (inputs, neurons) whose columns are rounded. */
const roundColumns = (values: Float32Array, neurons: number, levels: number): Float32Array =>
  transposed(roundRows(transposed(values, neurons), values.length / neurons, levels), values.length / neurons)

/** The model with other values for some initializers, in all of its graphs. */
function withWeights(
  model: ModelProto,
  values: (tensor: TensorProto) => Float32Array | undefined,
): ModelProto {
  const copy = decodeModel(encodeModel(model))
  const visit = (graph: NonNullable<ModelProto['graph']>): void => {
    graph.initializer = graph.initializer.map((tensor) => {
      const own = values(tensor)
      return own === undefined ? tensor : b.floats(tensor.name, tensor.dims.map(Number), own)
    })
    for (const node of graph.node) for (const body of subgraphs(node)) visit(body)
  }
  visit(copy.graph!)
  return copy
}

async function expectSame(written: Uint8Array, twin: ModelProto, feeds: Feeds): Promise<void> {
  const [got, expected] = [await outputsOf(written, feeds), await outputsOf(encodeModel(twin), feeds)]
  expect(got).toHaveLength(expected.length)
  got.forEach((values, i) => {
    expect(b.relativeDifference(values, expected[i]!)).toBeLessThan(2e-5)
  })
}

const UNSAMPLED: PlanModelOptions = { method: 'msq', radius: { rule: 'mse' } }

describe('recurrent layers', () => {
  const GATES = { LSTM: 4, GRU: 3, RNN: 1 } as const
  const [INPUTS, HIDDEN] = [5, 6]

  function recurrent(op: keyof typeof GATES, directions: 1 | 2, opset: number): ModelProto {
    const rows = GATES[op] * HIDDEN
    const noisy = (name: string, dims: number[], seed: number) => b.noisy(name, dims, seed)
    const direction = directions === 2 ? 'bidirectional' : 'reverse'
    const initial = op === 'LSTM' ? ['h0', 'c0', 'p'] : ['h0']
    return b.model(
      [
        b.node(
          op,
          ['x', 'W', 'R', 'B', '', ...initial],
          ['y', 'h'],
          { hidden_size: HIDDEN, direction },
          'rec',
        ),
      ],
      [
        noisy('W', [directions, rows, INPUTS], 1),
        noisy('R', [directions, rows, HIDDEN], 2),
        noisy('B', [directions, 2 * rows], 3),
        noisy('h0', [directions, 2, HIDDEN], 4),
        ...(op === 'LSTM'
          ? [noisy('c0', [directions, 2, HIDDEN], 5), noisy('p', [directions, 3 * HIDDEN], 6)]
          : []),
      ],
      [b.value('x', b.DataType.FLOAT, ['time', 2, INPUTS])],
      ['y', 'h'],
      { opset, irVersion: opset >= 21 ? 10 : 8 },
    )
  }
  const twinOf = (model: ModelProto, levels: number) =>
    withWeights(model, (tensor) =>
      tensor.name === 'W' || tensor.name === 'R'
        ? roundRows(readFloats(tensor), Number(tensor.dims[2]), levels)
        : undefined,
    )
  const x = { x: feedOf([7, 2, INPUTS], 9) }

  for (const op of ['LSTM', 'GRU', 'RNN'] as const)
    for (const [directions, opset] of [
      [1, 7],
      [2, 14],
      [1, 21],
      [2, 21],
    ] as const)
      it(`${op}, ${directions} directions, opset ${opset}`, async () => {
        const model = recurrent(op, directions, opset)
        for (const format of ['packed', 'qdq'] as const) {
          const options = { ...UNSAMPLED, levels: 15, format, runner }
          const { model: written, report } = await quantizeModel(encodeModel(model), options)
          const possible = opset === 7 ? 'packed' : format
          expect(report.layers.map((layer) => [layer.name, layer.op, layer.format])).toEqual([
            ['rec:W', op, possible],
            ['rec:R', op, possible],
          ])
          await expectSame(written, twinOf(model, 15), x)
        }
      })

  it('are rounded whatever the method of the run, and say what they lose and why', async () => {
    const model = recurrent('GRU', 1, 13)
    const options = { calibration: [x], runner, holdout: 0 }
    const { model: written, report } = await quantizeModel(encodeModel(model), options)
    await expectSame(written, twinOf(model, 15), x)
    for (const layer of report.layers) {
      expect(layer.rounded).toMatch(/feeds its results back/)
      expect(layer.samples).toBe(0)
    }
    // Both weights share the outputs of their node, so both show the error of the node.
    const [float, quantized] = [await outputsOf(encodeModel(model), x), await outputsOf(written, x)]
    let [error, signal] = [0, 0]
    for (const [i, values] of float.entries())
      for (const [k, value] of values.entries()) {
        error += (value - quantized[i]![k]!) ** 2
        signal += value ** 2
      }
    for (const { relativeError } of report.layers)
      expect(relativeError).toBeCloseTo(Math.sqrt(error / signal), 5)
  })

  it('obey include, exclude, levelsFor and scales per group', async () => {
    const model = recurrent('LSTM', 2, 21)
    const { layers, skipped } = await planModel(encodeModel(model), {
      ...UNSAMPLED,
      exclude: ['rec:R'],
      levelsFor: [{ pattern: 'W', levels: 3 }],
    })
    expect(layers.map(({ name, levels }) => [name, levels])).toEqual([['rec:W', 3]])
    expect(skipped).toEqual([{ name: 'rec:R', reason: "excluded by 'rec:R'" }])
    const groups = withWeights(model, (tensor) => {
      if (tensor.name !== 'W' && tensor.name !== 'R') return undefined
      const [values, inputs] = [readFloats(tensor), Number(tensor.dims[2])]
      const out = new Float32Array(values.length)
      for (let row = 0; row < values.length; row += inputs)
        for (let t = 0; t < inputs; t += 4) {
          const block = values.slice(row + t, row + Math.min(inputs, t + 4))
          out.set(roundRows(block, block.length, 15), row + t)
        }
      return out
    })
    for (const format of ['packed', 'qdq'] as const) {
      const options = { ...UNSAMPLED, scalePer: { group: 4 }, format, runner }
      await expectSame((await quantizeModel(encodeModel(model), options)).model, groups, x)
    }
  })

  it('have weights behind Squeeze, Unsqueeze and Transpose', async () => {
    for (const opset of [11, 13]) {
      const model = recurrent('LSTM', 1, opset)
      const axes = (name: string, at: number) => (opset < 13 ? { [name]: [at] } : {})
      const [first] = model.graph!.node
      first!.input = first!.input.map((name) => (name === 'W' || name === 'R' ? `${name}3` : name))
      model.graph!.node.unshift(
        b.node('Transpose', ['W'], ['Wt'], { perm: [1, 0] }),
        b.node('Unsqueeze', ['Wt', ...(opset < 13 ? [] : ['first'])], ['W3'], axes('axes', 0)),
        b.node('Squeeze', ['R', ...(opset < 13 ? [] : ['last'])], ['R3'], axes('axes', 3)),
      )
      const rows = 4 * HIDDEN
      model.graph!.initializer = model.graph!.initializer.map((tensor) =>
        tensor.name === 'W'
          ? b.noisy('W', [INPUTS, rows], 1)
          : tensor.name === 'R'
            ? b.noisy('R', [1, rows, HIDDEN, 1], 2)
            : tensor,
      )
      model.graph!.initializer.push(b.ints('first', [1], [0]), b.ints('last', [1], [-1]))
      const twin = withWeights(model, (tensor) =>
        tensor.name === 'W'
          ? roundColumns(readFloats(tensor), rows, 15)
          : tensor.name === 'R'
            ? roundRows(readFloats(tensor), HIDDEN, 15)
            : undefined,
      )
      for (const format of ['packed', 'qdq'] as const) {
        const options = { ...UNSAMPLED, format, runner }
        await expectSame((await quantizeModel(encodeModel(model), options)).model, twin, x)
      }
    }
  })

  it('come before the layers of the stages, which make up for them', async () => {
    const model = recurrent('LSTM', 1, 13)
    model.graph!.node.push(
      b.node('Squeeze', ['h', 'axis'], ['s']),
      b.node('MatMul', ['s', 'K'], ['z'], {}, 'head'),
    )
    model.graph!.initializer.push(b.ints('axis', [1], [0]), b.noisy('K', [HIDDEN, 4], 8))
    model.graph!.output.push(b.value('z'))
    const calibration = Array.from({ length: 4 }, (_, i) => ({ x: feedOf([7, 2, INPUTS], 20 + i) }))
    const { report } = await quantizeModel(encodeModel(model), { calibration, runner, holdout: 0 })
    const [w, r, head] = report.layers
    expect([w?.rounded === null, r?.rounded === null, head?.rounded]).toEqual([false, false, null])
    expect(head?.samples).toBe(8)
    // What the head loses includes what the recurrent layer before it loses.
    expect(head!.relativeError).toBeGreaterThan(0.2 * w!.relativeError!)
  })
})

describe('other operators without sample rows', () => {
  const microsoft = (node: NodeProto): NodeProto => Object.assign(node, { domain: 'com.microsoft' })
  const CASES: Readonly<
    Record<string, { node: NodeProto; x: number[]; w: number[]; neurons: number; columns: boolean }>
  > = {
    'ConvTranspose, in groups': {
      node: b.node('ConvTranspose', ['x', 'w'], ['y'], { group: 2, strides: [2, 2] }),
      ...{ x: [2, 4, 5, 5], w: [4, 3, 3, 3], neurons: 4, columns: false },
    },
    'Conv in 3-D, in groups': {
      node: b.node('Conv', ['x', 'w'], ['y'], { group: 2 }),
      ...{ x: [2, 4, 5, 5, 5], w: [6, 2, 2, 3, 3], neurons: 6, columns: false },
    },
    FusedMatMul: {
      node: microsoft(b.node('FusedMatMul', ['x', 'w'], ['y'], { alpha: { float: 0.5 } })),
      ...{ x: [2, 3, 8], w: [8, 5], neurons: 5, columns: true },
    },
    'FusedMatMul with transB': {
      node: microsoft(b.node('FusedMatMul', ['x', 'w'], ['y'], { transB: 1 })),
      ...{ x: [2, 3, 8], w: [5, 8], neurons: 5, columns: false },
    },
    Attention: {
      node: microsoft(b.node('Attention', ['x', 'w', 'bias'], ['y'], { num_heads: 2 })),
      ...{ x: [2, 3, 8], w: [8, 24], neurons: 24, columns: true },
    },
    'MatMul with several matrices': {
      node: b.node('MatMul', ['x', 'w'], ['y']),
      ...{ x: [2, 3, 4, 8], w: [3, 8, 5], neurons: 5, columns: true },
    },
    'MatMul with several matrices on the left': {
      node: b.node('MatMul', ['w', 'x'], ['y']),
      ...{ x: [2, 3, 8, 4], w: [3, 5, 8], neurons: 15, columns: false },
    },
  }
  for (const [name, { node, x, w, neurons, columns }] of Object.entries(CASES))
    it(name, async () => {
      const count = w.reduce((product, dim) => product * dim, 1)
      const model = b.model([node], [b.noisy('w', w, 80), b.noisy('bias', [24], 81)], [b.value('x')], ['y'])
      model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }))
      const twin = withWeights(model, (tensor) => {
        if (tensor.name !== 'w') return undefined
        const values = readFloats(tensor)
        if (!columns) return roundRows(values, count / neurons, 15)
        const size = (w.at(-2) ?? 0) * neurons
        const matrices = Array.from({ length: count / size }, (_, i) =>
          values.slice(i * size, (i + 1) * size),
        )
        return Float32Array.from(matrices.flatMap((matrix) => [...roundColumns(matrix, neurons, 15)]))
      })
      for (const format of ['packed', 'qdq'] as const) {
        const { model: written, report } = await quantizeModel(encodeModel(model), {
          ...UNSAMPLED,
          format,
          runner,
        })
        expect(report.layers[0]).toMatchObject({
          op: node.opType,
          format,
          rounded: expect.stringMatching(/calibration takes no rows/),
        })
        await expectSame(written, twin, { x: feedOf(x, 82) })
      }
    })
})

it('a rounded weight needs no memory for H, however many inputs it has', async () => {
  const model = b.model(
    [b.node('Conv', ['x', 'w'], ['y'])],
    [b.noisy('w', [2, 1500, 3, 3, 3], 90)],
    [b.value('x')],
    ['y'],
  )
  const { layers } = await planModel(encodeModel(model), {})
  expect(layers[0]!.inputs).toBe(40500)
  expect(layers[0]!.memoryBytes).toBeLessThan(40500 ** 2)
})

describe('layers in bodies', () => {
  const N = 6
  const dense = (from: string, weight: string, to: string, name = `${to}_node`) =>
    b.node('MatMul', [from, weight], [to], {}, name)
  const scalar = (name: string) => b.value(name, b.DataType.FLOAT, [2, N])

  /** Ifs in Ifs, a Loop and a Scan; weights of the graph and of bodies, under the same names in both branches. */
  function nested(opset: number): ModelProto {
    const inner = b.graph([dense('x', 'deep', 'd')], [b.noisy('deep', [N, N], 21)], [], [scalar('d')])
    const innerElse = b.graph([dense('x', 'outer', 'e')], [], [], [scalar('e')])
    const thenBranch = b.graph(
      [
        dense('x', 'own', 'a'),
        b.node('If', ['c'], ['i'], { then_branch: inner, else_branch: innerElse }, 'inner'),
        b.node('Add', ['a', 'i'], ['t']),
      ],
      [b.noisy('own', [N, N], 22)],
      [],
      [scalar('t')],
    )
    const elseBranch = b.graph(
      [
        b.node('Constant', [], ['own'], { value: b.noisy('own', [N, N], 23) }),
        dense('x', 'own', 'a'),
        b.node('Gemm', ['a', 'outer', 'bias'], ['t'], { transB: 0 }),
      ],
      [b.noisy('bias', [N], 24)],
      [],
      [scalar('t')],
    )
    const loop = b.graph(
      [b.node('Identity', ['go'], ['on']), dense('h', 'own', 'm'), b.node('Tanh', ['m'], ['next'])],
      [b.noisy('own', [N, N], 25)],
      [b.value('n', b.DataType.INT64, []), b.value('go', b.DataType.BOOL, []), scalar('h')],
      [b.value('on', b.DataType.BOOL, []), scalar('next')],
    )
    const row = (name: string) => b.value(name, b.DataType.FLOAT, [1, N])
    const scan = b.graph(
      [
        b.node('Unsqueeze', ['in', 'axis'], ['u']),
        dense('u', 'outer', 'm'),
        b.node('Add', ['m', 'state'], ['s']),
        b.node('Identity', ['s'], ['out']),
      ],
      [],
      [row('state'), b.value('in', b.DataType.FLOAT, [N])],
      [row('s'), row('out')],
    )
    return b.model(
      [
        b.node('If', ['c'], ['y'], { then_branch: thenBranch, else_branch: elseBranch }, 'if'),
        b.node('Loop', ['trips', '', 'x'], ['l'], { body: loop }, 'loop'),
        b.node('Scan', ['zero', 'x'], ['f', 'z'], { body: scan, num_scan_inputs: 1 }, 'scan'),
        b.node('Add', ['y', 'l'], ['sum']),
      ],
      [
        b.noisy('outer', [N, N], 26),
        b.floats('zero', [1, N], new Float32Array(N)),
        b.ints('trips', [], [3]),
        b.ints('axis', [1], [0]),
      ],
      [scalar('x'), b.value('c', b.DataType.BOOL, [])],
      ['sum', 'z', 'f'],
      { opset, irVersion: opset >= 21 ? 10 : 8 },
    )
  }
  const feeds = (c: boolean): Feeds => ({
    x: feedOf([2, N], 30),
    c: { type: 'bool', dims: [], data: Uint8Array.of(Number(c)) },
  })
  const weights = new Set(['outer', 'deep', 'own'])
  function twinOf(model: ModelProto): ModelProto {
    const twin = withWeights(model, (tensor) =>
      weights.has(tensor.name) ? roundColumns(readFloats(tensor), N, 15) : undefined,
    )
    const visit = (node: NodeProto): void => {
      for (const attribute of node.attribute)
        if (attribute.t?.name === 'own')
          attribute.t = b.floats('own', [N, N], roundColumns(readFloats(attribute.t), N, 15))
      for (const body of subgraphs(node)) body.node.forEach(visit)
    }
    twin.graph!.node.forEach(visit)
    return twin
  }

  for (const opset of [13, 21])
    it(`are rounded where their weights are stored, at any depth: opset ${opset}`, async () => {
      const model = nested(opset)
      for (const format of ['packed', 'qdq', 'float'] as const) {
        const options = { ...UNSAMPLED, format, runner }
        const { model: written, report } = await quantizeModel(encodeModel(model), options)
        expect(report.layers.map(({ name, weight, format: own }) => [name, weight, own])).toEqual([
          ['a_node', 'own', format],
          ['d_node', 'deep', format],
          ['e_node', 'outer', format],
          ['a_node_2', 'own_2', format],
          ['m_node', 'own_3', format],
        ])
        for (const c of [true, false]) await expectSame(written, twinOf(model), feeds(c))
        // No tensor of one name is defined in two graphs that see each other, and the model has no old weight.
        expect(() => indexGraph(decodeModel(written))).not.toThrow()
        const { kept } = accountFloats({
          file: decodeModel(written),
          graph: indexGraph(decodeModel(written)),
          layers: [],
          skipped: [],
          renamed: new Map(),
          sources: new Map(),
        })
        if (format !== 'float') expect(kept.filter(({ bytes }) => bytes === 4 * N * N)).toEqual([])
      }
    })

  it('are listed with the reason, counted to the byte, and calibrated around', async () => {
    const model = nested(13)
    model.graph!.node.push(dense('sum', 'tail', 'end'))
    model.graph!.initializer.push(b.noisy('tail', [N, 3], 27))
    model.graph!.output.push(b.value('end'))
    const graph = indexGraph(model)
    const { layers, skipped } = findLayers(graph)
    const account = accountFloats({
      file: model,
      graph,
      layers,
      skipped,
      renamed: new Map(),
      sources: new Map(),
    })
    expect(account.quantized).toBe(4 * (5 * N * N + 3 * N))
    expect(account.bytes - account.quantized).toBe(4 * 2 * N) // zero, bias
    expect(account.kept.map(({ place, reason }) => `${place}: ${reason}`)).toContain(
      "'bias' in the body of If 'if': it is the bias of 't_node_2'",
    )
    const { report, model: written } = await quantizeModel(encodeModel(model), {
      calibration: [feeds(true), feeds(true)],
      runner,
      holdout: 0,
    })
    const rounded = report.layers.filter((layer) => layer.rounded !== null)
    expect(rounded.map(({ rounded: why, relativeError }) => [why, relativeError])).toContainEqual([
      "it is in the body of If 'if', whose tensors calibration does not see",
      null,
    ])
    const tail = report.layers.find(({ name }) => name === 'end_node')!
    expect([tail.rounded, tail.samples]).toEqual([null, 4])
    expect(tail.relativeError).toBeGreaterThan(0.001)
    await outputsOf(written, feeds(false))
  })

  it('have the codes of the layer of the graph that reads the same weight, however it reads it', async () => {
    const body = (weight: string) =>
      b.graph([dense('x', weight, 'm')], [], [], [b.value('m', b.DataType.FLOAT, ['n', N])])
    for (const chain of [[], [b.node('Transpose', ['w'], ['wt'], { perm: [1, 0] })]]) {
      const own = chain.length === 0 ? 'w' : 'wt'
      const branches = { then_branch: body('w'), else_branch: body(own) }
      const graph = (nodes: NodeProto[], outputs: string[]) =>
        b.model(
          [...chain, dense('x', own, 'y', 'main'), ...nodes],
          [b.noisy('w', [N, N], 40)],
          [b.value('x', b.DataType.FLOAT, ['n', N]), b.value('c', b.DataType.BOOL, [])],
          outputs,
        )
      const calibration = Array.from({ length: 3 }, (_, i) => ({
        ...feeds(i === 1),
        x: feedOf([8, N], 50 + i),
      }))
      const alone = await quantizeModel(
        encodeModel(graph([b.node('Cast', ['c'], ['z'], { to: 1 })], ['y', 'z'])),
        {
          ...{ calibration, runner, holdout: 0, format: 'float' },
        },
      )
      const [layer] = findLayers(indexGraph(decodeModel(alone.model))).layers
      const atNode = readFloats(
        decodeModel(alone.model).graph!.initializer.find(({ name }) => name === layer!.weight)!,
      )
      const values = chain.length === 0 ? atNode : transposed(atNode, N)
      const model = graph([b.node('If', ['c'], ['z'], branches, 'if')], ['y', 'z'])
      const twin = withWeights(model, ({ name }) => (name === 'w' ? values : undefined))
      for (const format of ['packed', 'qdq', 'float'] as const) {
        const { model: written, report } = await quantizeModel(encodeModel(model), {
          calibration,
          runner,
          holdout: 0,
          format,
        })
        expect(report.layers.map(({ name, rounded, samples }) => [name, rounded, samples])).toEqual([
          ['main', null, 24],
        ])
        for (const c of [true, false]) await expectSame(written, twin, feeds(c))
      }
    }
  })

  it('stay float where another node reads their weight, too', async () => {
    const table = b.graph(
      [b.node('Gather', ['w', 'k'], ['g']), dense('x', 'w', 'm'), b.node('Add', ['g', 'm'], ['t'])],
      [],
      [],
      [scalar('t')],
    )
    const model = b.model(
      [b.node('If', ['c'], ['z'], { then_branch: table, else_branch: table }, 'if')],
      [b.noisy('w', [N, N], 60), b.ints('k', [1], [2])],
      [scalar('x'), b.value('c', b.DataType.BOOL, [])],
      ['z'],
    )
    const graph = indexGraph(decodeModel(encodeModel(model)))
    const { layers, skipped } = findLayers(graph)
    expect(layers).toEqual([])
    expect(skipped.map(({ reason }) => reason)).toContain(
      "its weight 'w' stays float for node 't_node', which reads it too",
    )
  })
})
