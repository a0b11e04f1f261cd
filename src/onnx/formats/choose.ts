/**
 * The output formats that are possible for a layer, what each costs in bytes, and which one to write. `auto` follows the
 * measurements in docs/FORMATS.md: `packed` makes the smallest file and runs at float speed. It is chosen unless the
 * weight is so small that `float` takes fewer bytes than the codes and the nodes that unpack them.
 */
import { TensorProto_DataType as DataType } from 'onnx-buf'
import type { GraphIndex } from '../graph.js'
import type { Format, Layer } from '../layer.js'
import { allViewsOf } from '../layers.js'
import { byteLengthOf } from '../tensor.js'
import { NO_NBITS, nbitsBytes, planNBits } from './nbits.js'
import { packedBytes, planPacking, unpackingBytes } from './packed.js'
import { planQdq, qdqBytes } from './qdq.js'

/** One format for one layer. */
export interface FormatOption {
  readonly format: Format
  readonly possible: boolean
  /** Its size and speed, or why it is not possible; text for people. */
  readonly reason: string
  /** Estimate of what it adds to the file; 0 if it is not possible. */
  readonly bytes: number
}

/** Mean size of nodes and tensor headers per layer, measured on resnet20, an MLP and a llama (up to 250 more). */
const OVERHEAD = { float: 45, qdq: 170, nbits: 300 } as const

/**
 * All four formats for a layer.
 * @param levels number of values
 * @param blockSize inputs of a neuron that share a scale
 */
export function formatsFor(
  graph: GraphIndex,
  layer: Layer,
  levels: number,
  blockSize: number,
): FormatOption[] {
  const views = allViewsOf(graph, layer)
  const { groups, inputs } = layer
  const neurons = groups * layer.neurons
  const count = neurons * inputs
  const blocks = Math.ceil(inputs / blockSize)
  const scales = 4 * neurons * blocks
  const stored = blocks > 1 ? neurons * blocks * blockSize : count // a last block that is not full is padded
  const packing = planPacking(levels, stored)
  const { elemType } = views[0]!.chain
  const bitsOf = (bytes: number) => `${((8 * bytes) / count).toFixed(2)} bits a weight`
  const impossible = (format: Format, reason: string): FormatOption => ({
    format,
    possible: false,
    reason,
    bytes: 0,
  })

  const qdq = planQdq(graph.model, views, levels, blockSize)
  const nbits =
    layer.unsampled.length > 0
      ? NO_NBITS
      : planNBits(views, (index) => graph.nodes[index]!, levels, blockSize)
  return [
    {
      format: 'packed',
      possible: true,
      reason: `${bitsOf(packedBytes(packing, stored))}, unpacked once at load, runs as float`,
      bytes: packedBytes(packing, stored) + scales + unpackingBytes(levels, stored),
    },
    typeof qdq === 'string'
      ? impossible('qdq', qdq)
      : {
          format: 'qdq',
          possible: true,
          reason: `DequantizeLinear on ${qdq.type.name}, computed at every run${qdq.note === '' ? '' : `; ${qdq.note}`}`,
          bytes: qdqBytes(qdq, count) + scales + OVERHEAD.qdq,
        },
    typeof nbits === 'string'
      ? impossible('nbits', nbits)
      : {
          format: 'nbits',
          possible: true,
          reason: `MatMulNBits with ${nbits.bits} bits, blocks of ${nbits.block}: fast on native CPUs, slow in WebAssembly`,
          bytes: nbitsBytes(nbits, neurons) + OVERHEAD.nbits,
        },
    {
      format: 'float',
      possible: true,
      reason: `quantized values as ${DataType[elemType]?.toLowerCase()}: nothing is saved`,
      bytes: (byteLengthOf(elemType, count) ?? 0) + OVERHEAD.float,
    },
  ]
}

/** The format of a layer on integers: its codes as int8, packed or as they stand. */
export function integerFormat(
  { groups, inputs, neurons }: Layer,
  levels: number,
  format: Format,
): Pick<FormatOption, 'format' | 'reason' | 'bytes'> {
  const count = groups * inputs * neurons
  const overhead = 4 * groups * neurons + OVERHEAD.qdq
  if (format === 'qdq')
    return { format, reason: 'int8 codes as integer kernels read them', bytes: count + overhead }
  const bytes = packedBytes(planPacking(levels, count), count)
  return {
    format,
    reason: `${((8 * bytes) / count).toFixed(2)} bits a weight, unpacked into int8 once at load`,
    bytes: bytes + overhead + unpackingBytes(levels, count),
  }
}

/** The format to write: the one asked for if it is possible, `packed` otherwise; for `auto` the better of two. */
export function chooseFormat(
  graph: GraphIndex,
  layer: Layer,
  levels: number,
  blockSize: number,
  asked: Format | 'auto',
): FormatOption {
  const options = formatsFor(graph, layer, levels, blockSize)
  const option = (format: Format) => options.find((entry) => entry.format === format) as FormatOption
  const packed = option('packed')
  if (asked !== 'auto') {
    const chosen = option(asked)
    if (chosen.possible) return chosen
    return { ...packed, reason: `${asked} is not possible (${chosen.reason}); packed: ${packed.reason}` }
  }
  const float = option('float')
  return float.bytes <= packed.bytes
    ? { ...float, reason: 'too small a weight for unpacking to pay; quantized values kept as float' }
    : { ...packed, reason: `smallest file at float speed: ${packed.reason}` }
}
