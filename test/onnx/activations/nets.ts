/** Small networks of layers, and the ways in which quantized values go from one to the next. */
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import * as b from '../build.js'

export interface Net {
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
  readonly inputs: Readonly<Record<string, readonly number[]>>
  readonly outputs: readonly string[]
  /** Layers that stay float in this test though they could run on integers. */
  readonly float?: readonly string[]
  /** Other kernels that must run, with the nodes that they compute. */
  readonly kernels?: Readonly<Record<string, string>>
  /** Kernels that must not run: the ends of broken chains. */
  readonly without?: readonly string[]
}

interface Part {
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
}

/** A convolution with its bias, named by its output. */
export function conv(
  x: string,
  y: string,
  channels: number,
  neurons: number,
  size = [3, 3],
  group = 1,
): Part {
  const pads = [...size, ...size].map((length) => (length - 1) / 2)
  return {
    nodes: [b.node('Conv', [x, `${y}_w`, `${y}_b`], [y], { pads, group }, y)],
    constants: [
      b.noisy(`${y}_w`, [neurons, channels / group, ...size], y.length + neurons),
      b.noisy(`${y}_b`, [neurons], y.length + 7),
    ],
  }
}

export function gemm(x: string, y: string, inputs: number, neurons: number, transB: 0 | 1, alpha = 1): Part {
  return {
    nodes: [b.node('Gemm', [x, `${y}_w`, `${y}_b`], [y], { transB, alpha: { float: alpha } }, y)],
    constants: [
      b.noisy(`${y}_w`, transB ? [neurons, inputs] : [inputs, neurons], y.length),
      b.noisy(`${y}_b`, [neurons], y.length + 7),
    ],
  }
}

/** A MatMul and the Add of its bias, `${y}_sum`. */
export function linear(x: string, y: string, inputs: number, neurons: number): Part {
  return {
    nodes: [
      b.node('MatMul', [x, `${y}_w`], [y], {}, y),
      b.node('Add', [y, `${y}_b`], [`${y}_sum`], {}, `${y}_sum`),
    ],
    constants: [
      b.noisy(`${y}_w`, [inputs, neurons], y.charCodeAt(0)),
      b.noisy(`${y}_b`, [neurons], y.length + 7),
    ],
  }
}

const of = (
  op: string,
  inputs: string[],
  y: string,
  attributes: Parameters<typeof b.node>[3] = {},
  constants: TensorProto[] = [],
): Part => ({ nodes: [b.node(op, inputs, [y], attributes, y)], constants })

/** The parts one behind the other, with a float node at the end, so that no layer makes an output of the graph. */
export function net(
  parts: readonly Part[],
  last: string,
  rest: Pick<Net, 'float' | 'kernels' | 'without'> = {},
  inputs: Net['inputs'] = { x: [2, 4, 8, 8] },
): Net {
  return {
    nodes: [...parts.flatMap(({ nodes }) => nodes), b.node('Neg', [last], ['y'], {}, 'y')],
    constants: parts.flatMap(({ constants }) => constants),
    inputs,
    outputs: ['y'],
    ...rest,
  }
}

export function modelOfNet({ nodes, constants, inputs, outputs }: Net, opset: number): ModelProto {
  return b.model(
    [...nodes],
    [...constants],
    Object.entries(inputs).map(([name, dims]) => b.value(name, b.DataType.FLOAT, [...dims])),
    [...outputs],
    { opset },
  )
}

export const feedsOfNet = ({ inputs }: Net): Record<string, b.ort.Tensor> =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, dims]) => [
      name,
      b.tensor(
        [...dims],
        b.noise(
          dims.reduce((p, d) => p * d, 1),
          dims.length + 3,
        ),
      ),
    ]),
  )

const relu = (x: string, y: string) => of('Relu', [x], y)
const between = (op: string, attributes = {}, operands: string[] = [], constants: TensorProto[] = []) => [
  conv('x', 'c1', 4, 8),
  relu('c1', 'r1'),
  of(op, ['r1', ...operands], 'm', attributes, constants),
  conv('m', 'c2', 8, 4),
]
const bounds = [b.floats('low', [], [0]), b.floats('high', [], [6])]
const sequence = { x: [2, 6, 32] }
const NO_FLOATS = { without: ['Relu', 'Clip'] }

/** By name. All layers run on integers unless `float` says otherwise. */
export const NETS: Readonly<Record<string, Net>> = {
  chain: net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      conv('r1', 'c2', 8, 8, [1, 1]),
      relu('c2', 'r2'),
      conv('r2', 'c3', 8, 4),
    ],
    'c3',
    NO_FLOATS,
  ),
  'residual block': net(
    [
      conv('x', 'c0', 4, 8),
      relu('c0', 'r0'),
      conv('r0', 'c1', 8, 8),
      relu('c1', 'r1'),
      conv('r1', 'c2', 8, 8),
      of('Add', ['c2', 'r0'], 'sum'),
      relu('sum', 'r2'),
      conv('r2', 'c3', 8, 4),
    ],
    'c3',
    { kernels: { sum: 'QLinearAdd' }, without: ['Relu', 'Add'] },
  ),
  'MaxPool between': net(between('MaxPool', { kernel_shape: [2, 2], strides: [2, 2] }), 'c2', {
    kernels: { m: 'NhwcMaxPool' },
  }),
  'MaxPool behind a float layer': net(
    between('MaxPool', { kernel_shape: [2, 2], strides: [2, 2] }),
    'c2',
    // The Relu is a part of the convolution on floats, and the quantizer stands behind the pooling.
    { float: ['c1'], kernels: { c1: 'FusedConv', m: 'MaxPool' }, without: ['Relu'] },
  ),
  'Reshape between': net(between('Reshape', {}, ['shape'], [b.ints('shape', [4], [2, 8, 4, 16])]), 'c2'),
  'Transpose between': net(between('Transpose', { perm: [0, 1, 3, 2] }), 'c2'),
  'nearest Resize between': net(
    between(
      'Resize',
      { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
      ['', 'sizes'],
      [b.floats('sizes', [4], [1, 1, 2, 2])],
    ),
    'c2',
  ),
  'Slice between': net(
    between(
      'Slice',
      {},
      ['from', 'to', 'axis'],
      [b.ints('from', [1], [2]), b.ints('to', [1], [6]), b.ints('axis', [1], [3])],
    ),
    'c2',
  ),
  'DepthToSpace between': net(
    [
      conv('x', 'c1', 4, 16),
      relu('c1', 'r1'),
      of('DepthToSpace', ['r1'], 'm', { blocksize: 2 }),
      conv('m', 'c2', 4, 4),
    ],
    'c2',
  ),
  'Pad between': net(between('Pad', {}, ['pads'], [b.ints('pads', [8], [0, 0, 1, 1, 0, 0, 1, 1])]), 'c2'),
  'Gather between': net(
    between('Gather', { axis: 1 }, ['channels'], [b.ints('channels', [8], [7, 6, 5, 4, 3, 2, 1, 0])]),
    'c2',
  ),
  'Expand between': net(between('Expand', {}, ['ones'], [b.ints('ones', [4], [1, 1, 1, 1])]), 'c2'),
  'Tile between': net(between('Tile', {}, ['repeats'], [b.ints('repeats', [4], [1, 1, 1, 2])]), 'c2'),
  'Dropout between': net(between('Dropout'), 'c2'),
  'Unsqueeze and Squeeze between': net(
    [
      conv('x', 'c1', 4, 8, [3]),
      of('Unsqueeze', ['c1', 'axis'], 'u', {}, [b.ints('axis', [1], [2])]),
      conv('u', 'c2', 8, 8, [1, 3]),
      of('Squeeze', ['c2', 'axis'], 's'),
      conv('s', 'c3', 8, 4, [3]),
      of('GlobalAveragePool', ['c3'], 'p'),
    ],
    'p',
    { kernels: { p: 'QLinearGlobalAveragePool' } },
    { x: [2, 4, 12] },
  ),
  'Identity between': net(between('Identity'), 'c2'),
  'AveragePool between': net(between('AveragePool', { kernel_shape: [2, 2], strides: [2, 2] }), 'c2', {
    kernels: { m: 'QLinearAveragePool' },
  }),
  'LeakyRelu between': net(between('LeakyRelu', { alpha: { float: 0.2 } }), 'c2', {
    kernels: { m: 'QLinearLeakyRelu' },
  }),
  'Concat of two branches': net(
    [
      conv('x', 'c0', 4, 8),
      relu('c0', 'r0'),
      conv('r0', 'c1', 8, 4),
      relu('c1', 'r1'),
      conv('r0', 'c2', 8, 6, [1, 1]),
      of('Concat', ['r1', 'c2'], 'm', { axis: 1 }),
      conv('m', 'c3', 10, 4),
    ],
    'c3',
    { kernels: { m: 'QLinearConcat' } },
  ),
  'Split of channels': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      {
        nodes: [b.node('Split', ['r1', 'parts'], ['m1', 'm2'], { axis: 1 }, 'm1')],
        constants: [b.ints('parts', [2], [3, 5])],
      },
      conv('m1', 'c2', 3, 4),
      conv('m2', 'c3', 5, 4),
      of('Add', ['c2', 'c3'], 'sum'),
    ],
    'sum',
    { kernels: { sum: 'QLinearAdd' } },
  ),
  gate: net(
    [conv('x', 'c1', 4, 8), of('Sigmoid', ['c1'], 's'), of('Mul', ['c1', 's'], 'm'), conv('m', 'c2', 8, 4)],
    'c2',
    { kernels: { s: 'QLinearSigmoid', m: 'QLinearMul' } },
  ),
  'Clip behind': net(
    [
      conv('x', 'c1', 4, 8),
      of('Clip', ['c1', 'low', 'high'], 'r1', {}, bounds),
      conv('r1', 'c2', 8, 4),
      of('Clip', ['c2', 'low', 'high'], 'r2'),
    ],
    'r2',
    NO_FLOATS,
  ),
  'a tensor read by two layers': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      conv('r1', 'c2', 8, 4),
      conv('r1', 'c3', 8, 4, [1, 1]),
      of('Add', ['c2', 'c3'], 's'),
    ],
    's',
    { kernels: { s: 'QLinearAdd' } },
  ),
  'a tensor read by nodes that move it and by a layer': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      of('Transpose', ['r1'], 't', { perm: [0, 1, 3, 2] }),
      of('Slice', ['r1', 'from', 'to', 'axis'], 'p', {}, [
        b.ints('from', [1], [0]),
        b.ints('to', [1], [8]),
        b.ints('axis', [1], [3]),
      ]),
      conv('t', 'c2', 8, 4),
      conv('p', 'c3', 8, 4),
      conv('r1', 'c4', 8, 4),
      of('Add', ['c2', 'c3'], 's1'),
      of('Add', ['s1', 'c4'], 's2'),
    ],
    's2',
    { kernels: { s1: 'QLinearAdd', s2: 'QLinearAdd' } },
  ),
  'several that only move': net(
    [
      conv('x', 'c1', 4, 8),
      of('Transpose', ['c1'], 't', { perm: [0, 2, 3, 1] }),
      of('Reshape', ['t', 'shape'], 'm', {}, [b.ints('shape', [4], [2, 4, 16, 8])]),
      of('Transpose', ['m'], 't2', { perm: [0, 3, 1, 2] }),
      of('Pad', ['t2', 'pads'], 'p', {}, [b.ints('pads', [8], [0, 0, 0, 1, 0, 0, 0, 1])]),
      conv('p', 'c2', 8, 4),
      conv('p', 'c3', 8, 4),
      of('Add', ['c2', 'c3'], 's'),
    ],
    's',
    { kernels: { s: 'QLinearAdd' } },
  ),
  'a tensor read by a float node too': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      conv('r1', 'c2', 8, 8),
      of('Exp', ['r1'], 'e'),
      of('Sub', ['c2', 'e'], 's'),
    ],
    's',
  ),
  'a float layer between': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      conv('r1', 'c2', 8, 8),
      relu('c2', 'r2'),
      conv('r2', 'c3', 8, 4),
    ],
    'c3',
    { float: ['c2'] },
  ),
  'float depthwise layers between': net(
    [
      conv('x', 'c1', 4, 8),
      of('Clip', ['c1', 'low', 'high'], 'r1', {}, bounds),
      conv('r1', 'd1', 8, 8, [3, 3], 8),
      of('Clip', ['d1', 'low', 'high'], 'r2'),
      conv('r2', 'c2', 8, 8, [1, 1]),
      conv('c2', 'd2', 8, 8, [3, 3], 8),
      conv('d2', 'c3', 8, 4, [1, 1]),
    ],
    'c3',
    { float: ['d1', 'd2'], without: ['LeakyRelu'] },
  ),
  'a weight that two nodes use': net(
    [
      conv('x', 'c0', 4, 8),
      conv('c0', 'c1', 8, 8),
      relu('c1', 'r1'),
      {
        nodes: [b.node('Conv', ['r1', 'c1_w', 'c0_b'], ['c2'], { pads: [1, 1, 1, 1] }, 'c2')],
        constants: [],
      },
    ],
    'c2',
  ),
  'a MatMul weight that two nodes use': net(
    [
      linear('x', 'a', 32, 32),
      relu('a_sum', 'r'),
      { nodes: [b.node('MatMul', ['r', 'a_w'], ['b'], {}, 'b')], constants: [] },
    ],
    'b',
    {},
    sequence,
  ),
  'an output of the graph': {
    ...conv('x', 'y', 4, 8),
    inputs: { x: [2, 4, 8, 8] },
    outputs: ['y'],
  },
  'a float layer behind a MaxPool': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      of('MaxPool', ['r1'], 'm', { kernel_shape: [2, 2], strides: [2, 2] }),
      conv('m', 'c2', 8, 8),
      relu('c2', 'r2'),
      conv('r2', 'c3', 8, 4),
    ],
    'c3',
    { float: ['c2'] },
  ),
  'a float Gemm between': net(
    [gemm('x', 'g1', 32, 16, 0), relu('g1', 'r1'), gemm('r1', 'g2', 16, 24, 1), gemm('g2', 'g3', 24, 8, 1)],
    'g3',
    { float: ['g2'] },
    { x: [6, 32] },
  ),
  'a MatMul behind a convolution': net(
    [
      conv('x', 'c1', 4, 32),
      relu('c1', 'r1'),
      of('Transpose', ['r1'], 't', { perm: [0, 2, 3, 1] }),
      linear('t', 'l', 32, 16),
      conv('r1', 'c2', 32, 4),
      of('Transpose', ['c2'], 't2', { perm: [0, 2, 3, 1] }),
      of('Concat', ['l_sum', 't2'], 'm', { axis: 3 }),
    ],
    'm',
  ),
  '1-D': net(
    [conv('x', 'c1', 4, 8, [3]), relu('c1', 'r1'), conv('r1', 'c2', 8, 4, [5])],
    'c2',
    {},
    { x: [2, 4, 12] },
  ),
  Gemm: net(
    [
      gemm('x', 'g1', 32, 16, 0, 0.5),
      relu('g1', 'r1'),
      gemm('r1', 'g2', 16, 24, 1),
      relu('g2', 'r2'),
      gemm('r2', 'g3', 24, 8, 1),
    ],
    'g3',
    {},
    { x: [6, 32] },
  ),
  'pooled features': net(
    [
      conv('x', 'c1', 4, 8),
      relu('c1', 'r1'),
      of('GlobalAveragePool', ['r1'], 'p'),
      of('Flatten', ['p'], 'f'),
      gemm('f', 'g1', 8, 6, 1),
    ],
    'g1',
    { kernels: { p: 'QLinearGlobalAveragePool' } },
  ),
  attention: net(
    [
      linear('x', 'q', 32, 32),
      linear('x', 'k', 32, 32),
      linear('x', 'v', 32, 32),
      of('Transpose', ['k_sum'], 'kt', { perm: [0, 2, 1] }),
      of('MatMul', ['q_sum', 'kt'], 'scores'),
      of('Softmax', ['scores'], 'a', { axis: 2 }),
      of('MatMul', ['a', 'v_sum'], 'mixed'),
      linear('mixed', 'o', 32, 32),
    ],
    'o_sum',
    {},
    sequence,
  ),
  'one MatMul': net([linear('x', 'l', 32, 16)], 'l_sum', {}, sequence),
  'MatMul without bias': net(
    [
      of('MatMul', ['x', 'w'], 'm1', {}, [b.noisy('w', [32, 16], 3)]),
      relu('m1', 'r'),
      of('MatMul', ['r', 'w2'], 'm2', {}, [b.noisy('w2', [16, 8], 4)]),
    ],
    'm2',
    {},
    sequence,
  ),
}
