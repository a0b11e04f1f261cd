/**
 * Float tensors that nodes compute from stored ones by picking, joining and rearranging their values: what exporters put between
 * a weight and its node where one layer's weight is a part of a tensor, or several of them. Sizes are known before values are
 * copied: no tensor has more values than the file holds, and all together a few times as many. Not followed are empty tensors,
 * and float64, which is read as float32.
 */
import { create } from '@bufbuild/protobuf'
import { TensorProto_DataType as DataType, type NodeProto, TensorProtoSchema } from 'onnx-buf'
import { intAttribute, intsAttribute } from './attributes.js'
import { applyChain, behindLink, copyStrided, isLink, MOST_AXES, stridesOf } from './chain.js'
import type { GraphIndex } from './graph.js'
import { isDefaultDomain } from './model.js'
import { countOf, dimsOf, isFloatType, readFloats, readInts, sizeOf } from './tensor.js'

export interface FloatValues {
  readonly values: Float32Array
  readonly dims: readonly number[]
  readonly elemType: number
}

type Pick = (
  graph: GraphIndex,
  node: NodeProto,
  inputs: readonly FloatValues[],
  /** Values that an output may have. */
  most: number,
) => readonly (FloatValues | null)[] | null

/** Operators that pick and join, beside the links of a chain. They give one value an output, null where they cannot be followed. */
const PICKS: ReadonlyMap<string, Pick> = new Map<string, Pick>([
  ['Dropout', (graph, node, [data]) => (isInference(graph, node) ? [data!] : null)],
  ['Concat', (_, node, inputs, most) => [concat(inputs, intAttribute(node, 'axis', 0), most)]],
  ['Gather', (graph, node, [data], most) => [gather(graph, node, data!, most)]],
  ['Slice', (graph, node, [data]) => [slice(graph, node, data!)]],
  ['Split', (graph, node, [data]) => split(graph, node, data!)],
])

const isPick = ({ domain, opType }: NodeProto): boolean => isDefaultDomain(domain) && PICKS.has(opType)

/** Whether a tensor is made by an operator that picks or joins. */
export function isPicked(graph: GraphIndex, tensor: string): boolean {
  const producer = graph.producer(tensor)
  return producer !== undefined && isPick(graph.nodes[producer]!)
}

/** The tensors that a node reads as float values; the others say what it does with them. */
const operandsOf = ({ opType, input }: NodeProto): readonly string[] =>
  opType === 'Concat' ? input : input.slice(0, 1)

/** Computes tensors of a graph, each node once. */
export class ConstantValues {
  readonly #graph: GraphIndex
  readonly #known = new Map<string, FloatValues | null>()
  /** Values of a tensor at most, and of all that may still be computed. */
  readonly #most: number
  #left: number
  /** Inputs of nodes that may still be followed in search of sources. */
  #visits: number

  /** @param most values that the file holds */
  constructor(graph: GraphIndex, most: number) {
    this.#graph = graph
    this.#most = most
    this.#left = 4 * most
    this.#visits = 16 * graph.nodes.reduce((sum, { input }) => sum + input.length, 1)
  }

  /** The values of a tensor; null where they do not follow from stored ones in this way. */
  of(tensor: string): FloatValues | null {
    const open = [tensor]
    for (let name = open.at(-1); name !== undefined; name = open.at(-1)) {
      if (this.#known.has(name)) {
        open.pop()
        continue
      }
      const producer = this.#graph.producer(name)
      const node = producer === undefined ? undefined : this.#graph.nodes[producer]!
      const missing =
        node === undefined || !(isPick(node) || isLink(node))
          ? []
          : operandsOf(node).filter((operand) => !this.#known.has(operand))
      // A part of a circle would be missing for ever; a graph has none.
      if (missing.length === 0) this.#settle(name, node)
      for (const operand of missing) open.push(operand)
    }
    return this.#known.get(tensor) ?? null
  }

  /** The stored tensors that a tensor is made of, each once. Null if that would take too long for all of a graph. */
  sources(tensor: string): readonly string[] | null {
    const found = new Set<string>()
    const seen = new Set<string>()
    const open = [tensor]
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (--this.#visits < 0) return null
      if (seen.has(name)) continue
      seen.add(name)
      const producer = this.#graph.producer(name)
      const node = producer === undefined ? undefined : this.#graph.nodes[producer]!
      if (node === undefined || node.opType === 'Constant') found.add(name)
      else for (const operand of operandsOf(node).toReversed()) open.push(operand)
    }
    return [...found]
  }

  #settle(name: string, node: NodeProto | undefined): void {
    if (node === undefined || node.opType === 'Constant') {
      this.#known.set(name, this.#stored(name))
      return
    }
    for (const output of node.output) this.#known.set(output, null)
    const inputs = operandsOf(node).map((operand) => this.#known.get(operand) ?? null)
    const complete = inputs.filter((value): value is FloatValues => value !== null)
    if (complete.length < inputs.length || inputs.length === 0) return
    const most = Math.min(this.#most, this.#left)
    if (node.opType !== 'Slice' && node.opType !== 'Gather' && complete[0]!.values.length > most) return
    const made = isLink(node)
      ? [throughLink(this.#graph, node, complete[0]!)]
      : (PICKS.get(node.opType)?.(this.#graph, node, complete, most) ?? [])
    made.forEach((value, i) => {
      const count = value?.values.length ?? 0
      this.#left -= count
      const output = node.output[i] ?? ''
      if (value !== null && count > 0 && this.#left >= 0 && output !== '') this.#known.set(output, value)
    })
  }

  #stored(name: string): FloatValues | null {
    const stored = this.#graph.constant(name)
    if (stored === undefined || !isFloatType(stored.dataType) || stored.dataType === DataType.DOUBLE)
      return null
    const count = countOf(stored)
    if (count === 0 || count > this.#most || stored.dims.length > MOST_AXES) return null
    return { values: readFloats(stored), dims: dimsOf(stored), elemType: stored.dataType }
  }
}

function throughLink(graph: GraphIndex, node: NodeProto, { values, dims, elemType }: FloatValues) {
  const start = { source: '', stored: create(TensorProtoSchema), steps: [], moves: '', reshapes: 0 }
  const chain = behindLink(graph, { ...start, dims, elemType }, node)
  return typeof chain === 'string' || chain.elemType === DataType.DOUBLE
    ? null
    : { values: applyChain(chain, values), dims: chain.dims, elemType: chain.elemType }
}

/** A Dropout whose training mode is off, or not there. */
function isInference(graph: GraphIndex, { input }: NodeProto): boolean {
  const [mode = ''] = input.slice(2)
  if (mode === '') return true
  const stored = graph.constant(mode)
  return stored !== undefined && [...stored.rawData, ...stored.int32Data].every((value) => value === 0)
}

const axisOf = (axis: number, rank: number): number | null =>
  axis >= -rank && axis < rank ? (axis + rank) % rank : null

function concat(inputs: readonly FloatValues[], axis: number, most: number): FloatValues | null {
  const { dims, elemType } = inputs[0]!
  const at = axisOf(axis, dims.length)
  const others = (value: FloatValues): string => value.dims.map((dim, i) => (i === at ? '' : dim)).join()
  const fits = inputs.every(
    (value) =>
      value.dims.length === dims.length &&
      value.elemType === elemType &&
      others(value) === others(inputs[0]!),
  )
  const count = inputs.reduce((sum, { values }) => sum + values.length, 0)
  if (at === null || !fits || count > most) return null
  const total = inputs.reduce((sum, value) => sum + value.dims[at]!, 0)
  const outer = sizeOf(dims.slice(0, at))
  const rows = inputs.map((value) => sizeOf(value.dims.slice(at)))
  const values = new Float32Array(count)
  let to = 0
  for (let i = 0; i < outer; i++)
    for (const [k, value] of inputs.entries()) {
      values.set(value.values.subarray(i * rows[k]!, (i + 1) * rows[k]!), to)
      to += rows[k]!
    }
  return { values, dims: dims.with(at, total), elemType }
}

/** Entries of an axis: `count` from `start` on, every `step`-th. */
interface Range {
  readonly axis: number
  readonly start: number
  readonly step: number
  readonly count: number
}

/** The entries in all of these ranges, of which each has an axis of its own. */
function within({ values, dims, elemType }: FloatValues, ranges: readonly Range[]): FloatValues | null {
  if (ranges.some(({ count }) => count === 0)) return null
  const taken = [...dims]
  const strides = stridesOf(dims)
  let first = 0
  for (const { axis, start, step, count } of ranges) {
    const stride = strides[axis]!
    taken[axis] = count
    strides[axis] = stride * step
    first += start * stride
  }
  const to = new Float32Array(sizeOf(taken))
  return { values: copyStrided(values, { dims: taken, strides, first }, to), dims: taken, elemType }
}

/** Entries of an axis by their numbers, which take the place of the axis in the shape. */
function gather(graph: GraphIndex, node: NodeProto, data: FloatValues, most: number): FloatValues | null {
  const { values, dims, elemType } = data
  const at = axisOf(intAttribute(node, 'axis', 0), dims.length)
  const stored = graph.constant(node.input[1] ?? '')
  if (at === null || stored === undefined) return null
  const [outer, inner, dim] = [sizeOf(dims.slice(0, at)), sizeOf(dims.slice(at + 1)), dims[at]!]
  const count = countOf(stored)
  if (outer * count * inner > most || stored.dims.length + dims.length > MOST_AXES + 1) return null
  const places = readInts(stored).map((place) => (place < 0 ? place + dim : place))
  if (places.some((place) => place < 0 || place >= dim)) return null
  const out = new Float32Array(outer * count * inner)
  for (let i = 0; i < outer; i++)
    for (const [k, place] of places.entries()) {
      const from = (i * dim + place) * inner
      out.set(values.subarray(from, from + inner), (i * count + k) * inner)
    }
  return { values: out, dims: [...dims.slice(0, at), ...dimsOf(stored), ...dims.slice(at + 1)], elemType }
}

function slice(graph: GraphIndex, node: NodeProto, data: FloatValues): FloatValues | null {
  const given = (operand: number, attribute: string): readonly number[] | null | undefined => {
    const name = node.input[operand] ?? ''
    if (name === '') return intsAttribute(node, attribute)
    const stored = graph.constant(name)
    return stored === undefined || countOf(stored) > data.dims.length ? null : readInts(stored)
  }
  const [starts, ends] = [given(1, 'starts'), given(2, 'ends')]
  const axes = given(3, 'axes')
  const steps = given(4, 'steps')
  if (!starts || !ends || axes === null || steps === null || starts.length !== ends.length) return null
  const ranges: Range[] = []
  for (const [i, first] of starts.entries()) {
    const at = axisOf(axes === undefined ? i : (axes[i] ?? Number.NaN), data.dims.length)
    const step = steps === undefined ? 1 : (steps[i] ?? 0)
    if (at === null || step === 0 || ranges.some(({ axis }) => axis === at)) return null
    const dim = data.dims[at]!
    const from = (value: number): number => (value < 0 ? value + dim : value)
    const clamp = (value: number, least: number, most: number): number =>
      Math.max(least, Math.min(most, value))
    const start = step > 0 ? clamp(from(first), 0, dim) : clamp(from(first), 0, dim - 1)
    const end = step > 0 ? clamp(from(ends[i]!), 0, dim) : clamp(from(ends[i]!), -1, dim - 1)
    ranges.push({ axis: at, start, step, count: Math.max(0, Math.ceil((end - start) / step)) })
  }
  return within(data, ranges)
}

function split(
  graph: GraphIndex,
  node: NodeProto,
  data: FloatValues,
): readonly (FloatValues | null)[] | null {
  const at = axisOf(intAttribute(node, 'axis', 0), data.dims.length)
  if (at === null) return null
  const dim = data.dims[at]!
  const name = node.input[1] ?? ''
  const stored = name === '' ? undefined : graph.constant(name)
  const known = stored !== undefined && countOf(stored) === node.output.length ? readInts(stored) : undefined
  const size = Math.ceil(dim / node.output.length)
  const equal = node.output.map((_, i) => Math.max(0, Math.min(size, dim - i * size)))
  const sizes = name === '' ? (intsAttribute(node, 'split') ?? equal) : known
  if (sizes === undefined || sizes.length !== node.output.length) return null
  if (sizes.some((length) => length < 0) || sizes.reduce((sum, length) => sum + length, 0) !== dim)
    return null
  let start = 0
  return sizes.map((length) => {
    start += length
    return within(data, [{ axis: at, start: start - length, step: 1, count: length }])
  })
}
