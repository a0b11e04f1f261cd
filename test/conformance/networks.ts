/** Two small networks with layers that run on integers. They are made here in Node, since runtimes get models as files. */
import { toBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema, type NodeProto, type TensorProto } from 'onnx-buf'
import * as b from '../onnx/build.js'
import { reals } from '../random.js'

interface Part {
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
}

const of = (
  op: string,
  inputs: string[],
  y: string,
  attributes: Parameters<typeof b.node>[3] = {},
): Part => ({
  nodes: [b.node(op, inputs, [y], attributes, y)],
  constants: [],
})

/** Weights of such a size that outputs are about as large as inputs. */
const weight = (name: string, dims: number[], inputs: number, seed: number): TensorProto =>
  b.floats(
    name,
    dims,
    reals(
      dims.reduce((p, d) => p * d, 1),
      seed,
    ).map((value) => value / Math.sqrt(inputs)),
  )

/** A convolution whose channels differ in size, and in how much they matter to what reads them: rule search looks at that. */
function conv(x: string, y: string, channels: number, neurons: number, seed: number): Part {
  const kernels = reals(neurons * channels * 9, seed).map((value, i) => {
    const channel = Math.floor(i / 9) % channels
    const neuron = Math.floor(i / (9 * channels))
    return (value / Math.sqrt(9 * channels)) * 2 ** (neuron % 3) * 4 ** -(channel % 3)
  })
  return {
    nodes: [b.node('Conv', [x, `${y}_w`, `${y}_b`], [y], { pads: [1, 1, 1, 1] }, y)],
    constants: [
      b.floats(`${y}_w`, [neurons, channels, 3, 3], kernels),
      weight(`${y}_b`, [neurons], 4, seed + 1),
    ],
  }
}

/** A MatMul and the Add of its bias. */
function linear(x: string, y: string, inputs: number, neurons: number, seed: number): Part {
  return {
    nodes: [
      b.node('MatMul', [x, `${y}_w`], [`${y}_product`], {}, y),
      b.node('Add', [`${y}_product`, `${y}_b`], [y], {}, `${y}_sum`),
    ],
    constants: [weight(`${y}_w`, [inputs, neurons], inputs, seed), weight(`${y}_b`, [neurons], 4, seed + 1)],
  }
}

function encode(parts: readonly Part[], input: (string | number)[], output: (string | number)[]): Uint8Array {
  const { FLOAT } = b.DataType
  return toBinary(
    ModelProtoSchema,
    b.model(
      parts.flatMap(({ nodes }) => nodes),
      parts.flatMap(({ constants }) => constants),
      [b.value('x', FLOAT, input)],
      [b.value('y', FLOAT, output)],
    ),
  )
}

/** Convolutions of 32 channels in a chain, with a residual Add and pooling: x (n, 3, 10, 10) → y (n, 4). */
export const residualNetwork = (): Uint8Array =>
  encode(
    [
      conv('x', 'c0', 3, 32, 10),
      of('Relu', ['c0'], 'r0'),
      conv('r0', 'c1', 32, 32, 20),
      of('Relu', ['c1'], 'r1'),
      conv('r1', 'c2', 32, 32, 30),
      of('Add', ['c2', 'r0'], 'sum'),
      of('Relu', ['sum'], 'r2'),
      conv('r2', 'c3', 32, 8, 40),
      of('GlobalAveragePool', ['c3'], 'pooled'),
      of('Flatten', ['pooled'], 'flat'),
      {
        nodes: [b.node('Gemm', ['flat', 'g_w'], ['y'], {}, 'g')],
        constants: [weight('g_w', [8, 4], 8, 50)],
      },
    ],
    ['n', 3, 10, 10],
    ['n', 4],
  )

/** Attention over 6 positions, of which q, k and v read one tensor: x (n, 6, 32) → y (n, 6, 32). */
export const attentionNetwork = (): Uint8Array =>
  encode(
    [
      linear('x', 'q', 32, 32, 10),
      linear('x', 'k', 32, 32, 20),
      linear('x', 'v', 32, 32, 30),
      of('Transpose', ['k'], 'kt', { perm: [0, 2, 1] }),
      of('MatMul', ['q', 'kt'], 'scores'),
      of('Softmax', ['scores'], 'shares', { axis: 2 }),
      of('MatMul', ['shares', 'v'], 'mixed'),
      linear('mixed', 'o', 32, 32, 40),
      of('Add', ['o', 'x'], 'h'),
      linear('h', 'up', 32, 64, 50),
      of('Relu', ['up'], 'r'),
      linear('r', 'down', 64, 32, 60),
      of('Add', ['down', 'h'], 'y'),
    ],
    ['n', 6, 32],
    ['n', 6, 32],
  )
