/**
 * What a layer lost, from its outputs in both streams: ‖Y − Ỹ‖ / ‖Y‖ over everything the calibration data made it
 * compute, and the mean difference of each neuron, which bias correction gives back. Sums are float64.
 */
import { float16ToFloat32 } from '../tensor/float16.js'
import type { Tensor } from '../tensor/tensor.js'

export class OutputError {
  #signal2 = 0
  #error2 = 0

  add(float: Tensor, quantized: Tensor): void {
    const y = floatsOf(float)
    const z = floatsOf(quantized)
    let signal2 = 0
    let error2 = 0
    for (let i = 0; i < y.length; i++) {
      const value = y[i]!
      const difference = value - z[i]!
      signal2 += value * value
      error2 += difference * difference
    }
    this.#signal2 += signal2
    this.#error2 += error2
  }

  /** ‖Y − Ỹ‖ / ‖Y‖, null before anything was added. */
  get relative(): number | null {
    if (this.#signal2 > 0) return Math.sqrt(this.#error2 / this.#signal2)
    return this.#error2 === 0 ? null : Number.POSITIVE_INFINITY
  }
}

/** 20·log₁₀(1/ε): the signal-to-quantization-noise ratio of a relative error, in decibels. */
export const sqnrDb = (relativeError: number): number => -20 * Math.log10(relativeError)

/** Mean of Y − Ỹ by neuron. */
export class MeanDifference {
  readonly #sums: Float64Array
  #count = 0

  constructor(neurons: number) {
    this.#sums = new Float64Array(neurons)
  }

  /** @param axis of the tensors that counts neurons; negative from the end */
  add(float: Tensor, quantized: Tensor, axis: number): void {
    const y = floatsOf(float)
    const z = floatsOf(quantized)
    const at = axis < 0 ? float.dims.length + axis : axis
    const inner = float.dims.slice(at + 1).reduce((product, dim) => product * dim, 1)
    const neurons = this.#sums.length
    for (let i = 0; i < y.length; i++) {
      const neuron = Math.floor(i / inner) % neurons
      this.#sums[neuron] = this.#sums[neuron]! + y[i]! - z[i]!
    }
    this.#count += y.length / neurons
  }

  means(): Float32Array {
    return Float32Array.from(this.#sums, (sum) => sum / Math.max(1, this.#count))
  }
}

/** A float tensor's values; its own array where that is float32. */
export function floatsOf(tensor: Tensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data
  if (tensor.data instanceof Float64Array) return Float32Array.from(tensor.data)
  if (tensor.type === 'float16') return Float32Array.from(tensor.data as Uint16Array, float16ToFloat32)
  throw new TypeError(`tensor: expected floats, got ${tensor.type}`)
}
