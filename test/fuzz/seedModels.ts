/** Small valid models that between them have every kind of node that is read: what the fuzzing of models starts from. */
import { create } from '@bufbuild/protobuf'
import {
  FunctionProtoSchema,
  type ModelProto,
  type NodeProto,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from 'onnx-buf'
import * as b from '../onnx/build.js'
import { CASES } from '../onnx/cases.js'

const dense = (name: string, from: string, to: string): NodeProto => b.node('MatMul', [from, name], [to])
const square = (name: string, seed: number) => b.noisy(name, [8, 8], seed)
const x = () => b.value('x', b.DataType.FLOAT, ['n', 8])

function convolutions(): ModelProto {
  return b.model(
    [
      b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads: [1, 1, 1, 1], kernel_shape: [3, 3], group: 1 }),
      b.node('BatchNormalization', ['c1', 's', 'o', 'm', 'v'], ['n1'], { epsilon: { float: 1e-5 } }),
      b.node('Clip', ['n1', 'low', 'high'], ['r1']),
      b.node('Conv', ['r1', 'w2'], ['c2'], { strides: [2, 2], auto_pad: 'SAME_UPPER', group: 4 }),
      b.node('Relu', ['c2'], ['r2']),
      b.node('Conv', ['r2', 'w3'], ['c3'], { dilations: [1, 1] }),
      b.node('Add', ['c3', 'c3'], ['a']),
      b.node('MaxPool', ['a'], ['p'], { kernel_shape: [2, 2], ceil_mode: 0 }),
      b.node('GlobalAveragePool', ['p'], ['g']),
      b.node('Flatten', ['g'], ['f']),
      b.node('Gemm', ['f', 'w4', 'b4'], ['y'], { transB: 1, alpha: { float: 1 }, beta: { float: 1 } }),
    ],
    [
      b.noisy('w1', [4, 3, 3, 3], 1),
      b.noisy('b1', [4], 2),
      ...['s', 'o', 'm'].map((name, i) => b.noisy(name, [4], 3 + i)),
      b.floats('v', [4], [1, 2, 1, 2]),
      b.floats('low', [], [0]),
      b.floats('high', [], [6]),
      b.noisy('w2', [4, 1, 3, 3], 6),
      b.noisy('w3', [8, 4, 1, 1], 7),
      b.noisy('w4', [5, 8], 8),
      b.noisy('b4', [5], 9),
    ],
    [b.value('x', b.DataType.FLOAT, ['n', 3, 8, 8])],
    [b.value('y', b.DataType.FLOAT, ['n', 5])],
  )
}

/** Weights that are picked out of stored tensors and joined from several, in a body, too. */
function parts(): ModelProto {
  const body = b.graph(
    [b.node('Slice', ['w2', 'zero', 'eight', 'zero', 'one'], ['inner']), dense('inner', 'x', 'z')],
    [],
    [],
    ['z'],
  )
  return b.model(
    [
      b.node('Split', ['w1', 'lengths'], ['upper', 'lower'], { axis: 0 }),
      b.node('Gather', ['lower', 'zero'], ['picked'], { axis: 0 }),
      b.node('Unsqueeze', ['upper', 'zero'], ['u']),
      b.node('Squeeze', ['u', 'zero'], ['s']),
      b.node('Concat', ['picked', 's'], ['joined'], { axis: 0 }),
      b.node('Dropout', ['joined'], ['d']),
      dense('d', 'x', 'h'),
      b.node('If', ['c'], ['y'], { then_branch: body, else_branch: body }),
    ],
    [
      b.noisy('w1', [8, 8], 1),
      b.noisy('w2', [9, 8], 2),
      b.ints('lengths', [2], [7, 1]),
      ...[['zero', 0] as const, ['one', 1] as const, ['eight', 8] as const].map(([name, value]) =>
        b.ints(name, [1], [value]),
      ),
    ],
    [x(), b.value('c', b.DataType.BOOL, [])],
    ['h', 'y'],
    { opset: 17 },
  )
}

function chains(): ModelProto {
  const model = b.model(
    [
      b.node('Constant', [], ['k'], { value: b.noisy('', [8, 8], 3) }),
      b.node('Transpose', ['w1'], ['t'], { perm: [1, 0] }),
      b.node('Reshape', ['t', 'shape'], ['r']),
      b.node('Cast', ['r'], ['c'], { to: b.DataType.FLOAT }),
      dense('c', 'x', 'h1'),
      b.node('Add', ['h1', 'bias'], ['h2']),
      dense('k', 'h2', 'h3'),
      b.node('Gather', ['table', 'ids'], ['e']),
      b.node('Add', ['h3', 'e'], ['h4']),
      dense('w1', 'h4', 'y'),
      b.node('Einsum', ['y', 'w1'], ['z'], { equation: 'ab,bc->ac' }),
    ],
    [
      square('w1', 1),
      b.ints('shape', [2], [8, -1]),
      b.noisy('bias', [8], 2),
      b.noisy('table', [6, 8], 4),
      b.ints('ids', [1], [2]),
    ],
    [x(), 'w1'],
    ['y', b.value('z')],
  )
  model.metadataProps = [create(StringStringEntryProtoSchema, { key: 'gpfq', value: 'old' })]
  return model
}

function bodies(): ModelProto {
  const branch = (w: string, from: string) =>
    b.graph(
      [dense(w, from, `${w}_y`), b.node('Relu', [`${w}_y`], [`${w}_r`])],
      [square(w, 5)],
      [],
      [`${w}_r`],
    )
  const inner = b.graph(
    [b.node('If', ['c'], ['i'], { then_branch: branch('p', 'h'), else_branch: branch('q', 'x') })],
    [],
    [],
    ['i'],
  )
  const loop = b.graph(
    [b.node('Identity', ['go'], ['stay']), dense('outer', 'state', 'next')],
    [],
    [b.value('n', b.DataType.INT64, []), b.value('go', b.DataType.BOOL, []), 'state'],
    [b.value('stay', b.DataType.BOOL, []), 'next'],
  )
  return b.model(
    [
      dense('w', 'x', 'h'),
      b.node('If', ['c'], ['a'], { then_branch: inner, else_branch: branch('r', 'h') }),
      b.node('Loop', ['trips', '', 'a'], ['l'], { body: loop }),
      dense('outer', 'l', 'y'),
    ],
    [square('w', 1), square('outer', 2), b.ints('trips', [], [2])],
    [x(), b.value('c', b.DataType.BOOL, [])],
    ['y', 'a'],
  )
}

function others(): ModelProto {
  const called = Object.assign(b.node('Own', ['h'], ['o']), { domain: 'own' })
  const attention = Object.assign(b.node('FusedMatMul', ['o', 'f'], ['u']), { domain: 'com.microsoft' })
  const model = b.model(
    [
      dense('w', 'x', 'h'),
      called,
      attention,
      b.node('ConvTranspose', ['u', 'w'], ['v']),
      b.node('LSTM', ['v', 'w', 'w'], ['l', '', '']),
      b.node('DequantizeLinear', ['w', 'scale'], ['d']),
      dense('d', 'l', 'q'),
      b.node('RandomNormalLike', ['q'], ['e']),
      b.node('Sum', ['q', 'e', 'sparse'], ['y']),
    ],
    [square('w', 1), square('f', 2), b.floats('scale', [], [1])],
    [x()],
    ['y'],
    { opset: 21, irVersion: 10 },
  )
  model.functions = [
    create(FunctionProtoSchema, {
      name: 'Own',
      domain: 'own',
      input: ['a'],
      output: ['b'],
      node: [b.node('Constant', [], ['k'], { value: square('', 3) }), dense('k', 'a', 'b')],
    }),
  ]
  model.graph!.sparseInitializer = [
    create(SparseTensorProtoSchema, {
      values: b.floats('sparse', [1], [2]),
      indices: b.ints('', [1], [3]),
      dims: [8n],
    }),
  ]
  return model
}

function recurrent(): ModelProto {
  const rows = (name: string, seed: number) => b.noisy(name, [2, 32, 8], seed)
  const branch = (weight: string) =>
    b.graph([b.node('GRU', ['t', 'wg', weight], ['', 'g'], { hidden_size: 8 })], [], [], ['g'])
  return b.model(
    [
      b.node('LSTM', ['x', 'w', 'r'], ['', 'h'], { hidden_size: 8, direction: 'bidirectional' }),
      b.node('Unsqueeze', ['k', 'axis'], ['ku']),
      b.node('RNN', ['h', 'ku', 'ku'], ['t'], { hidden_size: 8 }),
      b.node('If', ['c'], ['y'], { then_branch: branch('wg'), else_branch: branch('rg') }),
    ],
    [
      ...[rows('w', 1), rows('r', 2), square('k', 3), b.ints('axis', [1], [0])],
      ...[b.noisy('wg', [1, 24, 8], 4), b.noisy('rg', [1, 24, 8], 5)],
    ],
    [b.value('x', b.DataType.FLOAT, ['t', 'n', 8]), b.value('c', b.DataType.BOOL, [])],
    ['y', 'h'],
  )
}

function external(): ModelProto {
  const model = b.model([dense('w', 'x', 'y')], [square('w', 1)], [x()], ['y'])
  const [w] = model.graph!.initializer
  w!.rawData = new Uint8Array()
  w!.dataLocation = TensorProto_DataLocation.EXTERNAL
  w!.externalData = [
    create(StringStringEntryProtoSchema, { key: 'location', value: EXTERNAL_PATH }),
    create(StringStringEntryProtoSchema, { key: 'offset', value: '0' }),
    create(StringStringEntryProtoSchema, { key: 'length', value: '256' }),
  ]
  return model
}

/** The file beside the model with external data. */
export const EXTERNAL_PATH = 'weights.bin'

export const seedModels = (): readonly ModelProto[] => [
  convolutions(),
  chains(),
  parts(),
  bodies(),
  others(),
  recurrent(),
  external(),
  ...Object.values(CASES).map((layer, i) => {
    const { nodes, constants } = layer.nodes('x', 'w', 'y')
    const weight = b.noisy('w', [...layer.dims], i + 1)
    return b.model(nodes, [weight, ...constants], [b.value('x', b.DataType.FLOAT, [...layer.x])], ['y'])
  }),
]
