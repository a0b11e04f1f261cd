/**
 * Attributes of a node: read by name, with the default that the operator's definition gives, and made new. Nodes
 * are never written to; whoever sets an attribute puts the list into a copy of the node.
 */
import { create } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type NodeProto,
} from 'onnx-buf'

const text = new TextDecoder()

export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const found = node.attribute.find((attribute) => attribute.name === name)
  return found === undefined ? fallback : Number(found.i)
}

export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return node.attribute.find((attribute) => attribute.name === name)?.f ?? fallback
}

export function intsAttribute(node: NodeProto, name: string): number[] | undefined {
  return node.attribute.find((attribute) => attribute.name === name)?.ints.map(Number)
}

export function stringAttribute(node: NodeProto, name: string, fallback: string): string {
  const found = node.attribute.find((attribute) => attribute.name === name)
  return found === undefined ? fallback : text.decode(found.s)
}

export function attributeOf(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((attribute) => attribute.name === name)
}

export function intAttr(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })
}

export function intsAttr(name: string, values: readonly number[]): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: values.map(BigInt) })
}

/** The attributes of a node with one float among them set; the node is left as it is. */
export function setFloat(node: NodeProto, name: string, value: number): AttributeProto[] {
  const entry = create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value })
  return [...node.attribute.filter((attribute) => attribute.name !== name), entry]
}
