/**
 * Writes a layer that runs on integers, in the form that ONNX Runtime replaces by an integer kernel. The weight is int8 with a
 * scale per neuron: packed digits that are unpacked into int8 at load, or an int8 initializer (format qdq).
 *
 *   static    t → Q → DQ ─┐
 *             int8 → DQ ──┼→ Conv, Gemm or MatMul → Relu → Q → DQ      becomes QLinearConv, QGemm, QLinearMatMul
 *             int32 → DQ ─┘
 *   dynamic   t → DynamicQuantizeLinear → MatMulInteger(int8) → Cast → Mul      becomes DynamicQuantizeMatMul, or
 *                                                                      MatMulIntegerToFloat where layers share t
 *
 * Biases are int32 in units of activation scale · weight scale, so that they are added to the sums of products.
 */
import type { NodeProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { typeError } from '../../checks.js'
import { floatAttribute, intAttr } from '../attributes.js'
import { addToBias, readBias, readBiasBehind } from '../bias.js'
import { type GraphEdit, makeNode } from '../edit.js'
import { unpackIntegers } from '../formats/packed.js'
import { signedCodes, type WeightWriter } from '../formats/weightWriter.js'
import type { Format, QuantizedWeight } from '../layer.js'
import { shallowCopy } from '../model.js'
import { makeFloats, makeTensor } from '../tensor.js'
import { firstNode, type WeightView } from '../weightView.js'
import { quantizerNames, quantizerOf, SHORT } from './activationWriter.js'
import type { Integers } from './integers.js'
import { leastScales, withLeastScales } from './scalesForBias.js'

/** A layer to write on integers. */
export interface IntegerLayer {
  /** Its nodes; all read the weight in the same way. */
  readonly views: readonly WeightView[]
  readonly quantized: QuantizedWeight
  readonly format: Format
  /** Added to the layer's outputs, (groups·neurons). */
  readonly correction: Float32Array | undefined
}

/** Writes a layer with static ranges. @returns the nodes that replace the weight */
export function writeStatic(
  writer: WeightWriter,
  { views, quantized, format, correction }: IntegerLayer,
  integers: Integers,
): readonly NodeProto[] {
  const { edit } = writer
  const uses = views.map((view) => ({
    view,
    quantizer: quantizerOf(integers, view.input),
    bias: correctedBias(edit, view, correction),
  }))
  const node = edit.node(views[0]!.node)
  const alpha = node.opType === 'Gemm' ? floatAttribute(node, 'alpha', 1) : 1
  const scaled = { ...quantized, scales: quantized.scales.map((scale) => scale * alpha) }
  const weight = withLeastScales(scaled, writer.view, leastScales(uses))
  const scales = integerScales(weight)
  const perNeuron = scales.some((scale) => scale !== scales[0])
  const scale = writer.constant(
    makeFloats(
      edit.temporary(SHORT),
      DataType.FLOAT,
      perNeuron ? [scales.length] : [],
      perNeuron ? scales : scales.slice(0, 1),
    ),
  )
  // ONNX Runtime makes a QGemm only of weights with a zero point, and a Gemm of a MatMul with a bias.
  const zeroPoint = node.opType !== 'Conv' ? [zeros(edit, perNeuron ? scales.length : null)] : []
  const axis = perNeuron ? [intAttr('axis', writer.neuronsFirst ? 0 : writer.dims.length - 1)] : []
  const values = writer.emit(
    'DequantizeLinear',
    [emitIntegers(writer, weight, format), scale, ...zeroPoint],
    axis,
  )
  for (const { view, quantizer, bias } of uses) {
    edit.setInput(view.node, view.operand, values)
    if (view.op === 'MatMul') {
      // The Add stays. ONNX Runtime may make a Gemm of both, and then it stores the bias as int32 in the same units.
      if (correction !== undefined) addToBias(edit, view, correction)
      continue
    }
    let name: string | undefined
    if (bias.some((value) => value !== 0)) {
      const unit = scales.map((weightScale) => quantizer.scale * weightScale)
      const whole = Int32Array.from(bias, (value, k) => Math.round(value / unit[perNeuron ? k : 0]!))
      const stored = edit.add(makeTensor(edit.temporary(SHORT), DataType.INT32, [whole.length], whole))
      // The product is computed at load: it takes fewer bytes as a node than as one float a neuron.
      const units = writer.emit('Mul', [scale, quantizerNames(edit, quantizer).scale])
      name = writer.emit('DequantizeLinear', [stored, units], perNeuron ? [intAttr('axis', 0)] : [])
    }
    setBiasInput(edit, view.node, name)
  }
  edit.insertBefore(firstNode(views), writer.nodes)
  return writer.nodes
}

/** The bias of a node with the correction added, that of a MatMul from the Add behind it; (groups·neurons). */
function correctedBias(
  { graph }: GraphEdit,
  view: WeightView,
  correction: Float32Array | undefined,
): Float64Array {
  const neurons = view.groups * view.neurons
  const bias =
    view.op === 'MatMul'
      ? readBiasBehind(graph, view.output, neurons)
      : readBias(graph, graph.nodes[view.node]!, neurons)
  if (bias === null)
    throw typeError({
      place: `layer '${graph.names[view.node]}'`,
      problem: 'its bias is not one constant per neuron',
    })
  // float32, as the quantized stream of calibration adds it
  return bias.map((value, k) => (correction === undefined ? value : Math.fround(value + correction[k]!)))
}

/** Lets a Conv or Gemm read this bias, or none; alpha and beta of a Gemm become 1. */
function setBiasInput(edit: GraphEdit, index: number, bias: string | undefined): void {
  const node = shallowCopy(edit.node(index))
  node.input = [...node.input.slice(0, 2), ...(bias === undefined ? [] : [bias])]
  node.attribute = node.attribute.filter(({ name }) => name !== 'alpha' && name !== 'beta')
  edit.replace(index, node)
}

/** The tensors that a DynamicQuantizeLinear makes of one tensor. */
interface DynamicInput {
  readonly codes: string
  readonly scale: string
  readonly zeroPoint: string
}

/**
 * Quantizes each tensor that dynamic layers read once, in front of the first of their nodes.
 * @param views of all dynamic layers
 * @returns by the name of the tensor
 */
export function quantizeDynamically(
  edit: GraphEdit,
  views: readonly WeightView[],
): ReadonlyMap<string, DynamicInput> {
  const inputs = new Map<string, DynamicInput>()
  for (const { node, operand } of [...views].sort((a, b) => a.node - b.node)) {
    const tensor = edit.node(node).input[1 - operand] ?? ''
    if (inputs.has(tensor)) continue
    const [codes, scale, zeroPoint] = [edit.temporary(SHORT), edit.temporary(SHORT), edit.temporary(SHORT)]
    const quantize = makeNode('DynamicQuantizeLinear', [tensor], codes)
    quantize.output = [codes, scale, zeroPoint]
    edit.insertBefore(node, [quantize])
    inputs.set(tensor, { codes, scale, zeroPoint })
  }
  return inputs
}

/** Writes a MatMul whose input is quantized by the range at hand. @returns the nodes that replace the weight and the MatMul */
export function writeDynamic(
  writer: WeightWriter,
  { views, quantized, format, correction }: IntegerLayer,
  inputs: ReadonlyMap<string, DynamicInput>,
): readonly NodeProto[] {
  const { edit } = writer
  if (correction !== undefined) for (const view of views) addToBias(edit, view, correction)
  const weight = emitIntegers(writer, quantized, format)
  // One scale per neuron even if all are equal. If two layers on one tensor had the same scalar, ONNX Runtime would merge the
  // products of the scales first, and then no longer find its pattern.
  const scales = integerScales(quantized)
  const scale = writer.constant(makeFloats(edit.temporary(SHORT), DataType.FLOAT, [scales.length], scales))
  edit.insertBefore(firstNode(views), writer.nodes)
  const emitted = [...writer.nodes]
  for (const view of views) {
    const node = shallowCopy(edit.node(view.node))
    const input = inputs.get(node.input[1 - view.operand] ?? '')!
    const [sums, floats, factor] = [edit.temporary(SHORT), edit.temporary(SHORT), edit.temporary(SHORT)]
    const output = node.output[0] ?? ''
    node.name = edit.graph.names[view.node]!
    node.opType = 'MatMulInteger'
    node.input = [input.codes, weight, input.zeroPoint]
    node.output = [sums]
    edit.replace(view.node, node)
    const behind = [
      makeNode('Cast', [sums], floats, [intAttr('to', DataType.FLOAT)]),
      makeNode('Mul', [input.scale, scale], factor),
      makeNode('Mul', [floats, factor], output),
    ]
    edit.insertAfter(view.node, behind)
    emitted.push(...behind)
  }
  return emitted
}

/** The weight as an int8 tensor in the layout of its nodes. */
function emitIntegers(writer: WeightWriter, weight: QuantizedWeight, format: Format): string {
  if (format === 'packed') return unpackIntegers(writer, weight)
  const signed = Int8Array.from(writer.codes(weight), signedCodes(weight.levels).of)
  return writer.constant(makeTensor(writer.name('int8'), DataType.INT8, writer.dims, signed))
}

/** Scales of the int8 values, (groups·neurons). */
function integerScales({ levels, scales }: QuantizedWeight): Float32Array {
  const { factor } = signedCodes(levels)
  return scales.map((scale) => scale * factor)
}

/** Zero points of int8 weights: one, or one for each of so many neurons. */
function zeros(edit: GraphEdit, neurons: number | null): string {
  const dims = neurons === null ? [] : [neurons]
  return edit.shared(
    `int8 zeros:${dims}`,
    (name) => makeTensor(name, DataType.INT8, dims, new Int8Array(neurons ?? 1)),
    SHORT,
  )
}
