/**
 * Networks of the shapes that people run, with seeded random weights: what a layer costs depends on its shape, not on its
 * values. BatchNormalizations are folded, as exporters do.
 */
import {
  type AttributeProto,
  TensorProto_DataType as DataType,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf'
import { intAttr, intsAttr } from '#src/onnx/attributes.js'
import { makeNode } from '#src/onnx/edit.js'
import { makeFloats, makeInts } from '#src/onnx/tensor.js'
import { uniform } from './measure.js'
import { networkOf } from './model.js'

/** Collects nodes and constants. Methods return the name of the tensor that they make. */
class Network {
  readonly nodes: NodeProto[] = []
  readonly constants: TensorProto[] = []
  private readonly next: () => number

  constructor(seed: number) {
    this.next = uniform(seed)
  }

  node(opType: string, inputs: readonly string[], attributes: AttributeProto[] = [], name = ''): string {
    const output = name === '' ? `t${this.nodes.length}` : name
    const node = makeNode(opType, inputs, output, attributes)
    node.name = output
    this.nodes.push(node)
    return output
  }

  /** A constant with uniform values in ±bound around `middle`. */
  floats(name: string, dims: readonly number[], bound: number, middle = 0): string {
    const size = dims.reduce((product, length) => product * length, 1)
    const values = Float32Array.from({ length: size }, () => middle + (2 * this.next() - 1) * bound)
    this.constants.push(makeFloats(name, DataType.FLOAT, dims, values))
    return name
  }

  ints(name: string, values: readonly number[]): string {
    this.constants.push(makeInts(name, [values.length], values))
    return name
  }

  /** A convolution with square kernels and padding that keeps the size at stride 1. */
  conv(name: string, x: string, channels: number, neurons: number, kernel: number, stride = 1): string {
    const pad = (kernel - 1) / 2
    const bound = Math.sqrt(3 / (channels * kernel ** 2))
    const weight = this.floats(`${name}.weight`, [neurons, channels, kernel, kernel], bound)
    const bias = this.floats(`${name}.bias`, [neurons], 0.1)
    const attributes = [
      intsAttr('kernel_shape', [kernel, kernel]),
      intsAttr('strides', [stride, stride]),
      intsAttr('pads', [pad, pad, pad, pad]),
    ]
    return this.node('Conv', [x, weight, bias], attributes, name)
  }

  /** MatMul and the Add of its bias, as exporters write a linear layer on a sequence. */
  linear(name: string, x: string, inputs: number, neurons: number): string {
    const weight = this.floats(`${name}.weight`, [inputs, neurons], Math.sqrt(3 / inputs))
    const bias = this.floats(`${name}.bias`, [neurons], 0.1)
    return this.node('Add', [bias, this.node('MatMul', [x, weight], [], name)])
  }

  layerNorm(name: string, x: string, width: number): string {
    const weight = this.floats(`${name}.weight`, [width], 0.2, 1)
    const bias = this.floats(`${name}.bias`, [width], 0.1)
    return this.node('LayerNormalization', [x, weight, bias], [intAttr('axis', -1)])
  }
}

/**
 * A residual network of the shape of ResNet-18: image (3, side, side) → 1,000 classes.
 * @param width channels of the first stage, 64 in ResNet-18
 */
export function residualNetwork(side: number, width = 64): ModelProto {
  const net = new Network(18)
  let x = net.node('Relu', [net.conv('stem', 'x', 3, width, 7, 2)])
  const pool = [intsAttr('kernel_shape', [3, 3]), intsAttr('strides', [2, 2]), intsAttr('pads', [1, 1, 1, 1])]
  x = net.node('MaxPool', [x], pool)
  let channels = width
  for (let stage = 0; stage < 4; stage++)
    for (const block of [0, 1]) {
      const neurons = width * 2 ** stage
      const name = `layer${stage + 1}.${block}`
      const stride = stage > 0 && block === 0 ? 2 : 1
      const first = net.node('Relu', [net.conv(`${name}.conv1`, x, channels, neurons, 3, stride)])
      const second = net.conv(`${name}.conv2`, first, neurons, neurons, 3)
      const shortcut = stride > 1 ? net.conv(`${name}.shortcut`, x, channels, neurons, 1, stride) : x
      x = net.node('Relu', [net.node('Add', [second, shortcut])])
      channels = neurons
    }
  const pooled = net.node('Flatten', [net.node('GlobalAveragePool', [x])])
  const classes = 1000
  const weight = net.floats('fc.weight', [classes, channels], Math.sqrt(3 / channels))
  const bias = net.floats('fc.bias', [classes], 0.1)
  net.node('Gemm', [pooled, weight, bias], [intAttr('transB', 1)], 'y')
  const { nodes, constants } = net
  return networkOf({ opset: 13, nodes, constants, inputDims: [3, side, side], outputDims: [classes] })
}

/** The shape of an encoder. */
export interface EncoderShape {
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly tokens: number
}

/**
 * A transformer encoder as BERT: embedded tokens (tokens, width) → the same shape. The feed-forward part is four times as
 * wide, normalization follows each sum, and Gelu is written with Erf.
 */
export function encoder({ layers, width, heads, tokens }: EncoderShape): ModelProto {
  const net = new Network(6)
  const split = net.ints('split', [0, 0, heads, width / heads])
  const merge = net.ints('merge', [0, 0, width])
  const root = net.floats('root', [], 0, Math.sqrt(width / heads))
  const sqrt2 = net.floats('sqrt2', [], 0, Math.SQRT2)
  const one = net.floats('one', [], 0, 1)
  const half = net.floats('half', [], 0, 0.5)
  const headsOf = (x: string, perm: readonly number[]): string =>
    net.node('Transpose', [net.node('Reshape', [x, split])], [intsAttr('perm', perm)])
  let x = net.layerNorm('embeddings.norm', 'x', width)
  for (let i = 0; i < layers; i++) {
    const name = `layer${i}`
    const [q, k, v] = ['q', 'k', 'v'].map((part) => net.linear(`${name}.${part}`, x, width, width))
    const [queries, keys] = [headsOf(q!, [0, 2, 1, 3]), headsOf(k!, [0, 2, 3, 1])]
    const scores = net.node('Div', [net.node('MatMul', [queries, keys]), root])
    const attention = net.node('Softmax', [scores], [intAttr('axis', -1)])
    const mixed = net.node('MatMul', [attention, headsOf(v!, [0, 2, 1, 3])])
    const merged = net.node('Reshape', [
      net.node('Transpose', [mixed], [intsAttr('perm', [0, 2, 1, 3])]),
      merge,
    ])
    const attended = net.node('Add', [net.linear(`${name}.o`, merged, width, width), x])
    const normal = net.layerNorm(`${name}.norm1`, attended, width)
    const wide = net.linear(`${name}.up`, normal, width, 4 * width)
    const erf = net.node('Add', [net.node('Erf', [net.node('Div', [wide, sqrt2])]), one])
    const gelu = net.node('Mul', [net.node('Mul', [wide, erf]), half])
    const narrow = net.node('Add', [net.linear(`${name}.down`, gelu, 4 * width, width), normal])
    x = net.layerNorm(`${name}.norm2`, narrow, width)
  }
  net.node('Identity', [x], [], 'y')
  const { nodes, constants } = net
  return networkOf({ opset: 17, nodes, constants, inputDims: [tokens, width], outputDims: [tokens, width] })
}
