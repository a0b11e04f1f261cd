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
  type TensorProto,
} from 'onnx-buf'
import { GpfqError } from '../errors.js'

const text = new TextDecoder()

/**
 * @param fallback the operator's default
 * @throws {GpfqError} INVALID_MODEL for an attribute of another type
 */
export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const found = typed(node, name, AttributeType.INT)
  return found === undefined ? fallback : Number(found.i)
}

/**
 * @param fallback the operator's default
 * @throws {GpfqError} INVALID_MODEL for an attribute of another type
 */
export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return typed(node, name, AttributeType.FLOAT)?.f ?? fallback
}

/**
 * A list of integers; undefined where the operator's default depends on its inputs.
 * @throws {GpfqError} INVALID_MODEL for an attribute of another type
 */
export function intsAttribute(node: NodeProto, name: string): number[] | undefined {
  return typed(node, name, AttributeType.INTS)?.ints.map(Number)
}

/**
 * @param fallback the operator's default
 * @throws {GpfqError} INVALID_MODEL for an attribute of another type
 */
export function stringAttribute(node: NodeProto, name: string, fallback: string): string {
  const found = typed(node, name, AttributeType.STRING)
  return found === undefined ? fallback : text.decode(found.s)
}

/** An attribute, which must be of this type. Files of IR version 1 do not declare types. */
function typed(node: NodeProto, name: string, type: AttributeType): AttributeProto | undefined {
  const found = attributeOf(node, name)
  if (found === undefined || found.type === type || found.type === AttributeType.UNDEFINED) return found
  throw new GpfqError('INVALID_MODEL', {
    place: `node '${node.name || node.output[0] || node.opType}'`,
    expected: `attribute '${name}' of type ${AttributeType[type]}`,
    got: AttributeType[found.type] ?? String(found.type),
  })
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

/** A new attribute with one tensor. */
export function tensorAttr(name: string, value: TensorProto): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value })
}

/** The attributes of a node with one float set; the node itself is not changed. */
export function setFloat(node: NodeProto, name: string, value: number): AttributeProto[] {
  return [...node.attribute.filter((attribute) => attribute.name !== name), floatAttr(name, value)]
}
