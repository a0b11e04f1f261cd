/** Synthetic models for benches: chains whose depth and width can be doubled. */
import { create } from '@bufbuild/protobuf'
import {
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { uniform } from './measure.js'

/** `depth` times MatMul (width × width) and Relu: x (n, width) → y (n, width). */
export function denseChain(depth: number, width: number): ModelProto {
  const next = uniform(depth * 31 + width)
  const names = Array.from({ length: depth + 1 }, (_, i) => (i === 0 ? 'x' : i === depth ? 'y' : `r${i}`))
  const dim = [
    { value: { case: 'dimParam' as const, value: 'n' } },
    { value: { case: 'dimValue' as const, value: BigInt(width) } },
  ]
  const value = (name: string) =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: 'tensorType',
          value: create(TypeProto_TensorSchema, {
            elemType: DataType.FLOAT,
            shape: create(TensorShapeProtoSchema, { dim }),
          }),
        },
      }),
    })
  return create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: 13n })],
    graph: create(GraphProtoSchema, {
      name: 'chain',
      node: Array.from({ length: depth }, (_, i) => [
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
      initializer: Array.from({ length: depth }, (_, i) => {
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
      input: [value('x')],
      output: [value('y')],
    }),
  })
}
