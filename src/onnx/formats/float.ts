/**
 * `float`: the quantized values as plain floats in place of the weight. Nothing is saved but everything can read
 * it: for other toolchains, for checking, and for weights too small to be worth unpacking.
 */
import { dequantize } from '../../methods/alphabet.js'
import type { QuantizedWeight } from '../layer.js'
import { makeFloats } from '../tensor.js'
import { toNodeLayout } from '../weightView.js'
import type { Emitted, Site } from './site.js'

export function emitFloat(site: Site, quantized: QuantizedWeight): Emitted {
  const values = dequantize(quantized, site.view)
  const atNode = toNodeLayout(site.view, values, new Float32Array(values.length))
  const output = site.constant(makeFloats(site.name('quantized'), site.elemType, site.dims, atNode))
  return { output, nodes: site.nodes, constants: site.constants }
}
