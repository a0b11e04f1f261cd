/**
 * Scales under which a bias fits into int32. The integer kernels add the bias to the sums of products, in units of activation
 * scale · weight scale. Where a neuron's weights are tiny beside its bias (all zero, for example, after pruning or with a dead
 * channel), the bias would overflow. Such a neuron gets a larger scale, and its codes are rounded to it. That changes its
 * outputs by at most inputs · 2⁻²³ of its bias.
 */
import { nearestEven, type WeightShape } from '../../methods/alphabet.js'
import { signedCodes } from '../formats/weightWriter.js'
import type { QuantizedWeight } from '../layer.js'
import type { ActivationQuantizer } from './quantizer.js'

/** Largest bias. The sums of products of up to 33,000 inputs fit into int32 beside it. */
const LARGEST_BIAS = 2 ** 30

/** A node's bias, (groups·neurons), and the quantizer of its input. */
export interface BiasUse {
  readonly bias: Float64Array
  readonly quantizer: ActivationQuantizer
}

/** For each neuron the least scale of its int8 weights under which its biases fit, (groups·neurons). */
export function leastScales(uses: readonly BiasUse[]): Float64Array {
  const least = new Float64Array(uses[0]?.bias.length ?? 0)
  for (const { bias, quantizer } of uses)
    bias.forEach((value, k) => {
      least[k] = Math.max(least[k]!, Math.abs(value) / (quantizer.scale * LARGEST_BIAS))
    })
  return least
}

/**
 * The weight with scales of at least these. Odd integers cannot be rounded to zero, so even levels M become 2M − 1 levels with
 * the same values.
 * @param quantized one block a neuron
 * @param least of the int8 weights, (groups·neurons)
 */
export function withLeastScales(
  quantized: QuantizedWeight,
  { inputs, neurons }: Pick<WeightShape, 'inputs' | 'neurons'>,
  least: Float64Array,
): QuantizedWeight {
  const { factor } = signedCodes(quantized.levels)
  if (quantized.scales.every((scale, k) => fits(scale * factor, least[k]!))) return quantized
  const odd = quantized.levels % 2 === 1 ? quantized : withZero(quantized)
  const scales = odd.scales.map((scale, k) =>
    fits(scale, least[k]!) ? scale : Math.max(scale, least[k]!) * (1 + 2 ** -20) || 1,
  )
  const codes = odd.codes.slice()
  for (let i = 0; i < codes.length; i++) {
    const k = Math.floor(i / (inputs * neurons)) * neurons + (i % neurons)
    if (scales[k] !== odd.scales[k])
      codes[i] = nearestEven(((codes[i]! - odd.zero) * odd.scales[k]!) / scales[k]!) + odd.zero
  }
  return { ...odd, codes, scales }
}

/** Whether a scale is that of a neuron with values and holds the bias. */
const fits = (scale: number, least: number): boolean => scale > 0 && scale >= least

/** Even levels M as 2M − 1 levels that hold zero: half the scale, every other code. */
function withZero(quantized: QuantizedWeight): QuantizedWeight {
  return {
    ...quantized,
    levels: 2 * quantized.levels - 1,
    codes: quantized.codes.map((code) => 2 * code),
    scales: quantized.scales.map((scale) => scale / 2),
    zero: quantized.levels - 1,
  }
}
