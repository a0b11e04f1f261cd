/**
 * Small values that follow from constants, known inputs and fixed shapes: what the conditions of Ifs are computed from. Only
 * comparisons, logic and what leads to them are computed; any other value counts as not known.
 */
import { TensorProto_DataType as DataType, type NodeProto, type TensorProto } from 'onnx-buf'
import { attributeOf, intAttribute } from './attributes.js'
import { isDefaultDomain } from './model.js'
import { countOf, dimsOf, isFloatType, readFloats, readInts, sizeOf } from './tensor.js'

/** A tensor of few values; booleans are 0 and 1. */
export interface SmallTensor {
  readonly dims: readonly number[]
  readonly values: readonly number[]
}

/** Values of a tensor that is followed, at most. */
export const MOST_VALUES = 1024

/** What is known of the tensors that a node reads. */
export interface Known {
  value(tensor: string): SmallTensor | undefined
  /** The shape of a tensor, where it is fixed. */
  dims(tensor: string): readonly number[] | undefined
}

/** The values of a stored tensor; undefined if they are too many, or of another type than numbers that float64 holds. */
export function smallOf(tensor: TensorProto): SmallTensor | undefined {
  if (countOf(tensor) > MOST_VALUES) return undefined
  const dims = dimsOf(tensor)
  switch (tensor.dataType) {
    case DataType.INT64:
    case DataType.INT32:
      return exact(dims, readInts(tensor))
    case DataType.BOOL:
      return { dims, values: tensor.rawData.length > 0 ? [...tensor.rawData] : tensor.int32Data }
    default:
      return isFloatType(tensor.dataType) ? { dims, values: [...readFloats(tensor)] } : undefined
  }
}

/** Integers that float64 holds; undefined if there are others. */
export const exact = (dims: readonly number[], values: readonly number[]): SmallTensor | undefined =>
  values.every(Number.isSafeInteger) ? { dims, values } : undefined

const COMPARISONS: ReadonlyMap<string, (a: number, b: number) => boolean> = new Map([
  ['Equal', (a, b) => a === b],
  ['Less', (a, b) => a < b],
  ['LessOrEqual', (a, b) => a <= b],
  ['Greater', (a, b) => a > b],
  ['GreaterOrEqual', (a, b) => a >= b],
  ['And', (a, b) => a !== 0 && b !== 0],
  ['Or', (a, b) => a !== 0 || b !== 0],
  ['Xor', (a, b) => (a !== 0) !== (b !== 0)],
])

/** The first output of a node; undefined if it is not known. */
export function foldNode(node: NodeProto, known: Known): SmallTensor | undefined {
  if (!isDefaultDomain(node.domain)) return undefined
  const [first = '', second = ''] = node.input
  if (node.opType === 'Shape' || node.opType === 'Size') return foldShape(node, known.dims(first))
  const a = known.value(first)
  if (a === undefined) return undefined
  const compare = COMPARISONS.get(node.opType)
  const b = known.value(second)
  if (compare !== undefined) return b && broadcast(a, b, compare)
  switch (node.opType) {
    case 'Identity':
      return a
    case 'Not':
      return { dims: a.dims, values: a.values.map((value) => Number(value === 0)) }
    case 'Cast':
      return cast(a, intAttribute(node, 'to', 0))
    case 'Squeeze':
    case 'Unsqueeze': // of one value, the shape of which nothing here depends on
      return a.values.length === 1 ? { dims: [], values: a.values } : undefined
    case 'Reshape':
      return b && reshape(a, b, intAttribute(node, 'allowzero', 0) === 1)
    case 'Gather':
      return a.dims.length === 1 && intAttribute(node, 'axis', 0) === 0 && b ? gather(a, b) : undefined
    default:
      return undefined
  }
}

function foldShape(node: NodeProto, dims: readonly number[] | undefined): SmallTensor | undefined {
  if (dims === undefined) return undefined
  if (node.opType === 'Size') return { dims: [], values: [sizeOf(dims)] }
  const end = attributeOf(node, 'end') === undefined ? dims.length : intAttribute(node, 'end', 0)
  const values = dims.slice(intAttribute(node, 'start', 0), end)
  return { dims: [values.length], values }
}

/** The same values in a shape: 0 copies a dimension (without `allowZero`), −1 takes the rest. */
function reshape(
  { dims, values }: SmallTensor,
  shape: SmallTensor,
  allowZero: boolean,
): SmallTensor | undefined {
  const wanted = shape.values.map((dim, i) => (dim === 0 && !allowZero ? (dims[i] ?? 0) : dim))
  const open = wanted.indexOf(-1)
  if (open >= 0) wanted[open] = values.length / sizeOf(wanted.filter((_, i) => i !== open))
  return sizeOf(wanted) === values.length ? { dims: wanted, values } : undefined
}

function gather({ values }: SmallTensor, { dims, values: indices }: SmallTensor): SmallTensor | undefined {
  const gathered = indices.flatMap((index) => values.at(index) ?? [])
  return gathered.length === indices.length ? { dims, values: gathered } : undefined
}

function cast({ dims, values }: SmallTensor, to: number): SmallTensor | undefined {
  switch (to) {
    case DataType.BOOL:
      return { dims, values: values.map((value) => Number(value !== 0)) }
    case DataType.INT64:
      return exact(dims, values.map(Math.trunc))
    case DataType.FLOAT:
      return { dims, values: values.map(Math.fround) }
    case DataType.DOUBLE:
      return { dims, values }
    default:
      return undefined
  }
}

/** Element by element, for equal shapes or where one side is a single value. */
function broadcast(
  a: SmallTensor,
  b: SmallTensor,
  compare: (a: number, b: number) => boolean,
): SmallTensor | undefined {
  const whole = a.values.length === 1 && a.dims.length <= b.dims.length ? b : a
  if (b.values.length !== 1 && a.values.length !== 1 && a.dims.join() !== b.dims.join()) return undefined
  const size = Math.max(a.values.length, b.values.length)
  const at = ({ values }: SmallTensor, i: number) => values[values.length === 1 ? 0 : i] ?? Number.NaN
  return {
    dims: whole.dims,
    values: Array.from({ length: size }, (_, i) => Number(compare(at(a, i), at(b, i)))),
  }
}
