/**
 * The nodes between a stored weight and the node that uses it. Exporters put Transpose, Reshape, Flatten, Squeeze,
 * Unsqueeze, Cast and Identity nodes there, or a Constant node in place of the initializer. `traceChain` follows such a chain
 * back to the stored values;
 * `applyChain` computes what arrives at its end. Nothing else is evaluated: a weight that is computed in any other way
 * cannot be quantized.
 */
import type { NodeProto, TensorProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { bfloat16ToFloat32, float16Bits, float16Values, float32ToBfloat16 } from '../tensor/float16.js'
import { intAttribute, intsAttribute } from './attributes.js'
import type { GraphIndex } from './graph.js'
import { isDefaultDomain } from './model.js'
import { countOf, dimsOf, isFloatType, readInts, sizeOf, typeName } from './tensor.js'

/** What one chain node does to row-major values. */
type Step =
  | {
      readonly kind: 'transpose'
      /** Before the step. */
      readonly dims: readonly number[]
      readonly perm: readonly number[]
      /** Reshapes of the chain before the step. */
      readonly reshapes: number
    }
  | { readonly kind: 'cast'; readonly to: number }

/** The way from stored values to the tensor that a node reads. */
export interface Chain {
  /** Name of the initializer or Constant output that holds the values, and the values. */
  readonly source: string
  readonly stored: TensorProto
  readonly steps: readonly Step[]
  /** The transpositions as text: chains from one source with the same text have each value in the same place. */
  readonly moves: string
  /** Reshapes that changed the shape. */
  readonly reshapes: number
  /** Shape and element type of the tensor at the end of the chain. */
  readonly dims: readonly number[]
  readonly elemType: number
}

/** Steps and axes of a chain that is followed: many times what exporters write. Time and memory are bounded by them. */
const MOST_STEPS = 64
export const MOST_AXES = 16

const chains = new WeakMap<GraphIndex, Map<string, Chain | string>>()

/**
 * Follows `tensor` back to stored float values. A string gives the reason why that is not possible. What is found is kept
 * for every tensor on the way, so that nodes which read the same chain follow it once.
 * @throws {GpfqError} INVALID_MODEL for stored values that contradict their dims
 */
export function traceChain(graph: GraphIndex, tensor: string): Chain | string {
  const known = chains.get(graph) ?? new Map<string, Chain | string>()
  chains.set(graph, known)
  const passed: { readonly node: number; readonly tensor: string }[] = []
  let name = tensor
  let chain = known.get(name)
  while (chain === undefined) {
    const node = linkBefore(graph, name)
    if (node === undefined) {
      chain = startOf(graph, name)
      known.set(name, chain)
      break
    }
    passed.push({ node, tensor: name })
    name = graph.nodes[node]!.input[0] ?? ''
    chain = known.get(name)
  }
  for (const { node, tensor: made } of passed.toReversed()) {
    chain = typeof chain === 'string' ? chain : behindLink(graph, chain, graph.nodes[node]!)
    known.set(made, chain)
  }
  return chain
}

const LINKS: ReadonlySet<string> = new Set([
  'Identity',
  'Transpose',
  'Reshape',
  'Flatten',
  'Unsqueeze',
  'Squeeze',
  'Cast',
])

/** Whether a node is a link of a chain. */
export const isLink = ({ opType, domain }: NodeProto): boolean => isDefaultDomain(domain) && LINKS.has(opType)

/** The node that makes the tensor, if a chain goes on through it. */
function linkBefore(graph: GraphIndex, tensor: string): number | undefined {
  const producer = graph.producer(tensor)
  if (producer === undefined) return undefined
  return isLink(graph.nodes[producer]!) ? producer : undefined
}

/** The chain of a tensor that is stored, without steps. */
function startOf(graph: GraphIndex, source: string): Chain | string {
  const producer = graph.producer(source)
  if (producer === undefined && graph.initializer(source) === undefined)
    return graph.isConstant(source)
      ? 'its weight is stored as a sparse tensor'
      : 'its weight is an input of the model'
  if (producer !== undefined) {
    const { opType, domain } = graph.nodes[producer]!
    if (!isDefaultDomain(domain)) return `its weight is computed by ${domain}.${opType}`
    if (opType === 'DequantizeLinear') return 'its weight is quantized already (DequantizeLinear)'
    if (opType !== 'Constant')
      return graph.isConstantNode(producer)
        ? `its weight is computed from initializers by ${opType}`
        : 'its weight is not a constant'
  }
  const stored = graph.constant(source)
  if (stored === undefined) return 'its weight is a Constant without a dense tensor'
  if (!isFloatType(stored.dataType)) return `its weight is ${typeName(stored.dataType)}, not float`
  if (stored.dims.length > MOST_AXES) return `its weight has more than ${MOST_AXES} axes`
  countOf(stored)
  return {
    source,
    stored,
    steps: [],
    moves: '',
    reshapes: 0,
    dims: dimsOf(stored),
    elemType: stored.dataType,
  }
}

/** The chain behind one more link. A string gives the reason why it ends there. */
export function behindLink(graph: GraphIndex, chain: Chain, node: NodeProto): Chain | string {
  const { dims, steps } = chain
  if (steps.length >= MOST_STEPS)
    return `its weight is transposed and reshaped in turn more than ${MOST_STEPS} times`
  switch (node.opType) {
    case 'Transpose': {
      const perm = intsAttribute(node, 'perm') ?? dims.map((_, i) => dims.length - 1 - i)
      if (perm.length !== dims.length || perm.toSorted((x, y) => x - y).some((axis, i) => axis !== i))
        return `its weight [${dims}] is transposed by [${perm.slice(0, MOST_AXES)}], which does not fit`
      return transposed(chain, perm)
    }
    case 'Reshape': {
      const shape = graph.constant(node.input[1] ?? '')
      if (shape === undefined) return 'its weight is reshaped to a shape that is not constant'
      if (countOf(shape) > MOST_AXES) return `its weight is reshaped to more than ${MOST_AXES} axes`
      const reshaped = resolveShape(dims, readInts(shape), intAttribute(node, 'allowzero', 0) === 1)
      if (reshaped === null) return `its weight [${dims}] does not fit the shape it is reshaped to`
      return withDims(chain, reshaped)
    }
    case 'Flatten': {
      const axis = intAttribute(node, 'axis', 1)
      if (Math.abs(axis) > dims.length) return `its weight [${dims}] has no axis ${axis} to be flattened at`
      const at = axis < 0 ? axis + dims.length : axis
      return withDims(chain, [sizeOf(dims.slice(0, at)), sizeOf(dims.slice(at))])
    }
    case 'Unsqueeze':
    case 'Squeeze': {
      const given = node.input[1] ?? ''
      const axes = given === '' ? intsAttribute(node, 'axes') : constantAxes(graph, given)
      if (axes === null) return `its weight goes through a ${node.opType} along axes that are not constant`
      const shape = node.opType === 'Squeeze' ? squeezed(dims, axes) : axes && unsqueezed(dims, axes)
      if (!shape) return `its weight [${dims}] does not fit the axes of a ${node.opType}`
      return withDims(chain, shape)
    }
    case 'Cast': {
      const elemType = intAttribute(node, 'to', DataType.UNDEFINED)
      if (!isFloatType(elemType)) return `its weight is cast to ${typeName(elemType)}`
      return cast(chain, elemType)
    }
    default:
      return chain
  }
}

/** The chain with the same values in another shape. */
function withDims(chain: Chain, dims: readonly number[]): Chain {
  return { ...chain, dims, reshapes: chain.reshapes + Number(dims.join() !== chain.dims.join()) }
}

/** Axes out of a constant tensor; null where there are none, or too many. */
function constantAxes(graph: GraphIndex, tensor: string): number[] | null {
  const axes = graph.constant(tensor)
  return axes === undefined || countOf(axes) > MOST_AXES ? null : readInts(axes)
}

/** Axes as places among `rank`; null if one is out of range or twice there. */
function placesOf(axes: readonly number[], rank: number): ReadonlySet<number> | null {
  const places = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)))
  return places.size === axes.length && [...places].every((axis) => axis >= 0 && axis < rank) ? places : null
}

/** The dims without axes of length 1: the given ones, or all of them. */
function squeezed(dims: readonly number[], axes: readonly number[] | undefined): number[] | null {
  if (axes === undefined) return dims.filter((dim) => dim !== 1)
  const places = placesOf(axes, dims.length)
  if (places === null || [...places].some((axis) => dims[axis] !== 1)) return null
  return dims.filter((_, axis) => !places.has(axis))
}

/** The dims with more axes of length 1, at the given places of the result. */
function unsqueezed(dims: readonly number[], axes: readonly number[]): number[] | null {
  const rank = dims.length + axes.length
  const places = placesOf(axes, rank)
  if (places === null || rank > MOST_AXES) return null
  let next = 0
  return Array.from({ length: rank }, (_, axis) => (places.has(axis) ? 1 : (dims[next++] ?? 1)))
}

/** The chain with its values moved. A transposition directly behind another one becomes one with it. */
export function transposed(chain: Chain, perm: readonly number[]): Chain {
  const { steps } = chain
  const dims = perm.map((axis) => chain.dims[axis] ?? 0)
  const last = steps.at(-1)
  if (last?.kind === 'transpose' && last.reshapes === chain.reshapes) {
    const both = perm.map((axis) => last.perm[axis] ?? 0)
    const before = steps.slice(0, -1)
    if (both.every((axis, i) => axis === i)) return { ...chain, dims, ...withMoves(before) }
    return { ...chain, dims, ...withMoves([...before, { ...last, perm: both }]) }
  }
  const step: Step = { kind: 'transpose', dims: chain.dims, perm, reshapes: chain.reshapes }
  return { ...chain, dims, ...withMoves([...steps, step]) }
}

/** The chain with its values rounded. Wider types change nothing, and neither does the type of the last rounding. */
function cast(chain: Chain, elemType: number): Chain {
  const wide = elemType === DataType.FLOAT || elemType === DataType.DOUBLE
  const last = chain.steps.findLast((step) => step.kind === 'cast')
  const again = last?.to === elemType
  const steps: readonly Step[] =
    wide || again ? chain.steps : [...chain.steps, { kind: 'cast', to: elemType }]
  return { ...chain, elemType, steps }
}

function withMoves(steps: readonly Step[]): Pick<Chain, 'steps' | 'moves'> {
  const moves = steps.map((step) => (step.kind === 'cast' ? '' : `[${step.dims}] by [${step.perm}] `))
  return { steps, moves: moves.join('') }
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
    else if (step.to === DataType.FLOAT16) values = float16Values(float16Bits(values))
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

/**
 * Values at the end of a chain, as they are stored.
 * @param positions where each is stored, as chainPositions gives them
 */
export function applyPositions(positions: Int32Array, values: Float32Array): Float32Array {
  const stored = new Float32Array(values.length)
  positions.forEach((position, i) => {
    stored[position] = values[i] as number
  })
  return stored
}

function transpose<T extends Float32Array | Int32Array>(
  from: T,
  dims: readonly number[],
  perm: readonly number[],
  to: T,
): T {
  const strides = stridesOf(dims)
  const permuted = (list: readonly number[]): number[] => perm.map((axis) => list[axis] as number)
  return copyStrided(from, { dims: permuted(dims), strides: permuted(strides), first: 0 }, to)
}

/** How far apart neighbours along each axis are, row-major. */
export function stridesOf(dims: readonly number[]): number[] {
  return dims.map((_, i) => sizeOf(dims.slice(i + 1)))
}

/** Values of a tensor: their shape, how far apart neighbours along each axis are, and where the first one is. */
interface Strided {
  readonly dims: readonly number[]
  readonly strides: readonly number[]
  readonly first: number
}

/** Copies such values in row-major order; returns `to`. */
export function copyStrided<T extends Float32Array | Int32Array>(
  from: T,
  { dims, strides, first }: Strided,
  to: T,
): T {
  const index = dims.map(() => 0)
  let at = first
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at] as number
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += strides[axis] as number
      index[axis] = (index[axis] as number) + 1
      if ((index[axis] as number) < (dims[axis] as number)) break
      at -= (strides[axis] as number) * (dims[axis] as number)
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
