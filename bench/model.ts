/** Synthetic models for benches: chains whose depth and width can be doubled. */
import { create } from '@bufbuild/protobuf'
import {
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { uniform } from './measure.js'

/** `depth` times MatMul (width × width) and Relu: x (n, width) → y (n, width). */
export function denseChain(depth: number, width: number): ModelProto {
  const next = uniform(depth * 31 + width)
  const names = Array.from({ length: depth + 1 }, (_, i) => (i === 0 ? 'x' : i === depth ? 'y' : `r${i}`))
  return networkOf({
    opset: 13,
    nodes: Array.from({ length: depth }, (_, i) => [
      create(NodeProtoSchema, {
        opType: 'MatMul',
        name: `dense${i}`,
        input: [names[i]!, `w${i}`],
        output: [`m${i}`],
      }),
      create(NodeProtoSchema, {
        opType: 'Relu',
        name: `relu${i}`,
        input: [`m${i}`],
        output: [names[i + 1]!],
      }),
    ]).flat(),
    constants: Array.from({ length: depth }, (_, i) => {
      const weights = Float32Array.from(
        { length: width * width },
        () => (2 * next() - 1) * Math.sqrt(6 / width),
      )
      return create(TensorProtoSchema, {
        name: `w${i}`,
        dims: [BigInt(width), BigInt(width)],
        dataType: DataType.FLOAT,
        rawData: new Uint8Array(weights.buffer),
      })
    }),
    inputDims: [width],
    outputDims: [width],
  })
}

/** A network from x to y, both float32. */
export interface NetworkParts {
  readonly opset: number
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
  /** Axes of x, without that of the samples. */
  readonly inputDims: readonly number[]
  /** Axes of y, without that of the samples. */
  readonly outputDims: readonly number[]
}

/** A model of any number of samples. */
export function networkOf({ opset, nodes, constants, inputDims, outputDims }: NetworkParts): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
    graph: create(GraphProtoSchema, {
      name: 'network',
      node: [...nodes],
      initializer: [...constants],
      input: [tensorOf('x', inputDims)],
      output: [tensorOf('y', outputDims)],
    }),
  })
}

function tensorOf(name: string, dims: readonly number[]): ValueInfoProto {
  const dim = [
    { value: { case: 'dimParam' as const, value: 'n' } },
    ...dims.map((length) => ({ value: { case: 'dimValue' as const, value: BigInt(length) } })),
  ]
  const shape = create(TensorShapeProtoSchema, { dim })
  const value = create(TypeProto_TensorSchema, { elemType: DataType.FLOAT, shape })
  const type = create(TypeProtoSchema, { value: { case: 'tensorType', value } })
  return create(ValueInfoProtoSchema, { name, type })
}
