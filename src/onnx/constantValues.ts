/**
 * Float tensors that nodes compute from stored ones by picking, joining and rearranging their values: what exporters put between
 * a weight and its node where one layer's weight is a part of a tensor, or several of them. Nothing is computed that could
 * make more values than the file holds.
 */
import { create } from '@bufbuild/protobuf'
import { type NodeProto, TensorProtoSchema } from 'onnx-buf'
import { intAttribute, intsAttribute } from './attributes.js'
import { applyChain, behindLink, isLink } from './chain.js'
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
) => readonly (FloatValues | null)[] | null

/** Operators that pick and join, beside the links of a chain. They give one value an output, null where they cannot be followed. */
const PICKS: ReadonlyMap<string, Pick> = new Map<string, Pick>([
  ['Dropout', (graph, node, [data]) => (isInference(graph, node) ? [data!] : null)],
  ['Concat', (_, node, inputs) => [concat(inputs, intAttribute(node, 'axis', 0))]],
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
  /** Nodes that may still be visited in search of sources. */
  #visits: number

  /** @param most values that the file holds */
  constructor(graph: GraphIndex, most: number) {
    this.#graph = graph
    this.#most = most
    this.#left = 4 * most
    this.#visits = 16 * graph.nodes.length
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
      if (missing.length > 0) open.push(...missing)
      else this.#settle(name, node)
    }
    return this.#known.get(tensor) ?? null
  }

  /** The stored tensors that a tensor is made of, each once. Null if that would take too long for all of a graph. */
  sources(tensor: string): readonly string[] | null {
    const found = new Set<string>()
    const seen = new Set<string>()
    const open = [tensor]
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (seen.has(name)) continue
      if (--this.#visits < 0) return null
      seen.add(name)
      const producer = this.#graph.producer(name)
      const node = producer === undefined ? undefined : this.#graph.nodes[producer]!
      if (node === undefined || node.opType === 'Constant') found.add(name)
      else open.push(...operandsOf(node))
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
    const made = isLink(node)
      ? [throughLink(this.#graph, node, complete[0]!)]
      : (PICKS.get(node.opType)?.(this.#graph, node, complete) ?? [])
    made.forEach((value, i) => {
      const count = value?.values.length ?? 0
      this.#left -= count
      if (value !== null && count <= this.#most && this.#left >= 0)
        this.#known.set(node.output[i] ?? '', value)
    })
  }

  #stored(name: string): FloatValues | null {
    const stored = this.#graph.constant(name)
    if (stored === undefined || !isFloatType(stored.dataType) || countOf(stored) > this.#most) return null
    return { values: readFloats(stored), dims: dimsOf(stored), elemType: stored.dataType }
  }
}

function throughLink(graph: GraphIndex, node: NodeProto, { values, dims, elemType }: FloatValues) {
  const start = { source: '', stored: create(TensorProtoSchema), steps: [], moves: '', reshapes: 0 }
  const chain = behindLink(graph, { ...start, dims, elemType }, node)
  return typeof chain === 'string'
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

function concat(inputs: readonly FloatValues[], axis: number): FloatValues | null {
  const { dims, elemType } = inputs[0]!
  const at = axisOf(axis, dims.length)
  const others = (value: FloatValues): string => value.dims.map((dim, i) => (i === at ? '' : dim)).join()
  const fits = inputs.every(
    (value) =>
      value.dims.length === dims.length &&
      value.elemType === elemType &&
      others(value) === others(inputs[0]!),
  )
  if (at === null || !fits) return null
  const total = inputs.reduce((sum, value) => sum + value.dims[at]!, 0)
  const outer = sizeOf(dims.slice(0, at))
  const rows = inputs.map((value) => sizeOf(value.dims.slice(at)))
  const values = new Float32Array(inputs.reduce((sum, value) => sum + value.values.length, 0))
  let to = 0
  for (let i = 0; i < outer; i++)
    for (const [k, value] of inputs.entries()) {
      values.set(value.values.subarray(i * rows[k]!, (i + 1) * rows[k]!), to)
      to += rows[k]!
    }
  return { values, dims: dims.with(at, total), elemType }
}

/** Entries of one axis: `count` from `start` on, every `step`-th. */
function along(
  { values, dims, elemType }: FloatValues,
  at: number,
  start: number,
  step: number,
  count: number,
): FloatValues {
  const [outer, inner] = [sizeOf(dims.slice(0, at)), sizeOf(dims.slice(at + 1))]
  const out = new Float32Array(outer * count * inner)
  for (let i = 0; i < outer; i++)
    for (let k = 0; k < count; k++) {
      const from = (i * dims[at]! + start + k * step) * inner
      out.set(values.subarray(from, from + inner), (i * count + k) * inner)
    }
  return { values: out, dims: dims.with(at, count), elemType }
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
  let result: FloatValues | null = data
  for (const [i, first] of starts.entries()) {
    const at = axisOf(axes === undefined ? i : (axes[i] ?? Number.NaN), data.dims.length)
    const step = steps === undefined ? 1 : (steps[i] ?? 0)
    if (at === null || result === null || step === 0 || !Number.isInteger(step)) return null
    const dim = data.dims[at]!
    const from = (value: number): number => (value < 0 ? value + dim : value)
    const clamp = (value: number, least: number, most: number): number =>
      Math.max(least, Math.min(most, value))
    const start = step > 0 ? clamp(from(first), 0, dim) : clamp(from(first), 0, dim - 1)
    const end = step > 0 ? clamp(from(ends[i]!), 0, dim) : clamp(from(ends[i]!), -1, dim - 1)
    result = along(result, at, start, step, Math.max(0, Math.ceil((end - start) / step)))
  }
  return result
}

function split(graph: GraphIndex, node: NodeProto, data: FloatValues): readonly FloatValues[] | null {
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
    return along(data, at, start - length, 1, length)
  })
}
