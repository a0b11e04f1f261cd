/**
 * The quantized model: every layer's weight replaced by one of the output forms, at the nodes that use it. Other
 * readers of the same initializer keep the original; what nobody reads any more is dropped. Everything else of
 * the file is passed on by reference, unknown fields included, and the input model is not touched.
 *
 * A weight is emitted once, in the layout of its first node; nodes that want another shape or orientation get it
 * from there by Reshape and Transpose. Chains that led from the old initializer to the node are left out: the
 * values are written the way the node reads them.
 */
import { create, toBinary } from '@bufbuild/protobuf'
import { type ModelProto, NodeProtoSchema, StringStringEntryProtoSchema, TensorProtoSchema } from 'onnx-buf'
import { intsAttr } from './attributes.js'
import { addToBias } from './bias.js'
import { GraphEdit } from './edit.js'
import { emitFloat } from './formats/float.js'
import { emitNBits, planNBits } from './formats/nbits.js'
import { emitPacked } from './formats/packed.js'
import { emitQdq, planQdq } from './formats/qdq.js'
import { type Emitted, WeightWriter } from './formats/weightWriter.js'
import { type GraphIndex, indexGraph } from './graph.js'
import type { Format, Layer, QuantizedWeight } from './layer.js'
import { viewsOf } from './layers.js'
import { opsetOf, shallowCopy, withOpset } from './model.js'
import { raiseOpset } from './opset.js'
import type { WeightView } from './weightView.js'

export interface QuantizedEntry {
  readonly layer: Layer
  readonly quantized: QuantizedWeight
  readonly format: Format
}

export interface WrittenModel {
  readonly model: ModelProto
  /** Bytes of nodes and constants that stand for each layer's weight, by layer name. */
  readonly bytes: ReadonlyMap<string, number>
}

/**
 * Writes the entries into a new model. `biasCorrections`: layer name → values to add to the layer's outputs,
 * (groups·neurons). `info` goes into the metadata under the key `gpfq`. Throws RangeError for a format that
 * `formatsFor` says is not possible.
 */
export function writeQuantized(
  model: ModelProto,
  entries: readonly QuantizedEntry[],
  biasCorrections: ReadonlyMap<string, Float32Array> = new Map(),
  info = '',
): WrittenModel {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  const plans = entries.map((entry) => ({
    ...entry,
    qdq: entry.format === 'qdq' ? qdqPlan(graph, entry) : null,
  }))
  const opset = Math.max(opsetOf(model), ...plans.map(({ qdq }) => qdq?.opset ?? 0))
  const bytes = new Map<string, number>()
  for (const { layer, quantized, format, qdq } of plans) {
    checkShapes(layer, quantized)
    if (quantized.values !== undefined && format !== 'float')
      throw impossible(layer, format, 'its values are reals; float holds them')
    const views = viewsOf(graph, layer)
    const correction = biasCorrections.get(layer.name)
    if (correction !== undefined) for (const view of views) addToBias(edit, view, correction)
    const writer = new WeightWriter(edit, opset, views[0]!)
    if (format === 'nbits') {
      const plan = planNBits(views, (index) => edit.node(index), quantized.levels, quantized.blockSize)
      if (typeof plan === 'string') throw impossible(layer, format, plan)
      bytes.set(layer.name, bytesOf(emitNBits(writer, views, quantized, plan)))
      continue
    }
    const emitted =
      qdq !== null
        ? emitQdq(writer, quantized, qdq)
        : format === 'packed'
          ? emitPacked(writer, quantized)
          : emitFloat(writer, quantized)
    rewire(writer, views, emitted)
    bytes.set(layer.name, bytesOf({ ...emitted, nodes: writer.nodes }))
  }
  let written = raiseOpset(edit.finish(), opset)
  if (entries.some(({ format }) => format === 'nbits') && !imports(written, 'com.microsoft'))
    written = withOpset(written, 'com.microsoft', 1)
  return { model: info === '' ? written : withMetadata(written, info), bytes }
}

/** Lets every use of the layer read the emitted tensor, in the use's own shape. */
function rewire(writer: WeightWriter, views: readonly WeightView[], emitted: Emitted): void {
  const { edit } = writer
  const byForm = new Map<string, string>([[formOf(views[0]!), emitted.output]])
  for (const view of views) {
    const form = formOf(view)
    let tensor = byForm.get(form)
    if (tensor === undefined) {
      tensor = reformed(writer, emitted.output, view)
      byForm.set(form, tensor)
    }
    edit.setInput(view.node, view.operand, tensor)
  }
  if (writer.nodes.length > 0) edit.insertBefore(Math.min(...views.map(({ node }) => node)), writer.nodes)
}

function formOf({ layout, chain: { dims, elemType } }: WeightView): string {
  return `${layout} ${dims} ${elemType}`
}

/** The emitted tensor in the shape, orientation and element type of another view; more nodes for the writer. */
function reformed(writer: WeightWriter, emitted: string, to: WeightView): string {
  let tensor = emitted
  const { dims, elemType } = to.chain
  const turned = (to.layout === 'neurons-first') !== writer.neuronsFirst
  if (turned) {
    if (writer.dims.length !== 2)
      tensor = writer.reshape(
        tensor,
        writer.neuronsFirst ? [writer.neurons, writer.inputs] : [writer.inputs, writer.neurons],
      )
    tensor = writer.emit('Transpose', [tensor], [intsAttr('perm', [1, 0])])
  }
  if (turned ? dims.length !== 2 : dims.join() !== writer.dims.join()) tensor = writer.reshape(tensor, dims)
  return elemType === writer.elemType ? tensor : writer.cast(tensor, elemType)
}

function qdqPlan(graph: GraphIndex, { layer, quantized }: QuantizedEntry) {
  const plan = planQdq(graph.model, viewsOf(graph, layer), quantized.levels, quantized.blockSize)
  if (typeof plan === 'string') throw impossible(layer, 'qdq', plan)
  return plan
}

function bytesOf({ nodes, constants }: Emitted): number {
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
    if (got !== expected) throw new RangeError(`${what} of '${name}': expected ${expected}, got ${got}`)
  }
  if (!(blockSize >= 1)) throw new RangeError(`blockSize of '${name}': expected at least 1, got ${blockSize}`)
  if (values === undefined) expect('codes', groups * inputs * neurons, codes.length)
  else expect('values', groups * inputs * neurons, values.length)
  expect('scales', groups * Math.ceil(inputs / blockSize) * neurons, scales.length)
  const largest = codes.reduce((max, code) => Math.max(max, code), 0)
  if (largest >= levels)
    throw new RangeError(`codes of '${name}': expected at most ${levels - 1}, got ${largest}`)
}

function impossible({ name }: Layer, format: Format, reason: string): RangeError {
  return new RangeError(`format of '${name}': expected one that is possible, got '${format}': ${reason}`)
}

function imports(model: ModelProto, domain: string): boolean {
  return model.opsetImport.some((entry) => entry.domain === domain)
}

function withMetadata(model: ModelProto, info: string): ModelProto {
  const entry = create(StringStringEntryProtoSchema, { key: 'gpfq', value: info })
  const copy = shallowCopy(model)
  copy.metadataProps = [...model.metadataProps.filter(({ key }) => key !== 'gpfq'), entry]
  return copy
}
