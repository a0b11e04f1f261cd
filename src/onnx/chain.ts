/**
 * The nodes between a stored weight and the node that uses it. Exporters put Transpose, Reshape, Cast and Identity nodes
 * there, or a Constant node in place of the initializer. `traceChain` follows such a chain back to the stored values;
 * `applyChain` computes what arrives at its end. Nothing else is evaluated: a weight that is computed in any other way
 * cannot be quantized.
 */
import type { TensorProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '../tensor/float16.js'
import { intAttribute, intsAttribute } from './attributes.js'
import type { GraphIndex } from './graph.js'
import { isDefaultDomain } from './model.js'
import { dimsOf, isFloatType, readInts, sizeOf, typeName } from './tensor.js'

/** What one chain node does to row-major values. */
type Step =
  | { readonly kind: 'transpose'; readonly dims: readonly number[]; readonly perm: readonly number[] } // dims before
  | { readonly kind: 'cast'; readonly to: number }

/** The way from stored values to the tensor that a node reads. */
export interface Chain {
  /** Name of the initializer or Constant output that holds the values, and the values. */
  readonly source: string
  readonly stored: TensorProto
  readonly steps: readonly Step[]
  /** Shape and element type of the tensor at the end of the chain. */
  readonly dims: readonly number[]
  readonly elemType: number
}

/** Follows `tensor` back to stored float values. A string gives the reason why that is not possible. */
export function traceChain(graph: GraphIndex, tensor: string): Chain | string {
  const nodes: number[] = [] // from the end of the chain to its start
  let source = tensor
  let stored = graph.initializer(source)
  while (stored === undefined) {
    const producer = graph.producer(source)
    if (producer === undefined)
      return graph.isConstant(source)
        ? 'its weight is stored as a sparse tensor'
        : 'its weight is an input of the model'
    const node = graph.nodes[producer]!
    if (!isDefaultDomain(node.domain)) return `its weight is computed by ${node.domain}.${node.opType}`
    if (node.opType === 'Constant') {
      stored = graph.constant(source)
      if (stored === undefined) return 'its weight is a Constant without a dense tensor'
      break
    }
    if (node.opType === 'DequantizeLinear') return 'its weight is quantized already (DequantizeLinear)'
    if (!['Identity', 'Transpose', 'Reshape', 'Cast'].includes(node.opType))
      return graph.isConstantNode(producer)
        ? `its weight is computed from initializers by ${node.opType}`
        : 'its weight is not a constant'
    nodes.push(producer)
    source = node.input[0] ?? ''
    stored = graph.initializer(source)
  }
  if (!isFloatType(stored.dataType)) return `its weight is ${typeName(stored.dataType)}, not float`

  let dims = dimsOf(stored)
  let elemType = stored.dataType
  const steps: Step[] = []
  for (const index of nodes.toReversed()) {
    const node = graph.nodes[index]!
    if (node.opType === 'Transpose') {
      const before = dims
      const perm = intsAttribute(node, 'perm') ?? before.map((_, i) => before.length - 1 - i)
      if (perm.toSorted((x, y) => x - y).some((axis, i) => axis !== i) || perm.length !== before.length)
        return `its weight [${before}] is transposed by [${perm}], which does not fit`
      steps.push({ kind: 'transpose', dims: before, perm })
      dims = perm.map((axis) => before[axis] ?? 0)
    } else if (node.opType === 'Reshape') {
      const shape = graph.constant(node.input[1] ?? '')
      if (shape === undefined) return 'its weight is reshaped to a shape that is not constant'
      const reshaped = resolveShape(dims, readInts(shape), intAttribute(node, 'allowzero', 0) === 1)
      if (reshaped === null) return `its weight [${dims}] does not fit the shape it is reshaped to`
      dims = reshaped
    } else if (node.opType === 'Cast') {
      elemType = intAttribute(node, 'to', DataType.UNDEFINED)
      if (!isFloatType(elemType)) return `its weight is cast to ${typeName(elemType)}`
      steps.push({ kind: 'cast', to: elemType })
    }
  }
  return { source, stored, steps, dims, elemType }
}

/**
 * Stored values as they arrive at the end of the chain.
 * @param data row-major, (size of the stored dims); it is not written to
 * @returns row-major, (size of `chain.dims`); `data` itself if the chain changes no value
 */
export function applyChain(chain: Chain, data: Float32Array): Float32Array {
  let values = data
  for (const step of chain.steps) {
    if (step.kind === 'transpose')
      values = transpose(values, step.dims, step.perm, new Float32Array(values.length))
    else if (step.to === DataType.FLOAT16) values = values.map((v) => float16ToFloat32(float32ToFloat16(v)))
    else if (step.to === DataType.BFLOAT16)
      values = values.map((v) => bfloat16ToFloat32(float32ToBfloat16(v)))
  }
  return values
}

/**
 * Where each value at the end of the chain is stored.
 * @returns flat indices into the stored values, (size of `chain.dims`)
 */
export function chainPositions(chain: Chain): Int32Array {
  let positions = Int32Array.from({ length: sizeOf(chain.dims) }, (_, i) => i)
  for (const step of chain.steps)
    if (step.kind === 'transpose')
      positions = transpose(positions, step.dims, step.perm, new Int32Array(positions.length))
  return positions
}

function transpose<T extends Float32Array | Int32Array>(
  from: T,
  dims: readonly number[],
  perm: readonly number[],
  to: T,
): T {
  const strides = dims.map((_, i) => sizeOf(dims.slice(i + 1)))
  const shape = perm.map((axis) => dims[axis] as number)
  const step = perm.map((axis) => strides[axis] as number)
  const index = shape.map(() => 0)
  let at = 0
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at] as number
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += step[axis] as number
      index[axis] = (index[axis] as number) + 1
      if ((index[axis] as number) < (shape[axis] as number)) break
      at -= (step[axis] as number) * (shape[axis] as number)
      index[axis] = 0
    }
  }
  return to
}

/** The target of a Reshape: 0 copies a dim (without allowzero), −1 takes the rest. Null if the sizes differ. */
function resolveShape(
  dims: readonly number[],
  shape: readonly number[],
  allowZero: boolean,
): number[] | null {
  const result = shape.map((dim, i) => (dim === 0 && !allowZero ? (dims[i] ?? 0) : dim))
  const open = result.indexOf(-1)
  if (open >= 0) result[open] = sizeOf(dims) / sizeOf(result.filter((_, i) => i !== open))
  return result.every((dim) => Number.isInteger(dim) && dim >= 0) && sizeOf(result) === sizeOf(dims)
    ? result
    : null
}
