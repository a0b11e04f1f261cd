import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { decodeModel, encodeModel, opsetOf } from '#src/onnx/model.js'
import { raiseOpset, whyNotRaise } from '#src/onnx/opset.js'
import * as b from './build.js'

const of = (node: NodeProto, constants: TensorProto[] = [], opset = 13): ModelProto =>
  b.model([node], constants, ['x'], node.output.slice(0, 1), { opset })

/** One node per operator, on x of shape (1, 4, 6, 6) or the one given. */
const UNARY =
  'Abs Acos Acosh Asin Asinh Atan Atanh Cosh Sinh Mish Trilu EyeLike Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Hardmax Identity LeakyRelu LogSoftmax Neg Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu GlobalAveragePool GlobalMaxPool Flatten Shape Size Dropout LpNormalization ArgMax ArgMin MeanVarianceNormalization NonZero IsNaN IsInf Celu Clip Transpose ReduceSum ReduceMean ReduceMax ReduceL2'
const BINARY = 'Add Sub Mul Div Pow Max Min Greater Less GreaterOrEqual LessOrEqual Equal PRelu Mod Sum Mean'
const six = b.floats(
  'k',
  [6],
  b.noise(6, 3).map((v) => Math.abs(v) + 0.5),
)
const recurrent = (rows: number) => [
  b.floats('k2', [5, 1, 3], b.noise(15)),
  b.floats('w', [1, rows, 3], b.noise(3 * rows, 2)),
  b.floats('r', [1, rows, 2], b.noise(2 * rows, 3)),
]
const OTHERS: Record<string, [NodeProto, TensorProto[]]> = {
  Conv: [b.node('Conv', ['x', 'w'], ['y']), [b.floats('w', [2, 4, 3, 3], b.noise(72))]],
  ConvTranspose: [b.node('ConvTranspose', ['x', 'w'], ['y']), [b.floats('w', [4, 2, 3, 3], b.noise(72))]],
  BatchNormalization: [
    b.node('BatchNormalization', ['x', 'a', 'a', 'a', 'a'], ['y']),
    [b.floats('a', [4], [1, 2, 3, 4])],
  ],
  InstanceNormalization: [
    b.node('InstanceNormalization', ['x', 'a', 'a'], ['y']),
    [b.floats('a', [4], [1, 2, 3, 4])],
  ],
  AveragePool: [b.node('AveragePool', ['x'], ['y'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), []],
  MaxPool: [b.node('MaxPool', ['x'], ['y'], { kernel_shape: [3, 3], strides: [2, 2] }), []],
  MatMul: [b.node('MatMul', ['x', 'w'], ['y']), [b.floats('w', [6, 2], b.noise(12))]],
  Concat: [b.node('Concat', ['x', 'x'], ['y'], { axis: 1 }), []],
  Gather: [b.node('Gather', ['x', 'i'], ['y'], { axis: 2 }), [b.ints('i', [2], [0, 3])]],
  Reshape: [b.node('Reshape', ['x', 's'], ['y']), [b.ints('s', [3], [0, -1, 3])]],
  Squeeze: [b.node('Squeeze', ['x', 'i'], ['y']), [b.ints('i', [1], [0])]],
  Unsqueeze: [b.node('Unsqueeze', ['x', 'i'], ['y']), [b.ints('i', [1], [0])]],
  Expand: [b.node('Expand', ['x', 's'], ['y']), [b.ints('s', [4], [2, 4, 6, 6])]],
  Tile: [b.node('Tile', ['x', 's'], ['y']), [b.ints('s', [4], [2, 1, 1, 1])]],
  Slice: [
    b.node('Slice', ['x', 'o', 't', 'a'], ['y']),
    [b.ints('o', [1], [1]), b.ints('t', [1], [3]), b.ints('a', [1], [2])],
  ],
  Pad: [b.node('Pad', ['x', 'p'], ['y'], { mode: 'reflect' }), [b.ints('p', [8], [0, 0, 1, 1, 0, 0, 2, 2])]],
  Split: [b.node('Split', ['x', 's'], ['y', 'z'], { axis: 1 }), [b.ints('s', [2], [1, 3])]],
  Cast: [b.node('Cast', ['x'], ['y'], { to: b.DataType.INT32 }), []],
  DepthToSpace: [b.node('DepthToSpace', ['x'], ['y'], { blocksize: 2 }), []],
  SpaceToDepth: [b.node('SpaceToDepth', ['x'], ['y'], { blocksize: 2 }), []],
  LRN: [b.node('LRN', ['x'], ['y'], { size: 3 }), []],
  Gemm: [
    b.node('Gemm', ['k2', 'k3'], ['y']),
    [b.floats('k2', [2, 3], b.noise(6)), b.floats('k3', [3, 2], b.noise(6))],
  ],
  CastLike: [b.node('CastLike', ['x', 'i'], ['y']), [b.ints('i', [1], [1])]],
  GatherElements: [b.node('GatherElements', ['x', 'i'], ['y']), [b.ints('i', [1, 1, 1, 2], [0, 0])]],
  GatherND: [b.node('GatherND', ['x', 'i'], ['y']), [b.ints('i', [1, 2], [0, 3])]],
  ScatterND: [
    b.node('ScatterND', ['x', 'i', 'u'], ['y']),
    [b.ints('i', [1, 3], [0, 3, 1]), b.floats('u', [1, 6], b.noise(6))],
  ],
  ScatterElements: [
    b.node('ScatterElements', ['x', 'i', 'u'], ['y']),
    [b.ints('i', [1, 1, 1, 1], [0]), b.floats('u', [1, 1, 1, 1], [5])],
  ],
  ConstantOfShape: [b.node('ConstantOfShape', ['i'], ['y']), [b.ints('i', [1], [3])]],
  Range: [
    b.node('Range', ['i', 'j', 'd'], ['y']),
    [b.ints('i', [], [0]), b.ints('j', [], [5]), b.ints('d', [], [2])],
  ],
  OneHot: [
    b.node('OneHot', ['i', 'n', 'v'], ['y']),
    [b.ints('i', [2], [0, 2]), b.ints('n', [], [4]), b.floats('v', [2], [0, 1])],
  ],
  Unique: [b.node('Unique', ['x'], ['y']), []],
  DynamicQuantizeLinear: [b.node('DynamicQuantizeLinear', ['x'], ['y', 'z', 'w']), []],
  QuantizeLinear: [b.node('QuantizeLinear', ['x', 'i'], ['y']), [b.floats('i', [], [0.1])]],
  LSTM: [b.node('LSTM', ['k2', 'w', 'r'], ['y'], { hidden_size: 2 }), recurrent(8)],
  GRU: [b.node('GRU', ['k2', 'w', 'r'], ['y'], { hidden_size: 2 }), recurrent(6)],
  RNN: [b.node('RNN', ['k2', 'w', 'r'], ['y'], { hidden_size: 2 }), recurrent(2)],
  CumSum: [b.node('CumSum', ['x', 'i'], ['y']), [b.ints('i', [1], [1])]],
  TopK: [b.node('TopK', ['x', 'n'], ['y', 'z']), [b.ints('n', [1], [2])]],
  Einsum: [b.node('Einsum', ['x'], ['y'], { equation: 'abcd->acd' }), []],
  LayerNormalization: [b.node('LayerNormalization', ['x', 'k'], ['y']), [six]],
}
const SINCE: Record<string, number> = {
  LayerNormalization: 17,
  HardSwish: 14,
  Mish: 18,
  Trilu: 14,
  CastLike: 15,
}
for (const op of UNARY.split(' ')) OTHERS[op] = [b.node(op, ['x'], ['y']), []]
for (const op of BINARY.split(' '))
  OTHERS[op] = [b.node(op, ['x', 'k'], ['y'], op === 'Mod' ? { fmod: 1 } : {}), [six]]

describe('raiseOpset', () => {
  it.each(Object.keys(OTHERS))('keeps what %s computes, in opset 21 and 25', async (op) => {
    const [node, constants] = OTHERS[op]!
    const model = of(node, constants, SINCE[op] ?? 13)
    delete (model.graph!.output[0] as { type?: unknown }).type
    const dims = op === 'Trilu' ? [4, 36] : op === 'EyeLike' ? [12, 12] : [1, 4, 6, 6]
    const feeds = { x: b.tensor(dims, b.noise(144, 8).map(Math.abs)) }
    const expected = (await b.run(encodeModel(model), feeds)).y!
    for (const opset of [21, 25]) {
      expect(whyNotRaise(model, opset)).toBeNull()
      const raised = raiseOpset(model, opset)
      expect(opsetOf(raised)).toBe(opset)
      const got = (await b.run(encodeModel(raised), feeds)).y!
      expect(got.dims).toEqual(expected.dims)
      const values = ({ data }: b.ort.Tensor) =>
        Array.from(data as Float32Array, Number).map((value) => (Number.isNaN(value) ? -99 : value))
      expect(b.relativeDifference(values(got), values(expected))).toBeLessThan(1e-6)
    }
  })

  it.each([
    ['a reduction with its axes in an attribute', b.node('ReduceMean', ['x'], ['y'], { axes: [1] }), 21],
    ['a Split without sizes', b.node('Split', ['x'], ['y', 'z'], { axis: 1 }), 21],
    ['a pooling that rounds up', b.node('MaxPool', ['x'], ['y'], { kernel_shape: [2, 2], ceil_mode: 1 }), 25],
    ['a Resize', b.node('Resize', ['x', '', 'k'], ['y']), 21],
    ['an operator it does not know', b.node('Frobnicate', ['x'], ['y']), 21],
  ])('refuses %s', (_, node, to) => {
    expect(whyNotRaise(of(node), to)).toMatch(`${node.opType} '${node.name}' means something else there`)
  })

  it('lets such a node pass where its change lies behind or ahead', () => {
    expect(whyNotRaise(of(b.node('ReduceMean', ['x'], ['y'], { axes: [1] })), 17)).toBeNull()
    expect(whyNotRaise(of(b.node('ReduceMean', ['x', 'i'], ['y']), [], 18), 25)).toBeNull()
    expect(whyNotRaise(of(b.node('MaxPool', ['x'], ['y'], { ceil_mode: 1 })), 21)).toBeNull()
  })

  it('looks into subgraphs, and leaves other domains alone', () => {
    const body = b.graph([b.node('ReduceMax', ['x'], ['m'], { axes: [0] })], [], [], ['m'])
    const branch = b.node('If', ['c'], ['y'], { then_branch: body, else_branch: body })
    expect(whyNotRaise(of(branch), 21)).toMatch(/ReduceMax/)
    const custom = Object.assign(b.node('Gelu', ['x'], ['y']), { domain: 'com.microsoft' })
    expect(whyNotRaise(of(custom), 25)).toBeNull()
  })

  it('refuses old models, functions, and opsets that ONNX Runtime does not read', () => {
    const relu = () => b.node('Relu', ['x'], ['y'])
    expect(whyNotRaise(of(relu(), [], 12), 21)).toMatch(/opset 12 is too old/)
    expect(whyNotRaise(of(relu()), 27)).toMatch(/newer than ONNX Runtime reads/)
    expect(whyNotRaise(b.model([relu()], [], ['x'], ['y'], { irVersion: 3 }), 21)).toMatch(/IR version 3/)
    expect(whyNotRaise(of(relu(), [], 21), 21)).toBeNull()
  })

  it('raises the IR version with the opset, and changes the input model in nothing', () => {
    const model = of(b.node('Relu', ['x'], ['y']))
    const before = encodeModel(model)
    expect(decodeModel(encodeModel(raiseOpset(model, 25))).irVersion).toBe(13n)
    expect(encodeModel(model)).toEqual(before)
  })
})
