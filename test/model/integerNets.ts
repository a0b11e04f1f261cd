/** Small networks and samples for the tests of integer layers. */
import type { NodeProto, TensorProto } from 'onnx-buf'
import { encodeModel } from '#src/onnx/model.js'
import type { ActivationOptions, ActivationRanges, ModelPlan } from '#src/options.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

/** All layers that can run on integers. */
export const onIntegers = (ranges: ActivationRanges = { rule: 'minmax' }): ActivationOptions => ({
  ...{ bits: 8, ranges },
  for: [{ pattern: '*', kernel: 'int8' }],
})

export const modelOf = (
  nodes: NodeProto[],
  constants: TensorProto[],
  dims: (number | string)[],
  outputs: string[] = ['y'],
): Uint8Array => encodeModel(b.model(nodes, constants, [b.value('x', b.DataType.FLOAT, dims)], outputs))

export const WIDTH = 24
export const NEURONS = 10

/** Two dense layers, the first by the given operator. */
export const dense = (op: 'MatMul' | 'Gemm'): Uint8Array =>
  modelOf(
    [
      b.node(op, ['x', 'w'], ['h'], {}, 'first'),
      b.node('Relu', ['h'], ['r']),
      b.node('MatMul', ['r', 'v'], ['y'], {}, 'second'),
    ],
    [b.noisy('w', [WIDTH, NEURONS], 1), b.noisy('v', [NEURONS, 4], 2)],
    op === 'Gemm' ? ['n', WIDTH] : ['n', 3, WIDTH],
  )

/** Batches of `batch` samples of shape `dims`. */
export function batchesOf(
  total: number,
  batch: number,
  dims: readonly number[],
  change: (value: number, index: number) => number = (value) => value,
): Feeds[] {
  const each = dims.reduce((product, dim) => product * dim, 1)
  const all = b.noise(total * each, 40).map(change)
  return Array.from({ length: Math.ceil(total / batch) }, (_, i) => {
    const data = all.slice(i * batch * each, (i + 1) * batch * each)
    return { x: { type: 'float32', dims: [data.length / each, ...dims], data } satisfies Tensor }
  })
}

/** Convolutions with a residual branch, pooling and Concat; all that can is on integers. */
export const convolutional = (): Uint8Array => {
  const pads = [1, 1, 1, 1]
  return modelOf(
    [
      b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, 'first'),
      b.node('Relu', ['c1'], ['r1']),
      b.node('Conv', ['r1', 'w2', 'b2'], ['c2'], { pads }, 'second'),
      b.node('Add', ['c2', 'r1'], ['s']),
      b.node('Relu', ['s'], ['r2']),
      b.node('MaxPool', ['r2'], ['m'], { kernel_shape: [2, 2], strides: [2, 2] }),
      b.node('Conv', ['m', 'w3'], ['left'], {}, 'third'),
      b.node('Conv', ['m', 'w4'], ['right'], { pads }, 'fourth'),
      b.node('Concat', ['left', 'right'], ['both'], { axis: 1 }),
      b.node('GlobalAveragePool', ['both'], ['p']),
      b.node('Flatten', ['p'], ['f']),
      b.node('Gemm', ['f', 'w5', 'b5'], ['y'], { transB: 1 }, 'last'),
    ],
    [
      b.noisy('w1', [8, 3, 3, 3], 1),
      b.noisy('b1', [8], 2),
      b.noisy('w2', [8, 8, 3, 3], 3),
      b.noisy('b2', [8], 4),
      b.noisy('w3', [6, 8, 1, 1], 5),
      b.noisy('w4', [5, 8, 3, 3], 6),
      b.noisy('w5', [4, 11], 7),
      b.noisy('b5', [4], 8),
    ],
    ['n', 3, 8, 8],
  )
}

type Kernels = Pick<ModelPlan['layers'][number], 'name' | 'kernel' | 'ranges'>

export const kernels = ({ layers }: { readonly layers: readonly Kernels[] }): Record<string, string> =>
  Object.fromEntries(layers.map(({ name, kernel, ranges }) => [name, ranges ?? kernel]))
