/**
 * Attributes of a node: read by name, with the default of the operator's definition, and made. Nodes are never changed:
 * to set an attribute, the caller puts the new list into a copy of the node.
 */
import { create } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type NodeProto,
} from 'onnx-buf'

const text = new TextDecoder()

/** @param fallback the operator's default */
export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const found = node.attribute.find((attribute) => attribute.name === name)
  return found === undefined ? fallback : Number(found.i)
}

/** @param fallback the operator's default */
export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return node.attribute.find((attribute) => attribute.name === name)?.f ?? fallback
}

/** A list of integers; undefined where the operator's default depends on its inputs. */
export function intsAttribute(node: NodeProto, name: string): number[] | undefined {
  return node.attribute.find((attribute) => attribute.name === name)?.ints.map(Number)
}

/** @param fallback the operator's default */
export function stringAttribute(node: NodeProto, name: string, fallback: string): string {
  const found = node.attribute.find((attribute) => attribute.name === name)
  return found === undefined ? fallback : text.decode(found.s)
}

/** The attribute itself; undefined if the node has none of this name. */
export function attributeOf(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((attribute) => attribute.name === name)
}

/** A new attribute with one integer. */
export function intAttr(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })
}

/** A new attribute with a list of integers. */
export function intsAttr(name: string, values: readonly number[]): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: values.map(BigInt) })
}

/** A new attribute with one float. */
export function floatAttr(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value })
}

/** The attributes of a node with one float set; the node itself is not changed. */
export function setFloat(node: NodeProto, name: string, value: number): AttributeProto[] {
  return [...node.attribute.filter((attribute) => attribute.name !== name), floatAttr(name, value)]
}
