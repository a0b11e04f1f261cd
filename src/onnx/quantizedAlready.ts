/**
 * Whether a model is quantized already, and by whom: by nodes on integers and by weights that are stored as integers, or by what
 * gpfq writes into the metadata of its models. Such a model is given by mistake where the float model is wanted.
 */
import { TensorProto_DataType as DataType, type NodeProto } from 'onnx-buf'
import type { GraphIndex } from './graph.js'

/** The key of the metadata that gpfq writes. */
export const METADATA_KEY = 'gpfq'

/** Operators with quantized weights, of ONNX and of com.microsoft. */
const OPERATORS = new Set(
  `ConvInteger DynamicQuantizeLSTM DynamicQuantizeMatMul GatherBlockQuantized MatMulBnb4 MatMulInteger MatMulIntegerToFloat
  MatMulNBits QAttention QGemm QLinearConv QLinearMatMul QMoE`.split(/\s+/),
)

const INTEGERS: ReadonlySet<number> = new Set([
  DataType.INT8,
  DataType.UINT8,
  DataType.INT16,
  DataType.UINT16,
  DataType.INT4,
  DataType.UINT4,
  DataType.INT2,
  DataType.UINT2,
])

export interface QuantizedAlready {
  /** Whether gpfq wrote the model. */
  readonly byGpfq: boolean
  /** Nodes with quantized weights, by their operator. Weights that gpfq has packed are not among them. */
  readonly nodes: ReadonlyMap<string, number>
}

/** What is quantized in a model; null for a float model. Time is linear in its nodes. */
export function quantizedAlready(graph: GraphIndex): QuantizedAlready | null {
  const nodes = new Map<string, number>()
  for (const node of graph.nodes)
    if (OPERATORS.has(node.opType) || dequantizesWeight(graph, node))
      nodes.set(node.opType, (nodes.get(node.opType) ?? 0) + 1)
  const byGpfq = graph.model.metadataProps.some(({ key }) => key === METADATA_KEY)
  return byGpfq || nodes.size > 0 ? { byGpfq, nodes } : null
}

function dequantizesWeight(graph: GraphIndex, { opType, input }: NodeProto): boolean {
  const stored = opType === 'DequantizeLinear' ? graph.constant(input[0] ?? '') : undefined
  return stored !== undefined && stored.dims.length >= 2 && INTEGERS.has(stored.dataType)
}

/** The words for it, about the model, and what to do. */
export function describeQuantized({ byGpfq, nodes }: QuantizedAlready): {
  readonly problem: string
  readonly hint: string
} {
  const counts = [...nodes].map(([op, count]) => `${count} ${op}`).join(', ')
  return {
    problem: byGpfq ? 'gpfq wrote it, so it is quantized already' : `it is quantized already (${counts})`,
    hint: 'give the float model that it was made from',
  }
}
