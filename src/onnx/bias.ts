/**
 * Biases. The C operand of a Gemm has any shape that broadcasts to (samples, neurons), scaled by beta; that of a Conv
 * has one value per output channel; a MatMul has no bias, but often an Add behind it. This file reads a constant bias as
 * one value per neuron and adds to it, for bias correction and BatchNorm folding.
 */
import type { NodeProto, TensorProto } from 'onnx-buf'
import { attributeOf, floatAttribute, setFloat } from './attributes.js'
import { type GraphEdit, makeNode } from './edit.js'
import type { GraphIndex } from './graph.js'
import { isDefaultDomain, shallowCopy } from './model.js'
import { dimsOf, isFloatType, makeFloats, readFloats, sizeOf } from './tensor.js'
import type { WeightView } from './weightView.js'

/**
 * What a Conv or Gemm adds to each of its outputs, beta included.
 * @returns (neurons); zeros without a bias; null if the bias is not one constant per neuron
 */
export function readBias(graph: GraphIndex, node: NodeProto, neurons: number): Float64Array | null {
  const stored = plainBias(graph, node, neurons)
  if (stored === null) return null
  if (stored === 'none') return new Float64Array(neurons)
  const beta = node.opType === 'Gemm' ? floatAttribute(node, 'beta', 1) : 1
  const values = readFloats(stored)
  return Float64Array.from(
    { length: neurons },
    (_, i) => beta * (values[values.length === 1 ? 0 : i] as number),
  )
}

/** Whether the bias is one constant per neuron, or none: known without reading it. */
export function hasPlainBias(graph: GraphIndex, node: NodeProto, neurons: number): boolean {
  return plainBias(graph, node, neurons) !== null
}

function plainBias(graph: GraphIndex, node: NodeProto, neurons: number): TensorProto | 'none' | null {
  const name = node.input[2] ?? ''
  if (name === '' || (node.opType === 'Gemm' && floatAttribute(node, 'beta', 1) === 0)) return 'none'
  const stored = graph.constant(name)
  if (stored === undefined || !isFloatType(stored.dataType)) return null
  const dims = dimsOf(stored)
  const columns = dims.at(-1) ?? 1
  return sizeOf(dims) === columns && (columns === neurons || columns === 1) ? stored : null
}

/**
 * Replaces the bias of a Conv or Gemm; the beta of a Gemm becomes 1.
 * @param elemType ONNX element type that the bias is stored in
 * @param bias (neurons)
 */
export function setBias(edit: GraphEdit, index: number, elemType: number, bias: Float32Array): void {
  const name = edit.fresh(`${edit.node(index).output[0]}:bias`)
  edit.setInput(index, 2, edit.add(makeFloats(name, elemType, [bias.length], bias)))
  const node = edit.node(index)
  if (node.opType === 'Gemm' && attributeOf(node, 'beta') !== undefined) {
    const copy = shallowCopy(node)
    copy.attribute = setFloat(node, 'beta', 1)
    edit.replace(index, copy)
  }
}

/**
 * Adds to the outputs of a layer's node: in its bias where that is possible, by an Add behind it otherwise.
 * @param correction (groups·neurons)
 */
export function addToBias(edit: GraphEdit, view: WeightView, correction: Float32Array): void {
  const node = edit.node(view.node)
  const { elemType } = view.chain
  if (view.op !== 'MatMul') {
    const bias = readBias(edit.graph, node, correction.length)
    if (bias !== null) {
      setBias(
        edit,
        view.node,
        elemType,
        Float32Array.from(bias, (value, i) => value + (correction[i] as number)),
      )
      return
    }
  } else if (view.operand === 1 && addToNextAdd(edit, view, correction)) {
    return
  }
  // The neurons are on the channel axis of a convolution, and on the last axis but one for a constant left operand.
  const sampling = view.sampling
  const trailing = sampling.kind !== 'patches' ? (view.operand === 0 ? 1 : 0) : view.chain.dims.length - 2
  const dims = [correction.length, ...new Array<number>(trailing).fill(1)]
  const output = node.output[0] ?? '' // not view.output where a quantizer stands behind the node
  const bare = edit.fresh(`${view.output}:bare`)
  const name = edit.fresh(`${view.output}:correction`)
  edit.add(makeFloats(name, elemType, dims, correction))
  edit.setOutput(view.node, bare)
  edit.insertAfter(view.node, [makeNode('Add', [bare, name], output)])
}

/** Adds to the constant of an Add, if that is the only reader of a MatMul and has one constant per neuron. */
function addToNextAdd(edit: GraphEdit, view: WeightView, correction: Float32Array): boolean {
  const next = nextAdd(edit.graph, view.output, correction.length)
  if (next === null) return false
  const { index, operand, stored } = next
  const sum = readFloats(stored).map((value, i) => value + (correction[i] as number))
  const name = edit.fresh(`${view.output}:bias`)
  edit.setInput(index, operand, edit.add(makeFloats(name, stored.dataType, dimsOf(stored), sum)))
  return true
}

/** What an Add behind a MatMul adds to each of its outputs, (neurons); zeros without such an Add. */
export function readBiasBehind(graph: GraphIndex, tensor: string, neurons: number): Float64Array {
  const next = nextAdd(graph, tensor, neurons)
  return next === null ? new Float64Array(neurons) : Float64Array.from(readFloats(next.stored))
}

/** The Add of one constant per neuron that alone reads a tensor. */
function nextAdd(
  graph: GraphIndex,
  tensor: string,
  neurons: number,
): { readonly index: number; readonly operand: number; readonly stored: TensorProto } | null {
  const readers = graph.consumers(tensor)
  if (graph.isOutput(tensor) || readers.length !== 1) return null
  const index = readers[0] as number
  const add = graph.nodes[index] as NodeProto
  if (add.opType !== 'Add' || !isDefaultDomain(add.domain)) return null
  const operand = add.input[0] === tensor ? 1 : 0
  const stored = graph.constant(add.input[operand] ?? '')
  if (stored === undefined || !isFloatType(stored.dataType)) return null
  const dims = dimsOf(stored)
  const perNeuron = dims.length > 0 && sizeOf(dims) === neurons && dims.at(-1) === neurons
  return perNeuron ? { index, operand, stored } : null
}
