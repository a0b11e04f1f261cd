/**
 * How operators without sample rows, beside recurrent ones, read a constant weight: the weight is rounded, so it only matters
 * which values share a scale.
 *
 *   Conv in 3-D                        an output channel
 *   ConvTranspose                      an input channel, which is the first axis of its weight
 *   com.microsoft FusedMatMul          a column, or a row with transB
 *   com.microsoft Attention            a column of the weight of q, k and v
 *   MatMul with several matrices       a column of each, or a row where they are the left operand
 */
import type { NodeProto } from 'onnx-buf'
import { intAttribute } from './attributes.js'
import { traceChain, transposed } from './chain.js'
import type { GraphIndex } from './graph.js'
import type { LayerOp } from './layer.js'
import { isDefaultDomain } from './model.js'
import { sizeOf } from './tensor.js'
import type { WeightView } from './weightView.js'

type Shape = Pick<WeightView, 'layout' | 'groups' | 'inputs' | 'neurons'>

const READERS: ReadonlyMap<string, (node: NodeProto, dims: readonly number[]) => Shape | null> = new Map([
  ['Conv', (node, dims) => (dims.length === 5 ? outputChannels(dims, intAttribute(node, 'group', 1)) : null)],
  ['ConvTranspose', (_, dims) => (dims.length >= 3 ? rows(dims) : null)],
  ['com.microsoft.FusedMatMul', (node, dims) => matrix(dims, intAttribute(node, 'transB', 0) === 1)],
  ['com.microsoft.Attention', (_, dims) => matrix(dims, false)],
])

/** The weight is the second operand of all of them, and of MatMul the constant one. */
const OPERAND = 1

const shapeReader = ({ domain, opType }: NodeProto) =>
  READERS.get(isDefaultDomain(domain) ? opType : `${domain}.${opType}`)

/** Whether a node has one of these operators. */
export const isOther = (node: NodeProto): boolean => shapeReader(node) !== undefined

/**
 * The view of such a node; undefined for another node, and where its weight is not constant or has another shape. A string
 * gives the reason why the weight cannot be quantized.
 */
export function viewOther(graph: GraphIndex, index: number): WeightView | string | undefined {
  const node = graph.nodes[index]!
  const { opType, domain } = node
  if (opType === 'MatMul' && isDefaultDomain(domain)) return viewMatrices(graph, index)
  const shapeOf = shapeReader(node)
  const [input = '', tensor = ''] = node.input
  if (shapeOf === undefined || tensor === '' || !graph.isConstant(tensor) || graph.isConstant(input))
    return undefined
  const chain = traceChain(graph, tensor)
  if (typeof chain === 'string') return chain
  const shape = sizeOf(chain.dims) === 0 ? null : shapeOf(node, chain.dims)
  if (shape === null) return undefined
  return {
    op: opType as LayerOp,
    node: index,
    input,
    output: node.output[0] ?? '',
    sampling: { kind: 'rows' },
    operand: OPERAND,
    ...{ tensor, chain },
    ...shape,
  }
}

/** A MatMul with a constant of three axes or more. */
function viewMatrices(graph: GraphIndex, index: number): WeightView | undefined {
  const { input, output } = graph.nodes[index]!
  const operand = input.findIndex((name) => graph.isConstant(name))
  const tensor = input[operand] ?? ''
  const other = input[1 - operand] ?? ''
  const traced = operand < 0 || graph.isConstant(other) ? '' : traceChain(graph, tensor)
  if (typeof traced === 'string' || traced.dims.length < 3 || sizeOf(traced.dims) === 0) return undefined
  const last = traced.dims.length - 1
  const swapped = traced.dims.map((_, axis) => (axis < last - 1 ? axis : axis === last ? last - 1 : last))
  const chain = operand === 0 ? traced : transposed(traced, swapped)
  const inputs = chain.dims[last] ?? 0
  return {
    ...{ op: 'MatMul', node: index, input: other, output: output[0] ?? '', sampling: { kind: 'rows' } },
    ...{ operand, tensor, chain, layout: 'neurons-first', groups: 1 },
    ...{ inputs, neurons: sizeOf(chain.dims) / inputs },
  }
}

function rows(dims: readonly number[]): Shape {
  const [neurons = 0, ...rest] = dims
  return { layout: 'neurons-first', groups: 1, inputs: sizeOf(rest), neurons }
}

function outputChannels(dims: readonly number[], groups: number): Shape | null {
  const { inputs, neurons, layout } = rows(dims)
  return groups >= 1 && neurons % groups === 0 ? { layout, groups, inputs, neurons: neurons / groups } : null
}

function matrix(dims: readonly number[], transposed: boolean): Shape | null {
  const [first = 0, second = 0] = dims
  if (dims.length !== 2) return null
  return transposed
    ? { layout: 'neurons-first', groups: 1, inputs: second, neurons: first }
    : { layout: 'inputs-first', groups: 1, inputs: first, neurons: second }
}
