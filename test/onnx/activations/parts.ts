/** Layers and other nodes as parts of small networks. */
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
  /** Whether values become floats and codes again between layers. By default only the input is quantized at run time. */
  readonly broken?: boolean
  /** Kernels that must not run: the ends of broken chains. */
  readonly without?: readonly string[]
}

export interface Part {
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

/** One node, named by its output. */
export const of = (
  op: string,
  inputs: string[],
  y: string,
  attributes: Parameters<typeof b.node>[3] = {},
  constants: readonly TensorProto[] = [],
): Part => ({ nodes: [b.node(op, inputs, [y], attributes, y)], constants })

/** The parts one behind the other, with a float node at the end, so that no layer makes an output of the graph. */
export function net(
  parts: readonly Part[],
  last: string,
  rest: Pick<Net, 'float' | 'kernels' | 'without' | 'broken'> = {},
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

/** @param shapes whether the file declares the dims of the inputs */
export function modelOfNet(
  { nodes, constants, inputs, outputs }: Net,
  opset: number,
  shapes = true,
): ModelProto {
  return b.model(
    [...nodes],
    [...constants],
    Object.entries(inputs).map(([name, dims]) =>
      b.value(name, b.DataType.FLOAT, shapes ? [...dims] : undefined),
    ),
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

export const relu = (x: string, y: string): Part => of('Relu', [x], y)
