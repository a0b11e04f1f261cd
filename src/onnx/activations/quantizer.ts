/**
 * Quantizers of activations: unsigned 8 bits for a whole tensor, as QuantizeLinear and DynamicQuantizeLinear of ONNX have
 * them. Zero is always one of the values, so padding and the zeros of a Relu stay exact. Everything is computed in float32,
 * step by step as ONNX Runtime does.
 *
 *     code  = clamp(nearest(x / scale) + zeroPoint, 0, 255)      nearest: half to even
 *     value = scale · (code − zeroPoint)
 */

/** value = scale · (code − zeroPoint), code 0..255. */
export interface ActivationQuantizer {
  /** A float32, above 0. */
  readonly scale: number
  /** 0..255. */
  readonly zeroPoint: number
}

/** Largest code. */
export const LARGEST_CODE = 255

/** A range below this is that of a tensor of zeros: its scale would not be a normal float32. */
const SMALLEST_RANGE = 1e-30

/** Added to a float32 below 2²² and subtracted again, it leaves the nearest integer, half to even. */
const ROUNDING = 1.5 * 2 ** 23

/** float32 in, float32 out: the nearest integer, half to even, of |x| below 2²². */
const nearest = (x: number): number => Math.fround(Math.fround(x + ROUNDING) - ROUNDING)

/** The quantizer whose codes span [low, high], widened to hold zero. @param low a float32 @param high a float32 */
export function quantizerOver(low: number, high: number): ActivationQuantizer {
  const least = Math.min(low, 0)
  const range = Math.fround(Math.max(high, 0) - least)
  if (!(range > SMALLEST_RANGE)) return { scale: 1, zeroPoint: 0 }
  const scale = Math.fround(range / LARGEST_CODE)
  return { scale, zeroPoint: clampCode(nearest(Math.fround(-least / scale))) }
}

/** The quantizer that DynamicQuantizeLinear finds for these values. */
export function dynamicQuantizer(values: Float32Array): ActivationQuantizer {
  let low = 0
  let high = 0
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return quantizerOver(low, high)
}

/** The values that codes stand for. @param out of the same length, or `values` itself; returned */
export function roundActivations(
  values: Float32Array,
  { scale, zeroPoint }: ActivationQuantizer,
  out: Float32Array,
): Float32Array {
  const [least, most] = [-zeroPoint, LARGEST_CODE - zeroPoint]
  for (let i = 0; i < values.length; i++) {
    const steps = Math.fround(values[i]! / scale)
    // Clamped first, so that the sum with ROUNDING is exact. The bounds are whole numbers, so the order does not matter.
    out[i] = nearest(Math.min(most, Math.max(least, steps))) * scale
  }
  return out
}

const clampCode = (code: number): number => Math.min(LARGEST_CODE, Math.max(0, code))
