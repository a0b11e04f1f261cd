/**
 * Writes the quantized model: each layer's weight is replaced by nodes and constants of one of the output formats. Other
 * readers of the same initializer keep the original, and constants without a reader are dropped. Everything else in the
 * file is kept by reference, unknown fields included; the input model is not changed.
 *
 * A weight is emitted once, in the layout of its first node. Nodes that read it in another shape or orientation get it by
 * Reshape and Transpose. The values are written as the node reads them, without the chain that led to the old initializer.
 * A weight that also nodes without samples read is written where it is stored, in the graph or in a body, under its own name.
 */
import { create, toBinary } from '@bufbuild/protobuf'
import { type ModelProto, NodeProtoSchema, StringStringEntryProtoSchema, TensorProtoSchema } from 'onnx-buf'
import { rangeError } from '../checks.js'
import { SHORT, writeQuantizers } from './activations/activationWriter.js'
import { quantizeDynamically, writeDynamic, writeStatic } from './activations/integerLayer.js'
import { INTEGER_OPSETS, type Integers, NO_INTEGERS, type RangeKind } from './activations/integers.js'
import { intsAttr } from './attributes.js'
import { addToBias } from './bias.js'
import { GraphEdit } from './edit.js'
import { emitFloat } from './formats/float.js'
import { emitNBits, NO_NBITS, planNBits } from './formats/nbits.js'
import { emitPacked } from './formats/packed.js'
import { emitQdq, planQdq } from './formats/qdq.js'
import { type Emitted, WeightWriter } from './formats/weightWriter.js'
import { type GraphIndex, indexGraph } from './graph.js'
import type { Format, Layer, QuantizedWeight } from './layer.js'
import { allViewsOf, homeOf, viewsOf } from './layers.js'
import { opsetOf, shallowCopy, withOpset } from './model.js'
import { raiseOpset } from './opset.js'
import { METADATA_KEY } from './quantizedAlready.js'
import { emitStored, type Replacement, replaceStored } from './storedWeights.js'
import { firstNode, type WeightView } from './weightView.js'

/** A layer, its quantized weight, and the format to write it in. */
export interface QuantizedEntry {
  readonly layer: Layer
  readonly quantized: QuantizedWeight
  readonly format: Format
}

/** The written model and what its layers cost. */
export interface WrittenModel {
  readonly model: ModelProto
  /** Bytes of the nodes and constants that replace each layer's weight, by layer name. */
  readonly bytes: ReadonlyMap<string, number>
}

/**
 * Writes the entries into a new model.
 * @param biasCorrections layer name → values to add to the layer's outputs, (groups·neurons)
 * @param info metadata to write under METADATA_KEY; none if empty
 * @param integers what runs on integers; nothing by default
 * @throws {RangeError} for a format that is not possible (see `formatsFor`), or for values that do not fit the layer
 */
export function writeQuantized(
  model: ModelProto,
  entries: readonly QuantizedEntry[],
  biasCorrections: ReadonlyMap<string, Float32Array> = new Map(),
  info = '',
  integers: Integers = { plan: NO_INTEGERS, quantizers: new Map() },
): WrittenModel {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  const plans = entries.map((entry) => {
    const ranges = integers.plan.layers.get(entry.layer.name)
    return {
      ...entry,
      ranges,
      qdq: entry.format === 'qdq' && ranges === undefined ? qdqPlan(graph, entry) : null,
    }
  })
  const opset = plans
    .map(({ qdq, ranges }) => qdq?.opset ?? (ranges === undefined ? 0 : INTEGER_OPSETS[ranges]))
    .reduce((most, needed) => Math.max(most, needed), opsetOf(model))
  const viewsWith = (kind: RangeKind) =>
    plans.flatMap(({ layer, ranges }) => (ranges === kind ? viewsOf(graph, layer) : []))
  writeQuantizers(edit, integers, new Set(viewsWith('static').map(({ node }) => node)))
  const dynamicInputs = quantizeDynamically(edit, viewsWith('dynamic'))
  const bytes = new Map<string, number>()
  const stored: Replacement[] = []
  for (const { layer, quantized, format, qdq, ranges } of plans) {
    checkShapes(layer, quantized)
    if (quantized.values !== undefined && format !== 'float')
      throw impossible(layer, format, 'its values are reals; float holds them')
    const views = viewsOf(graph, layer)
    const first = allViewsOf(graph, layer)[0]!
    const home = homeOf(graph, layer)
    const correction = biasCorrections.get(layer.name)
    const short = ranges === undefined ? undefined : SHORT
    const writer = new WeightWriter(edit, opset, first, short, home.graph > 0)
    if (ranges !== undefined) {
      if (format !== 'packed' && format !== 'qdq')
        throw impossible(layer, format, 'a layer on integers is packed or qdq')
      const whole = { views, quantized, format, correction }
      const nodes =
        ranges === 'static'
          ? writeStatic(writer, whole, integers)
          : writeDynamic(writer, whole, dynamicInputs)
      bytes.set(layer.name, bytesOf({ nodes, constants: writer.constants }))
      continue
    }
    if (correction !== undefined) for (const view of views) addToBias(edit, view, correction)
    if (format === 'nbits') {
      if (layer.unsampled.length > 0) throw impossible(layer, format, NO_NBITS)
      const plan = planNBits(views, (index) => edit.node(index), quantized.levels, quantized.blockSize)
      if (typeof plan === 'string') throw impossible(layer, format, plan)
      bytes.set(layer.name, bytesOf(emitNBits(writer, views, quantized, plan)))
      continue
    }
    const emitted =
      qdq !== null
        ? emitQdq(writer, views, quantized, qdq)
        : format === 'packed'
          ? emitPacked(writer, quantized)
          : emitFloat(writer, quantized)
    if (layer.unsampled.length === 0) rewire(writer, views, emitted)
    else {
      emitStored(writer, first.chain, emitted.output, home.name)
      stored.push({ home, nodes: writer.nodes, constants: writer.constants })
    }
    bytes.set(layer.name, bytesOf({ ...emitted, nodes: writer.nodes }))
  }
  replaceStored(edit, stored)
  let written = raiseOpset(edit.finish(), opset)
  if (entries.some(({ format }) => format === 'nbits') && !imports(written, 'com.microsoft'))
    written = withOpset(written, 'com.microsoft', 1)
  return { model: info === '' ? written : withMetadata(written, info), bytes }
}

/** Lets every node of the layer read the emitted tensor, in the layout that the node expects. */
function rewire(writer: WeightWriter, views: readonly WeightView[], emitted: Emitted): void {
  const { edit } = writer
  const byLayout = new Map<string, string>([[layoutKey(views[0]!), emitted.output]])
  for (const view of views) {
    const key = layoutKey(view)
    let tensor = byLayout.get(key)
    if (tensor === undefined) {
      tensor = inLayoutOf(view, emitted.output, writer)
      byLayout.set(key, tensor)
    }
    edit.setInput(view.node, view.operand, tensor)
  }
  if (writer.nodes.length > 0) edit.insertBefore(firstNode(views), writer.nodes)
}

function layoutKey({ layout, chain: { dims, elemType } }: WeightView): string {
  return `${layout} ${dims} ${elemType}`
}

/** The emitted tensor in the shape, orientation and element type of another view; its nodes are added to the writer. */
function inLayoutOf(view: WeightView, emitted: string, writer: WeightWriter): string {
  let tensor = emitted
  const { dims, elemType } = view.chain
  const transposed = (view.layout === 'neurons-first') !== writer.neuronsFirst
  if (transposed) {
    if (writer.dims.length !== 2)
      tensor = writer.reshape(
        tensor,
        writer.neuronsFirst ? [writer.neurons, writer.inputs] : [writer.inputs, writer.neurons],
      )
    tensor = writer.emit('Transpose', [tensor], [intsAttr('perm', [1, 0])])
  }
  if (transposed ? dims.length !== 2 : dims.join() !== writer.dims.join())
    tensor = writer.reshape(tensor, dims)
  return elemType === writer.elemType ? tensor : writer.cast(tensor, elemType)
}

function qdqPlan(graph: GraphIndex, { layer, quantized }: QuantizedEntry) {
  const plan = planQdq(graph.model, allViewsOf(graph, layer), quantized.levels, quantized.blockSize)
  if (typeof plan === 'string') throw impossible(layer, 'qdq', plan)
  return plan
}

function bytesOf({ nodes, constants }: Pick<Emitted, 'nodes' | 'constants'>): number {
  const sum = (lengths: number[]) => lengths.reduce((total, length) => total + length, 0)
  return (
    sum(nodes.map((node) => toBinary(NodeProtoSchema, node).length)) +
    sum(constants.map((tensor) => toBinary(TensorProtoSchema, tensor).length))
  )
}

function checkShapes(
  { name, groups, inputs, neurons }: Layer,
  { codes, scales, blockSize, levels, values }: QuantizedWeight,
) {
  const expect = (what: string, expected: number, got: number) => {
    if (got !== expected) throw rangeError(`${what} of '${name}'`, String(expected), got)
  }
  if (!(blockSize >= 1)) throw rangeError(`blockSize of '${name}'`, 'at least 1', blockSize)
  if (values === undefined) expect('codes', groups * inputs * neurons, codes.length)
  else expect('values', groups * inputs * neurons, values.length)
  expect('scales', groups * Math.ceil(inputs / blockSize) * neurons, scales.length)
  const largest = codes.reduce((max, code) => Math.max(max, code), 0)
  if (largest >= levels) throw rangeError(`codes of '${name}'`, `at most ${levels - 1}`, largest)
}

function impossible({ name }: Layer, format: Format, reason: string): RangeError {
  return rangeError(`format of '${name}'`, 'one that is possible', `'${format}': ${reason}`)
}

function imports(model: ModelProto, domain: string): boolean {
  return model.opsetImport.some((entry) => entry.domain === domain)
}

function withMetadata(model: ModelProto, info: string): ModelProto {
  const entry = create(StringStringEntryProtoSchema, { key: METADATA_KEY, value: info })
  const copy = shallowCopy(model)
  copy.metadataProps = [...model.metadataProps.filter(({ key }) => key !== METADATA_KEY), entry]
  return copy
}
