/** Networks with the ways in which quantized values go from one layer to the next. */
import * as b from '../build.js'
import { conv, gemm, linear, type Net, net, of, type Part, relu } from './parts.js'

const between = (op: string, attributes = {}, operands: string[] = [], constants: Part['constants'] = []) => [
  conv('x', 'c1', 4, 8),
  relu('c1', 'r1'),
  of(op, ['r1', ...operands], 'm', attributes, constants),
  conv('m', 'c2', 8, 4),
]
const bounds = [b.floats('low', [], [0]), b.floats('high', [], [6])]
const sequence = { x: [2, 6, 32] }
// Where shapes are not declared, a static MatMul and the Add of its bias are not one kernel.
const BIAS_APART = { broken: true }
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
  'MaxPool between': net(between('MaxPool', { kernel_shape: [2, 2], strides: [2, 2] }), 'c2'),
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
    { kernels: { s: 'QLinearAdd' }, broken: true }, // a Pad of two readers has no integer kernel
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
    BIAS_APART,
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
    BIAS_APART,
  ),
  'a sum of moved tensors': net(
    [
      conv('x', 'c1', 4, 8),
      conv('x', 'c2', 4, 8),
      of('MaxPool', ['c1'], 'm1', { kernel_shape: [2, 2], strides: [2, 2] }),
      of('MaxPool', ['c2'], 'm2', { kernel_shape: [2, 2], strides: [2, 2] }),
      of('Add', ['m1', 'm2'], 'sum'),
      conv('sum', 'c3', 8, 4),
    ],
    'c3',
    { kernels: { sum: 'QLinearAdd' } },
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
    BIAS_APART,
    sequence,
  ),
  'one MatMul': net([linear('x', 'l', 32, 16)], 'l_sum', BIAS_APART, sequence),
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
