/** Models that no runtime can compute: refused with the node or tensor that is at fault, and never made worse. */
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { planModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from './build.js'

const W = () => b.noisy('w', [8, 8], 1)
const K = () => b.noisy('k', [4, 2, 3, 3], 1)
const image = b.value('x', b.DataType.FLOAT, ['n', 4, 6, 6])
type Attributes = Parameters<typeof b.node>[3]

const dense = (node: NodeProto, ...constants: TensorProto[]): ModelProto =>
  b.model([node], [W(), ...constants], [b.value('x', b.DataType.FLOAT, ['n', 8])], ['y'])
const conv = (attributes: Attributes, ...constants: TensorProto[]): ModelProto =>
  b.model(
    [
      b.node(
        'Conv',
        ['x', 'k', ...constants.map(({ name }) => name)],
        ['y'],
        { group: 2, ...attributes },
        'c',
      ),
    ],
    [K(), ...constants],
    [image],
    ['y'],
  )
const norm = (lengths: readonly number[], inputs = ['h', 's', 'o', 'm', 'v']): ModelProto =>
  b.model(
    [b.node('Gemm', ['x', 'w'], ['h'], {}, 'g'), b.node('BatchNormalization', inputs, ['y'], {}, 'bn')],
    [
      W(),
      ...['s', 'o', 'm', 'v'].map((name, i) => b.floats(name, [lengths[i]!], new Array(lengths[i]!).fill(1))),
    ],
    ['x'],
    ['y'],
  )
const withTensor = (change: (tensor: TensorProto) => void): ModelProto => {
  const model = dense(b.node('MatMul', ['x', 'w'], ['y'], {}, 'm'))
  change(model.graph!.initializer[0]!)
  return model
}

const INVALID: Readonly<Record<string, readonly [ModelProto, place: string, text: RegExp]>> = {
  'a MatMul of one input': [
    dense(b.node('MatMul', ['w'], ['y'], {}, 'm')),
    "node 'm'",
    /two inputs for MatMul, got one/,
  ],
  'a MatMul with an empty input': [
    dense(b.node('MatMul', ['', 'w'], ['y'], {}, 'm')),
    "node 'm'",
    /two inputs/,
  ],
  'a Gemm without inputs': [dense(b.node('Gemm', [], ['y'], {}, 'm')), "node 'm'", /got none/],
  'a Conv without an output': [
    b.model([b.node('Conv', ['x', 'k'], [], {}, 'c')], [K()], [image], ['x']),
    "node 'c'",
    /an output, got none/,
  ],
  'a Gemm weight of rank 3': [
    dense(b.node('Gemm', ['x', 't'], ['y'], {}, 'm'), b.noisy('t', [2, 4, 8], 1)),
    "node 'm'",
    /a matrix as weight, got \[2,4,8\]/,
  ],
  'a MatMul weight of rank 0': [
    dense(b.node('MatMul', ['x', 't'], ['y'], {}, 'm'), b.floats('t', [], [1])),
    "node 'm'",
    /a matrix as weight/,
  ],
  'a Conv weight of rank 2': [
    dense(b.node('Conv', ['x', 'w'], ['y'], {}, 'm')),
    "node 'm'",
    /a weight \[outputs/,
  ],
  'a bias that is too short': [conv({}, b.noisy('b', [3], 1)), "node 'c'", /a bias of 4 values, got \[3\]/],
  'a bias of a Gemm that is too long': [
    dense(b.node('Gemm', ['x', 'w', 'b'], ['y'], {}, 'm'), b.noisy('b', [9], 1)),
    "node 'm'",
    /a bias of 8 values, got \[9\]/,
  ],
  'no groups': [conv({ group: 0 }), "node 'c'", /groups that divide its 4 output channels, got 0/],
  'groups that do not divide': [conv({ group: 3 }), "node 'c'", /got 3/],
  'negative strides': [conv({ strides: [1, -1] }), "node 'c'", /2 strides of at least 1, got \[1,-1\]/],
  'one stride for two axes': [conv({ strides: [1] }), "node 'c'", /2 strides/],
  'no dilation': [conv({ dilations: [0, 1] }), "node 'c'", /2 dilations of at least 1/],
  'a kernel_shape that contradicts': [conv({ kernel_shape: [5, 5] }), "node 'c'", /kernel_shape \[3,3\]/],
  'three pads': [conv({ pads: [1, 1, 1] }), "node 'c'", /4 pads/],
  'an unknown auto_pad': [conv({ auto_pad: 'SOME' }), "node 'c'", /auto_pad NOTSET.*'SOME'/],
  'a group that is a float': [conv({ group: { float: 2 } }), "node 'c'", /'group' of type INT, got FLOAT/],
  'strides that are a string': [conv({ strides: 'no' }), "node 'c'", /'strides' of type INTS, got STRING/],
  'a BatchNormalization parameter that is too short': [
    norm([8, 3, 8, 8]),
    "node 'bn'",
    /four parameters of one value a channel, got shapes \(8\) and \(3\)/,
  ],
  'BatchNormalization parameters for other channels': [
    norm([5, 5, 5, 5]),
    "node 'bn'",
    /8 channels of 'g', got 5/,
  ],
  'a BatchNormalization without its variance': [
    norm([8, 8, 8, 8], ['h', 's', 'o', 'm']),
    "node 'bn'",
    /four parameters/,
  ],
  'values that do not fill their dims': [
    withTensor((tensor) => {
      tensor.rawData = tensor.rawData.slice(0, 100)
    }),
    "tensor 'w'",
    /256 bytes for dims \[8,8\], got 100/,
  ],
  'no values': [
    withTensor((tensor) => {
      tensor.rawData = new Uint8Array()
    }),
    "tensor 'w'",
    /64 values for dims \[8,8\], got 0/,
  ],
  'a negative dim': [
    withTensor((tensor) => {
      tensor.dims = [-8n, -8n]
    }),
    "tensor 'w'",
    /dims of at least 0, got -8/,
  ],
  'a dim of 2^53': [
    withTensor((tensor) => {
      tensor.dims = [2n ** 53n, 1n]
    }),
    "tensor 'w'",
    /got 9007199254740992/,
  ],
  'dims whose product is more than 2^53': [
    withTensor((tensor) => {
      tensor.dims = [2n ** 40n, 2n ** 40n]
    }),
    "tensor 'w'",
    /fewer than 2\^53 elements/,
  ],
  'values of a constant that is no weight': [
    dense(
      b.node('MatMul', ['x', 'w'], ['y'], {}, 'm'),
      Object.assign(b.floats('unread', [2], [1, 2]), { dims: [3n] }),
    ),
    "tensor 'unread'",
    /12 bytes for dims \[3\], got 8/,
  ],
  'two inputs of one name': [
    b.model([b.node('MatMul', ['x', 'w'], ['y'])], [W()], ['x', 'x'], ['y']),
    "graph input 'x'",
    /two inputs of this name/,
  ],
}

describe('refused, with what is at fault', () => {
  for (const [name, [model, place, text]] of Object.entries(INVALID))
    it(name, async () => {
      const error: unknown = await planModel(encodeModel(model), {}).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'INVALID_MODEL', place })
      expect(String(error)).toMatch(text)
    })
})

describe('not refused', () => {
  it.each([
    ['a bias that is repeated along the neurons', [1]],
    ['a bias of one row', [1, 8]],
    ['a bias for each sample', [3, 8]],
    ['a scalar bias', []],
  ])('%s', async (_, dims) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    const model = dense(b.node('Gemm', ['x', 'w', 'b'], ['y']), b.floats('b', dims, b.noise(size)))
    expect((await planModel(encodeModel(model), {})).layers).toHaveLength(1)
  })

  it('an attribute of an operator that is not read, whatever its type', async () => {
    const model = dense(b.node('MatMul', ['x', 'w'], ['h']))
    model.graph!.node.push(Object.assign(b.node('Own', ['h'], ['y'], { to: 'text' }), { domain: 'own' }))
    expect((await planModel(encodeModel(model), {})).layers).toHaveLength(1)
  })

  it('outputs without a type', async () => {
    const model = dense(b.node('MatMul', ['x', 'w'], ['y']))
    delete model.graph!.output[0]!.type
    expect((await planModel(encodeModel(model), {})).layers).toHaveLength(1)
  })
})

describe('bodies in bodies', () => {
  const nested = (depth: number): ModelProto => {
    let body = b.graph([b.node('Neg', ['x'], ['z'])], [], [], ['z'])
    for (let level = 0; level < depth; level++)
      body = b.graph([b.node('If', ['c'], ['z'], { then_branch: body, else_branch: body })], [], [], ['z'])
    const model = dense(b.node('MatMul', ['x', 'w'], ['y']))
    model.graph!.input.push(b.value('c', b.DataType.BOOL, []))
    model.graph!.output.push(b.value('z'))
    model.graph!.node.push(...body.node)
    return model
  }

  /** One branch, so that the file does not grow by powers of two. */
  const deep = (depth: number): ModelProto => {
    let body = b.graph([b.node('Neg', ['x'], ['z'])], [], [], ['z'])
    for (let level = 0; level < depth; level++)
      body = b.graph([b.node('If', ['c'], ['z'], { then_branch: body })], [], [], ['z'])
    const model = nested(0)
    model.graph!.node = [model.graph!.node[0]!, ...body.node]
    return model
  }

  it('are read', async () => {
    expect((await planModel(encodeModel(nested(5)), {})).layers).toHaveLength(1)
    expect((await planModel(encodeModel(deep(30)), {})).layers).toHaveLength(1)
  })

  it.each([40, 400])('are refused in words: %d', async (depth) => {
    await expect(planModel(encodeModel(deep(depth)), {})).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      problem: expect.stringMatching(/nested too deeply: at most 100 messages/),
    })
  })

  it('are refused in words where the bytes nest types or unknown groups', async () => {
    const group = Uint8Array.from({ length: 20_000 }, () => 0x0b) // field 1, start of a group
    await expect(planModel(group, {})).rejects.toMatchObject({ code: expect.stringMatching(/_MODEL$/) })
    await expect(
      planModel(
        Uint8Array.from(group, () => 0xfb),
        {},
      ),
    ).rejects.toMatchObject({
      code: expect.stringMatching(/_MODEL$/),
    })
  })
})
