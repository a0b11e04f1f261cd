/**
 * Writes the trained network as ONNX, the way exporters of the large frameworks write it: opset 13, channels first,
 * a dynamic batch, Gemm with transposed weights, BatchNormalization left in place behind each convolution (gpfq folds
 * it), weights as little-endian raw data in initializers. Training keeps channels last, so weights are reordered here.
 */

import type { MessageInitShape } from '@bufbuild/protobuf'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType,
  type AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from 'onnx-buf'
import { BatchNorm, type Conv, type Dense } from './layers.js'
import type { Network } from './network.js'

type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>
type NodeInit = MessageInitShape<typeof NodeProtoSchema>
type TensorInit = MessageInitShape<typeof TensorProtoSchema>
type ValueInfoInit = MessageInitShape<typeof ValueInfoProtoSchema>

export const opset = 13
const irVersion = 7n // the one that came with opset 13

export function exportModel(network: Network): Uint8Array {
  const { conv1, norm1, conv2, norm2, dense1, dense2 } = network
  const initializer = [
    ...convTensors('conv1', conv1),
    ...normTensors('norm1', norm1),
    ...convTensors('conv2', conv2),
    ...normTensors('norm2', norm2),
    ...denseTensors('dense1', dense1, conv2.outSize ** 2, conv2.shape.filters),
    ...denseTensors('dense2', dense2, 1, dense2.inputs),
  ]
  const node = [
    convNode('conv1', 'image', conv1),
    normNode('norm1', 'conv1_out'),
    simpleNode('Relu', 'relu1', 'norm1_out'),
    convNode('conv2', 'relu1_out', conv2),
    normNode('norm2', 'conv2_out'),
    simpleNode('Relu', 'relu2', 'norm2_out'),
    simpleNode('Flatten', 'flatten', 'relu2_out', [int('axis', 1)]),
    gemmNode('dense1', 'flatten_out', 'dense1_out'),
    simpleNode('Relu', 'relu3', 'dense1_out'),
    gemmNode('dense2', 'relu3_out', 'logits'),
  ]
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'gpfq scripts/train-demo.ts',
    opsetImport: [{ domain: '', version: BigInt(opset) }],
    graph: {
      name: 'digits',
      node,
      initializer,
      input: [valueInfo('image', [1, 28, 28])],
      output: [valueInfo('logits', [10])],
    },
  })
  return toBinary(ModelProtoSchema, model)
}

/** (kh, kw, channels, filters) → (filters, channels, kh, kw). */
function convTensors(name: string, { weight, shape }: Conv): TensorInit[] {
  const { channels, filters, kernel } = shape
  const taps = kernel * kernel
  const data = new Float32Array(weight.value.length)
  for (let o = 0; o < filters; o++)
    for (let c = 0; c < channels; c++)
      for (let tap = 0; tap < taps; tap++)
        data[(o * channels + c) * taps + tap] = weight.value[(tap * channels + c) * filters + o]!
  return [tensor(`${name}.weight`, [filters, channels, kernel, kernel], data)]
}

/** (positions, channels, neurons) → (neurons, channels, positions), since Flatten of channels first counts positions last. */
function denseTensors(name: string, dense: Dense, positions: number, channels: number): TensorInit[] {
  const { weight, bias, inputs, neurons } = dense
  const data = new Float32Array(inputs * neurons)
  for (let k = 0; k < neurons; k++)
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < positions; p++)
        data[k * inputs + c * positions + p] = weight.value[(p * channels + c) * neurons + k]!
  return [
    tensor(`${name}.weight`, [neurons, inputs], data),
    tensor(`${name}.bias`, [neurons], Float32Array.from(bias.value)),
  ]
}

function normTensors(name: string, norm: BatchNorm): TensorInit[] {
  const columns = { gamma: norm.gamma.value, beta: norm.beta.value, mean: norm.mean, variance: norm.variance }
  return Object.entries(columns).map(([key, values]) =>
    tensor(`${name}.${key}`, [norm.channels], Float32Array.from(values)),
  )
}

function tensor(name: string, dims: readonly number[], data: Float32Array): TensorInit {
  const rawData = new Uint8Array(data.length * 4)
  const view = new DataView(rawData.buffer)
  data.forEach((value, i) => {
    view.setFloat32(4 * i, value, true)
  })
  return { name, dims: dims.map(BigInt), dataType: TensorProto_DataType.FLOAT, rawData }
}

function convNode(name: string, input: string, { shape }: Conv): NodeInit {
  const { kernel, stride, pad } = shape
  return {
    opType: 'Conv',
    name,
    input: [input, `${name}.weight`],
    output: [`${name}_out`],
    attribute: [
      ints('kernel_shape', [kernel, kernel]),
      ints('pads', [pad, pad, pad, pad]),
      ints('strides', [stride, stride]),
    ],
  }
}

function normNode(name: string, input: string): NodeInit {
  const epsilon: AttributeInit = {
    name: 'epsilon',
    type: AttributeProto_AttributeType.FLOAT,
    f: BatchNorm.epsilon,
  }
  return {
    opType: 'BatchNormalization',
    name,
    input: [input, `${name}.gamma`, `${name}.beta`, `${name}.mean`, `${name}.variance`],
    output: [`${name}_out`],
    attribute: [epsilon],
  }
}

function gemmNode(name: string, input: string, output: string): NodeInit {
  return {
    opType: 'Gemm',
    name,
    input: [input, `${name}.weight`, `${name}.bias`],
    output: [output],
    attribute: [int('transB', 1)],
  }
}

function simpleNode(opType: string, name: string, input: string, attribute: AttributeInit[] = []): NodeInit {
  return { opType, name, input: [input], output: [`${name}_out`], attribute }
}

function int(name: string, value: number): AttributeInit {
  return { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) }
}

function ints(name: string, values: readonly number[]): AttributeInit {
  return { name, type: AttributeProto_AttributeType.INTS, ints: values.map(BigInt) }
}

/** A float32 input or output whose first axis is the symbolic batch. */
function valueInfo(name: string, dims: readonly number[]): ValueInfoInit {
  const batch = { value: { case: 'dimParam' as const, value: 'batch' } }
  const fixed = dims.map((size) => ({ value: { case: 'dimValue' as const, value: BigInt(size) } }))
  const shape = { dim: [batch, ...fixed] }
  return {
    name,
    type: { value: { case: 'tensorType', value: { elemType: TensorProto_DataType.FLOAT, shape } } },
  }
}
