/**
 * Whether a layer runs on integers: first whether it can, then whether that pays. It can if ONNX Runtime has a kernel for it
 * and the written form becomes that kernel. Whether it pays is read from one table (costTable.ts) by shape; nothing is timed.
 */
import type { ModelProto, ValueInfoProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { floatAttribute } from '../attributes.js'
import { hasPlainBias } from '../bias.js'
import { signedCodes } from '../formats/weightWriter.js'
import type { GraphIndex } from '../graph.js'
import type { Format, Layer } from '../layer.js'
import { viewsOf } from '../layers.js'
import { graphOf, opsetOf } from '../model.js'
import { whyNotRaise } from '../opset.js'
import { typeName } from '../tensor.js'
import type { WeightView } from '../weightView.js'
import { layerResult, quantizedSource } from './chains.js'
import { gainOf, type LayerKind } from './costTable.js'
import { INTEGER_OPSETS, type RangeKind } from './integers.js'

/** What a caller asks for: `auto` goes by the cost table. */
export type AskedKernel = 'auto' | 'int8' | 'float'

/** How a layer's weight is quantized and written. */
export interface WeightForm {
  readonly levels: number
  /** Inputs of a neuron that share a scale. */
  readonly blockSize: number
  readonly format: Format
}

/** The kernel of a layer. */
export interface KernelChoice {
  readonly kernel: 'int8' | 'float'
  /** null for float. */
  readonly ranges: RangeKind | null
  /** Why; text for people. */
  readonly reason: string
}

/** Taps of a wide kernel: 7×7. */
const WIDE_TAPS = 49

/** Codes must fit into int8. */
const LARGEST_BOUND = 127

/** The kernel for a layer, and why. */
export function chooseKernel(
  graph: GraphIndex,
  layer: Layer,
  form: WeightForm,
  asked: AskedKernel,
): KernelChoice {
  const float = (reason: string): KernelChoice => ({ kernel: 'float', ranges: null, reason })
  if (asked === 'float') return float('asked for float')
  const views = viewsOf(graph, layer)
  const ranges: RangeKind = layer.op === 'MatMul' && form.format !== 'qdq' ? 'dynamic' : 'static'
  const obstacle = whyNotInteger(graph, views, form, ranges)
  if (obstacle !== null) return float(asked === 'int8' ? `asked for int8, but ${obstacle}` : obstacle)
  if (asked === 'int8') return { kernel: 'int8', ranges, reason: 'asked for int8' }
  const { pays, reason } = whetherItPays(graph, layer, views, ranges)
  return pays ? { kernel: 'int8', ranges, reason } : float(reason)
}

/** Why a layer cannot run on integers; null if it can. */
function whyNotInteger(
  graph: GraphIndex,
  views: readonly WeightView[],
  { levels, blockSize, format }: WeightForm,
  ranges: RangeKind,
): string | null {
  const first = views[0]!
  if (format === 'float' || format === 'nbits') return `format ${format} has no integer kernel`
  if (signedCodes(levels).bound > LARGEST_BOUND) return `${levels} levels do not fit into int8`
  if (blockSize < first.inputs) return `its scales belong to blocks of ${blockSize} inputs`
  for (const view of views) {
    const obstacle = whyNotAtNode(graph, view, ranges)
    if (obstacle !== null) return obstacle
  }
  const layout = ({ op, node, operand, layout: order, chain }: WeightView) =>
    `${op} ${operand} ${order} ${chain.dims} ${op === 'Gemm' ? floatAttribute(graph.nodes[node]!, 'alpha', 1) : 1}`
  if (views.some((view) => layout(view) !== layout(first)))
    return 'its nodes read the weight in different ways'
  const obstacle = whyNotOpset(graph.model, INTEGER_OPSETS[ranges])
  return obstacle === null ? null : `integers need opset ${INTEGER_OPSETS[ranges]}, and ${obstacle}`
}

const whyNotOpset = (model: ModelProto, opset: number): string | null =>
  opsetOf(model) >= opset ? null : whyNotRaise(model, opset)

function whyNotAtNode(graph: GraphIndex, view: WeightView, ranges: RangeKind): string | null {
  const node = graph.nodes[view.node]!
  const { elemType, dims } = view.chain
  if (elemType !== DataType.FLOAT) return `it computes in ${typeName(elemType)}`
  if (view.sampling.kind === 'columns') return 'its samples are columns'
  if (view.op === 'MatMul' && dims.length !== 2) return `its weight [${dims}] is not a plain matrix`
  if (view.op !== 'MatMul' && !hasPlainBias(graph, node, view.groups * view.neurons))
    return 'its bias is not one constant per neuron'
  if (view.op === 'Gemm' && !(floatAttribute(node, 'alpha', 1) > 0)) return 'its alpha is not above 0'
  if (ranges === 'static' && quantizedSource(graph, view.input) === undefined)
    return `a subgraph reads the model's input '${view.input}' too`
  return null
}

/** The cost table's answer. */
function whetherItPays(
  graph: GraphIndex,
  layer: Layer,
  views: readonly WeightView[],
  ranges: RangeKind,
): { pays: boolean; reason: string } {
  const no = (reason: string) => ({ pays: false, reason })
  if (
    ranges === 'static' &&
    layer.uses.some(({ output }) => graph.isOutput(layerResult(graph, layer.op, output)))
  )
    return no('its output is an output of the model')
  if (
    layer.op === 'Gemm' ||
    layer.uses.some(({ input }) => (rankOf(graph, input) ?? 3) < 3 && layer.op === 'MatMul')
  )
    return no('one row a sample: integer kernels are slower')
  const { kind, size, words, unit } = shapeOf(layer, views[0]!)
  if (kind === 'grouped') return no(`${words}: integer kernels are slower`)
  const { worthwhile, speed, from } = gainOf(kind, size)
  if (worthwhile)
    return { pays: true, reason: `integer ${words} are ${speed} times as fast with ${size} ${unit}` }
  return no(`integer ${words} pay from ${from} ${unit} on; it has ${size}`)
}

/** Whether a layer is worth it on integers if it can run on them and stands between layers that do: a convolution, by shape. */
export function paysBetween(graph: GraphIndex, layer: Layer): boolean {
  if (layer.op !== 'Conv') return false
  const { kind, size } = shapeOf(layer, viewsOf(graph, layer)[0]!)
  return gainOf(kind, size).worthwhileBetween
}

interface CostedShape {
  readonly kind: LayerKind
  readonly size: number
  readonly words: string
  readonly unit: string
}

function shapeOf({ op, groups, inputs }: Layer, { chain, neurons }: WeightView): CostedShape {
  if (op !== 'Conv') return { kind: 'matmul', size: inputs, words: 'matrix products', unit: 'inputs' }
  const kernel = chain.dims.slice(2)
  const taps = kernel.reduce((product, length) => product * length, 1)
  const unit = 'input channels'
  const size = inputs / taps
  if (groups > 1)
    return {
      kind: 'grouped',
      size,
      words: size === 1 && neurons === 1 ? 'depthwise' : `${groups} groups`,
      unit,
    }
  return {
    kind: taps >= WIDE_TAPS ? 'wide kernel' : taps > 1 ? 'convolution' : 'pointwise',
    size,
    words: `convolutions of ${kernel.join('×')}`,
    unit,
  }
}

const ranks = new WeakMap<GraphIndex, ReadonlyMap<string, number>>()

/** The number of axes of a tensor, if the file declares it. */
function rankOf(graph: GraphIndex, tensor: string): number | undefined {
  let known = ranks.get(graph)
  if (known === undefined) {
    const { input, valueInfo } = graphOf(graph.model)
    known = new Map([...input, ...valueInfo].flatMap(declaredRank))
    ranks.set(graph, known)
  }
  return known.get(tensor)
}

function declaredRank({ name, type }: ValueInfoProto): [string, number][] {
  const shape = type?.value.case === 'tensorType' ? type.value.value.shape : undefined
  return shape === undefined ? [] : [[name, shape.dim.length]]
}
