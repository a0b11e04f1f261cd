/**
 * `float`: the quantized values as plain floats in place of the weight. Nothing is saved but everything can read
 * it: for other toolchains, for checking, and for weights too small to be worth unpacking.
 */
import { dequantize } from '../../methods/alphabet.js'
import type { QuantizedWeight } from '../layer.js'
import { makeFloats } from '../tensor.js'
import { toNodeLayout } from '../weightView.js'
import type { Emitted, WeightWriter } from './weightWriter.js'

export function emitFloat(writer: WeightWriter, quantized: QuantizedWeight): Emitted {
  const values = dequantize(quantized, writer.view)
  const atNode = toNodeLayout(writer.view, values, new Float32Array(values.length))
  const output = writer.constant(makeFloats(writer.name('quantized'), writer.elemType, writer.dims, atNode))
  return { output, nodes: writer.nodes, constants: writer.constants }
}
