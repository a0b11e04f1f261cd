/** Declarations of tensors: inputs and outputs of graphs that this library makes. */
import { create } from '@bufbuild/protobuf'
import {
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'

/** @param elemType ONNX element type; without it the type is left to the runtime. @param dims without them the shape is, too */
export function valueInfo(
  name: string,
  elemType?: number,
  dims?: readonly (number | bigint)[],
): ValueInfoProto {
  if (elemType === undefined) return create(ValueInfoProtoSchema, { name })
  const value = create(TypeProto_TensorSchema, { elemType })
  if (dims !== undefined) {
    const dim = dims.map((length) => ({ value: { case: 'dimValue' as const, value: BigInt(length) } }))
    value.shape = create(TensorShapeProtoSchema, { dim })
  }
  const type = create(TypeProtoSchema, { value: { case: 'tensorType', value } })
  return create(ValueInfoProtoSchema, { name, type })
}
