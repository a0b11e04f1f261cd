/**
 * Writes one quantized weight for the node that reads it: rearranges codes and scales into the layout of that node, and
 * collects the nodes and constants that a format emits. All formats use it, so that none of them depends on operators,
 * groups or chains. The emitted tensor has the dims and the element type of the writer.
 */
import type { NodeProto, TensorProto } from 'onnx-buf'
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { intAttr } from '../attributes.js'
import { type GraphEdit, makeNode } from '../edit.js'
import type { QuantizedWeight } from '../layer.js'
import { makeInts, sizeOf } from '../tensor.js'
import { toNodeLayout, type WeightView } from '../weightView.js'

/** The nodes and constants that replace a weight; `output` is the tensor to read. */
export interface Emitted {
  readonly output: string
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
}

/** Scales without repetition, in the layout of a node. */
export type Scales =
  | { readonly per: 'layer'; readonly values: Float32Array } // (1)
  | { readonly per: 'neuron'; readonly values: Float32Array } // (groups·neurons)
  /** neurons-first (groups·neurons, blocks), inputs-first (blocks, neurons) */
  | { readonly per: 'block'; readonly values: Float32Array; readonly size: number; readonly blocks: number }

/** Collects the nodes and constants of one weight. */
export class WeightWriter {
  readonly edit: GraphEdit
  readonly opset: number
  readonly view: WeightView
  readonly dims: readonly number[]
  readonly elemType: number
  readonly neuronsFirst: boolean
  readonly neurons: number // of all groups
  readonly inputs: number
  readonly nodes: NodeProto[] = []
  readonly constants: TensorProto[] = []
  readonly #stem: string
  readonly #temporaries: string | undefined
  readonly #inBody: boolean

  /**
   * @param view the node that the weight is written for: its layout, dims and element type
   * @param temporaries stem of names between nodes
   * @param inBody whether the caller puts the constants into a body; by default they become initializers of the graph
   */
  constructor(edit: GraphEdit, opset: number, view: WeightView, temporaries?: string, inBody = false) {
    this.edit = edit
    this.opset = opset
    this.view = view
    this.dims = view.chain.dims
    this.elemType = view.chain.elemType
    this.neuronsFirst = view.layout === 'neurons-first'
    this.neurons = view.groups * view.neurons
    this.inputs = view.inputs
    this.#stem = view.chain.source
    this.#temporaries = temporaries
    this.#inBody = inBody
  }

  /** A fresh name for a constant. */
  name(part: string): string {
    return this.edit.fresh(`${this.#stem}:${part}`)
  }

  /** Adds an initializer and returns its name. */
  constant(tensor: TensorProto): string {
    this.constants.push(tensor)
    return this.#inBody ? tensor.name : this.edit.add(tensor)
  }

  /** Shape of one scale a neuron that broadcasts to `dims`: a dim of 1 for each axis behind those of the neurons. */
  get scaleDims(): readonly number[] {
    if (!this.neuronsFirst) return [this.neurons]
    let axes = 1
    while (axes < this.dims.length && sizeOf(this.dims.slice(0, axes)) < this.neurons) axes++
    return this.dims.map((length, axis) => (axis < axes ? length : 1))
  }

  /** Appends a node and returns its output. */
  emit(opType: string, input: readonly string[], attribute: NodeProto['attribute'] = []): string {
    const output = this.edit.temporary(this.#temporaries)
    this.nodes.push(makeNode(opType, input, output, attribute))
    return output
  }

  /** Appends a Reshape and returns its output. */
  reshape(tensor: string, dims: readonly number[]): string {
    const shape = this.edit.shared(`gpfq:shape:${dims.join('x')}`, (name) =>
      makeInts(name, [dims.length], dims),
    )
    return this.emit('Reshape', [tensor, shape])
  }

  /** Appends a Cast to an ONNX element type and returns its output. */
  cast(tensor: string, to: number): string {
    return this.emit('Cast', [tensor], [intAttr('to', to)])
  }

  /** All that was emitted, with the float32 `tensor` cast to the element type of the node. */
  done(tensor: string): Emitted {
    const output = this.elemType === DataType.FLOAT ? tensor : this.cast(tensor, this.elemType)
    return { output, nodes: this.nodes, constants: this.constants }
  }

  /** Codes in the layout of the node: (neurons, inputs) or (inputs, neurons). */
  codes(quantized: QuantizedWeight): Uint8Array {
    return toNodeLayout(this.view, quantized.codes, new Uint8Array(quantized.codes.length))
  }

  /** Scales in the layout of the node: one if all are equal, one per neuron if its blocks have the same scale. */
  scales({ scales, blockSize }: QuantizedWeight): Scales {
    const blocks = Math.ceil(this.inputs / blockSize)
    if (scales.every((scale) => scale === scales[0])) return { per: 'layer', values: scales.slice(0, 1) }
    if (blocks === 1) return { per: 'neuron', values: scales }
    const { groups, neurons } = this.view
    const first = new Float32Array(groups * neurons)
    for (let i = 0; i < first.length; i++)
      first[i] = scales[Math.floor(i / neurons) * blocks * neurons + (i % neurons)] as number
    if (
      scales.every(
        (scale, i) => scale === first[Math.floor(i / (blocks * neurons)) * neurons + (i % neurons)],
      )
    )
      return { per: 'neuron', values: first }
    const values = toNodeLayout({ ...this.view, inputs: blocks }, scales, new Float32Array(scales.length))
    return { per: 'block', values, size: blockSize, blocks }
  }
}

/** Codes as symmetric integers: value = scale · factor · integer, with half the scale for even levels. */
export interface SignedCodes {
  readonly factor: 1 | 0.5
  /** Largest magnitude. */
  readonly bound: number
  /** The integer of a code. */
  readonly of: (code: number) => number
}

/** Odd levels: code − (M − 1)/2. Even levels have no zero: the odd integers 2·code − (M − 1). */
export function signedCodes(levels: number): SignedCodes {
  return levels % 2 === 1
    ? { factor: 1, bound: (levels - 1) / 2, of: (code) => code - (levels - 1) / 2 }
    : { factor: 0.5, bound: levels - 1, of: (code) => 2 * code - (levels - 1) }
}

/** Small integers in two's complement, low bits first: (⌈count·bits/8⌉) bytes. */
export function packBits(values: ArrayLike<number>, bits: 2 | 4 | 8): Uint8Array {
  const perByte = 8 / bits
  const mask = (1 << bits) - 1
  const bytes = new Uint8Array(Math.ceil(values.length / perByte))
  for (let i = 0; i < values.length; i++) {
    const at = Math.floor(i / perByte)
    bytes[at] = (bytes[at] as number) | (((values[i] as number) & mask) << (bits * (i % perByte)))
  }
  return bytes
}
