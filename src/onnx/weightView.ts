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
import { intAttribute, intsAttribute, stringAttribute } from './attributes.js'
import { type Chain, traceChain } from './chain.js'
import type { GraphIndex } from './graph.js'
import type { Layer, Sampling } from './layer.js'
import { isDefaultDomain } from './model.js'
import { sizeOf } from './tensor.js'

/** One node and the weight that it reads. */
export interface WeightView {
  readonly op: Layer['op']
  readonly node: number
  /** Tensor that becomes sample rows. */
  readonly input: string
  readonly output: string
  readonly sampling: Sampling
  /** Position of the weight among the node's inputs, and the tensor there. */
  readonly operand: 0 | 1
  readonly tensor: string
  readonly chain: Chain
  readonly layout: 'neurons-first' | 'inputs-first'
  readonly groups: number
  readonly inputs: number // per group
  readonly neurons: number // per group
}

/** Whether a node has an operator that is quantized. */
export function isLayerOp(node: NodeProto): node is NodeProto & { opType: Layer['op'] } {
  return isDefaultDomain(node.domain) && ['Conv', 'Gemm', 'MatMul'].includes(node.opType)
}

/** The view of a Conv, Gemm or MatMul node. A string gives the reason why its weight cannot be quantized. */
export function viewWeight(graph: GraphIndex, index: number): WeightView | string {
  const node = graph.nodes[index]!
  const [a = '', b = ''] = node.input
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
  const shape = node.opType === 'Conv' ? viewConv(node, chain.dims) : viewMatrix(node, chain.dims, operand)
  if (typeof shape === 'string') return shape
  return {
    op: node.opType as Layer['op'],
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

function viewMatrix(node: NodeProto, dims: readonly number[], operand: 0 | 1): Shape | string {
  const [rows = 0, columns = 0] = dims.slice(-2)
  const matrix = dims.length === 2 || (operand === 1 && dims.length > 2 && sizeOf(dims.slice(0, -2)) === 1)
  if (!matrix) return `its weight [${dims}] is not one matrix`
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

function viewConv(node: NodeProto, dims: readonly number[]): Shape | string {
  const spatial = dims.length - 2
  if (spatial === 3) return 'it is a 3-D convolution'
  if (spatial !== 1 && spatial !== 2) return `its weight [${dims}] is not that of a 1-D or 2-D convolution`
  const [outputs = 0, channels = 0, ...kernel] = dims
  const groups = intAttribute(node, 'group', 1)
  if (groups < 1 || outputs % groups !== 0)
    return `its ${outputs} output channels do not divide into ${groups} groups`
  const declared = intsAttribute(node, 'kernel_shape')
  if (declared !== undefined && declared.join() !== kernel.join())
    return `its kernel_shape [${declared}] contradicts its weight [${dims}]`
  const pads = intsAttribute(node, 'pads') ?? new Array<number>(2 * spatial).fill(0)
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET')
  if (autoPad !== 'NOTSET' && autoPad !== 'SAME_UPPER' && autoPad !== 'SAME_LOWER' && autoPad !== 'VALID')
    return `its auto_pad '${autoPad}' is unknown`
  const plane = (values: readonly number[] | undefined): [number, number] => [
    spatial === 1 ? 1 : (values?.[0] ?? 1),
    values?.[spatial - 1] ?? 1,
  ]
  const strides = plane(intsAttribute(node, 'strides'))
  const dilations = plane(intsAttribute(node, 'dilations'))
  if ([...strides, ...dilations].some((n) => n < 1) || pads.some((n) => n < 0) || pads.length !== 2 * spatial)
    return `its strides [${strides}], dilations [${dilations}] or pads [${pads}] are out of range`
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
