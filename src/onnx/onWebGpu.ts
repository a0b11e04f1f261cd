/**
 * What of a file ONNX Runtime's WebGPU provider does not compute as it is written: the table of docs/WEBGPU.md in a sentence for
 * each kind of node. Such a file runs there all the same, slower or with other values.
 */
import { TensorProto_DataType as DataType, type NodeProto } from 'onnx-buf'
import { intAttribute } from './attributes.js'
import type { GraphIndex } from './graph.js'

/** They have no kernel there, so their tensors go to the CPU and back. */
const ON_CPU = new Set(
  'QuantizeLinear DynamicQuantizeLinear MatMulInteger ConvInteger QLinearConv QLinearMatMul'.split(' '),
)

/** One sentence for each kind of node that is found. Time is linear in the nodes. */
export function onWebGpu(graph: GraphIndex): readonly string[] {
  const countOf = (has: (node: NodeProto) => boolean): number => graph.nodes.filter(has).length
  const typeOf = ({ input }: NodeProto): number | undefined => graph.constant(input[0] ?? '')?.dataType
  const rounding = countOf(
    (node) => node.opType === 'MatMulNBits' && intAttribute(node, 'accuracy_level', 0) === 4,
  )
  const integers = countOf(({ opType }) => ON_CPU.has(opType))
  const twoBits = countOf((node) => {
    const type = node.opType === 'DequantizeLinear' ? typeOf(node) : undefined
    return type === DataType.INT2 || type === DataType.UINT2
  })
  return [
    ...(rounding === 0
      ? []
      : [`MatMulNBits with accuracy_level 4 rounds its inputs to 8 bits (${rounding}); level 1 does not`]),
    ...(twoBits === 0 ? [] : [`weights of 2 bits are dequantized on the CPU in every run (${twoBits})`]),
    ...(integers === 0
      ? []
      : [`nodes that round to integers run on the CPU (${integers}), most layers between them in float`]),
  ]
}
