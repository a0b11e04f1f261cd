/**
 * Format `float`: the quantized values as plain floats in place of the weight. It saves no bytes, but every runtime can
 * read it. It is for other toolchains, for checks, and for weights that are too small to be packed.
 */
import { dequantize } from '../../methods/alphabet.js'
import type { QuantizedWeight } from '../layer.js'
import { makeFloats } from '../tensor.js'
import { toNodeLayout } from '../weightView.js'
import type { Emitted, WeightWriter } from './weightWriter.js'

/** One initializer with the quantized values, in the layout of the writer's node. */
export function emitFloat(writer: WeightWriter, quantized: QuantizedWeight): Emitted {
  const values = dequantize(quantized, writer.view)
  const atNode = toNodeLayout(writer.view, values, new Float32Array(values.length))
  const output = writer.constant(makeFloats(writer.name('quantized'), writer.elemType, writer.dims, atNode))
  return { output, nodes: writer.nodes, constants: writer.constants }
}
