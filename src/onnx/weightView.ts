/**
 * How one Conv, Gemm or MatMul node reads its constant operand: where the values are stored, their shape at the node,
 * and the groups, inputs and neurons of that shape. Only two layouts occur at nodes, and both are plain matrices:
 *
 *   neurons-first  (groups·neurons, inputs)   Conv; Gemm with transB = 1; MatMul with a constant left operand
 *   inputs-first   (inputs, neurons)          Gemm with transB = 0; MatMul with a constant right operand
 *
 * All code that writes weights (segments, formats, folding) uses `toNodeLayout`, and does not depend on the operator.
 */
import type { NodeProto } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { intAttribute, intsAttribute, stringAttribute } from './attributes.js'
import { type Chain, traceChain } from './chain.js'
import type { GraphIndex } from './graph.js'
import type { LayerOp, Sampling } from './layer.js'
import { isDefaultDomain } from './model.js'
import { dimsOf, sizeOf } from './tensor.js'

/** One node and the weight that it reads. */
export interface WeightView {
  readonly op: LayerOp
  readonly node: number
  /** Tensor that becomes sample rows. */
  readonly input: string
  readonly output: string
  readonly sampling: Sampling
  /** Position of the weight among the node's inputs, and the tensor there. */
  readonly operand: number
  readonly tensor: string
  readonly chain: Chain
  readonly layout: 'neurons-first' | 'inputs-first'
  readonly groups: number
  readonly inputs: number // per group
  readonly neurons: number // per group
}

/** The first of the nodes in the file. */
export function firstNode(views: readonly WeightView[]): number {
  return views.reduce((first, { node }) => Math.min(first, node), Number.POSITIVE_INFINITY)
}

/** Whether a node has an operator whose inputs become sample rows. */
export function isLayerOp(node: NodeProto): node is NodeProto & { opType: 'Conv' | 'Gemm' | 'MatMul' } {
  return isDefaultDomain(node.domain) && ['Conv', 'Gemm', 'MatMul'].includes(node.opType)
}

/**
 * The view of a Conv, Gemm or MatMul node. A string gives the reason why its weight cannot be quantized.
 * @throws {GpfqError} INVALID_MODEL for a node that no runtime can compute: inputs, shapes or attributes that contradict
 */
export function viewWeight(graph: GraphIndex, index: number): WeightView | string {
  const node = graph.nodes[index]!
  const place = `node '${graph.names[index]}'`
  const [a = '', b = ''] = node.input
  if (a === '' || b === '')
    throw invalid(place, `two inputs for ${node.opType}`, a === '' && b === '' ? 'none' : 'one')
  if ((node.output[0] ?? '') === '') throw invalid(place, 'an output', 'none')
  if (node.opType === 'MatMul') {
    if (graph.isConstant(a) && graph.isConstant(b)) return 'both of its operands are constant'
    if (!graph.isConstant(a) && !graph.isConstant(b))
      return 'both of its operands are computed from the inputs'
  } else if (graph.isConstant(a)) {
    return node.opType === 'Gemm' ? 'its left operand is constant' : 'its input is constant'
  }
  const operand = graph.isConstant(a) ? 0 : 1
  const tensor = operand === 0 ? a : b
  const chain = traceChain(graph, tensor)
  if (typeof chain === 'string') return chain
  if (sizeOf(chain.dims) === 0) return `its weight [${chain.dims}] is empty`
  const shape =
    node.opType === 'Conv' ? viewConv(place, node, chain.dims) : viewMatrix(place, node, chain.dims, operand)
  if (typeof shape === 'string') return shape
  if (node.opType !== 'MatMul') checkBias(graph, index, shape.groups * shape.neurons)
  return {
    op: node.opType as LayerOp,
    node: index,
    input: operand === 0 ? b : a,
    output: node.output[0] ?? '',
    operand,
    tensor,
    chain,
    ...shape,
  }
}

type Shape = Pick<WeightView, 'sampling' | 'layout' | 'groups' | 'inputs' | 'neurons'>

/** A constant bias gives one value per neuron; that of a Gemm is repeated along the samples, and along the neurons. */
function checkBias(graph: GraphIndex, index: number, neurons: number): void {
  const { opType, input } = graph.nodes[index]!
  const bias = graph.constant(input[2] ?? '')
  if (bias === undefined) return
  const dims = dimsOf(bias)
  const columns = dims.at(-1) ?? 1
  const fits = opType === 'Conv' ? sizeOf(dims) === columns : dims.length <= 2
  if (fits && (columns === neurons || columns === 1)) return
  throw invalid(`node '${graph.names[index]}'`, `a bias of ${neurons} values`, `[${dims}]`)
}

/** Whether the weight of a Gemm or MatMul is one matrix, whose operand becomes sample rows. */
export const isMatrix = ({
  chain: { dims },
  operand,
}: {
  readonly chain: Pick<Chain, 'dims'>
  readonly operand: number
}): boolean => dims.length === 2 || (operand === 1 && dims.length > 2 && sizeOf(dims.slice(0, -2)) === 1)

function viewMatrix(place: string, node: NodeProto, dims: readonly number[], operand: 0 | 1): Shape | string {
  if (node.opType === 'Gemm' ? dims.length !== 2 : dims.length === 0)
    throw invalid(place, 'a matrix as weight', `[${dims}]`)
  const [rows = 0, columns = 0] = dims.slice(-2)
  if (!isMatrix({ chain: { dims }, operand })) return `its weight [${dims}] is not one matrix`
  const flipped = node.opType === 'Gemm' ? intAttribute(node, 'transB', 0) === 1 : operand === 0
  const columnSamples = node.opType === 'Gemm' ? intAttribute(node, 'transA', 0) === 1 : operand === 0
  return {
    sampling: { kind: columnSamples ? 'columns' : 'rows' },
    layout: flipped ? 'neurons-first' : 'inputs-first',
    groups: 1,
    inputs: flipped ? columns : rows,
    neurons: flipped ? rows : columns,
  }
}

function viewConv(place: string, node: NodeProto, dims: readonly number[]): Shape | string {
  const spatial = dims.length - 2
  if (spatial < 1) throw invalid(place, 'a weight [outputs, channels, kernel]', `[${dims}]`)
  if (spatial === 3) return 'it is a 3-D convolution'
  if (spatial !== 1 && spatial !== 2) return `its weight [${dims}] is not that of a 1-D or 2-D convolution`
  const [outputs = 0, channels = 0, ...kernel] = dims
  const groups = intAttribute(node, 'group', 1)
  if (groups < 1 || outputs % groups !== 0)
    throw invalid(place, `groups that divide its ${outputs} output channels`, String(groups))
  const declared = intsAttribute(node, 'kernel_shape')
  if (declared !== undefined && declared.join() !== kernel.join())
    throw invalid(place, `kernel_shape [${kernel}], as its weight has`, `[${declared.slice(0, 8)}]`)
  const pads = intsAttribute(node, 'pads') ?? new Array<number>(2 * spatial).fill(0)
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET')
  if (autoPad !== 'NOTSET' && autoPad !== 'SAME_UPPER' && autoPad !== 'SAME_LOWER' && autoPad !== 'VALID')
    throw invalid(place, 'auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER', `'${autoPad.slice(0, 40)}'`)
  const plane = (values: readonly number[] | undefined): [number, number] => [
    spatial === 1 ? 1 : (values?.[0] ?? 1),
    values?.[spatial - 1] ?? 1,
  ]
  const steps = (name: 'strides' | 'dilations') => {
    const values = intsAttribute(node, name)
    if (values !== undefined && (values.length !== spatial || values.some((n) => n < 1 || n >= 2 ** 31)))
      throw invalid(place, `${spatial} ${name} of at least 1`, `[${values.slice(0, 8)}]`)
    return plane(values)
  }
  const strides = steps('strides')
  const dilations = steps('dilations')
  if (pads.length !== 2 * spatial || pads.some((n) => Math.abs(n) >= 2 ** 31))
    throw invalid(place, `${2 * spatial} pads`, `[${pads.slice(0, 8)}]`)
  if (pads.some((n) => n < 0)) return `its pads [${pads}] cut the input`
  const [first = 0, second = 0, third = 0, fourth = 0] = pads
  return {
    sampling: {
      kind: 'patches',
      kernel: plane(kernel),
      strides,
      dilations,
      pads: spatial === 1 ? [0, first, 0, second] : [first, second, third, fourth],
      autoPad,
      groups,
    },
    layout: 'neurons-first',
    groups,
    inputs: channels * sizeOf(kernel),
    neurons: outputs / groups,
  }
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_MODEL', { place, expected, got })
}

type Values = Float32Array | Int32Array | Uint8Array

/** Rearranges canonical (groups, inputs, neurons) into the matrix at the node; returns `to`. */
export function toNodeLayout<T extends Values>(view: WeightView, canonical: T, to: T): T {
  return relayout(view, canonical, to, false)
}

/** Rearranges the matrix at the node into canonical (groups, inputs, neurons); returns `to`. */
export function toCanonical<T extends Values>(view: WeightView, atNode: T, to: T): T {
  return relayout(view, atNode, to, true)
}

function relayout<T extends Values>(view: WeightView, from: T, to: T, canonical: boolean): T {
  const { groups, inputs, neurons, layout } = view
  if (layout === 'inputs-first') {
    to.set(from)
    return to
  }
  for (let g = 0; g < groups; g++)
    for (let t = 0; t < inputs; t++)
      for (let n = 0; n < neurons; n++) {
        const flat = (g * inputs + t) * neurons + n
        const atNode = (g * neurons + n) * inputs + t
        if (canonical) to[flat] = from[atNode] as number
        else to[atNode] = from[flat] as number
      }
  return to
}
