/**
 * `float`: the quantized values as plain floats in place of the weight. Nothing is saved but everything can read
 * it: for other toolchains, for checking, and for weights too small to be worth unpacking.
 */
import type { QuantizedWeight } from '../layer.js'
import { makeFloats } from '../tensor.js'
import { toNodeLayout } from '../weightView.js'
import type { Emitted, Site } from './site.js'

export function emitFloat(site: Site, quantized: QuantizedWeight): Emitted {
  const values = dequantize(quantized, site.view.groups, site.view.inputs, site.view.neurons)
  const atNode = toNodeLayout(site.view, values, new Float32Array(values.length))
  const output = site.constant(makeFloats(site.name('quantized'), site.elemType, site.dims, atNode))
  return { output, nodes: site.nodes, constants: site.constants }
}

/** scale · (code − zero), canonical (groups, inputs, neurons): code − zero is exact, one rounding to float32. */
export function dequantize(
  { codes, scales, blockSize, zero }: QuantizedWeight,
  groups: number,
  inputs: number,
  neurons: number,
): Float32Array {
  const blocks = Math.ceil(inputs / blockSize)
  const values = new Float32Array(codes.length)
  let i = 0
  for (let g = 0; g < groups; g++)
    for (let t = 0; t < inputs; t++) {
      const scaleRow = (g * blocks + Math.floor(t / blockSize)) * neurons
      for (let n = 0; n < neurons; n++, i++)
        values[i] = (scales[scaleRow + n] as number) * ((codes[i] as number) - zero)
    }
  return values
}
