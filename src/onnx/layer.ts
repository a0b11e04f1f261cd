/**
 * The contract between the ONNX floor and everything above it: what a quantizable layer is, how its input
 * tensor becomes sample rows, and what the engine hands back. Plain data, so that a plan prints.
 *
 * Canonical weight layout, everywhere above the graph: (groups, inputs, neurons), row-major float32. A dense
 * layer has one group. A convolution of O output channels in g groups has `inputs` = C/g·kh·kw in the order
 * (c, kh, kw) and `neurons` = O/g per group; output channel o is neuron o mod (O/g) of group ⌊o/(O/g)⌋.
 */

/** How an input tensor is read as sample rows. */
export type Sampling =
  /** (..., inputs): every leading index is one sample. MatMul with a constant right operand, Gemm with transA = 0. */
  | { readonly kind: 'rows' }
  /** (..., inputs, samples): the last axis enumerates samples. MatMul with a constant left operand, Gemm with transA = 1. */
  | { readonly kind: 'columns' }
  /**
   * (batch, channels, height, width): each output position of a convolution is one sample, its receptive field in
   * the order (c, kh, kw) is the row. 1-D convolutions have height 1. `pads` is [top, left, bottom, right];
   * with `autoPad` SAME_* it is computed from the input's size, see `resolvePads`.
   */
  | {
      readonly kind: 'patches'
      readonly kernel: readonly [number, number]
      readonly strides: readonly [number, number]
      readonly dilations: readonly [number, number]
      readonly pads: readonly [number, number, number, number]
      readonly autoPad: 'NOTSET' | 'SAME_UPPER' | 'SAME_LOWER' | 'VALID'
      readonly groups: number
    }

/** One node that reads a layer's weight. */
export interface LayerUse {
  readonly node: string // node name, made unique
  readonly input: string // tensor whose values become sample rows
  readonly output: string // tensor the node computes (before a bias that is a separate node)
  readonly sampling: Sampling
}

/** One weight and all the nodes that use it: quantized once, on the samples of all its uses. */
export interface Layer {
  readonly name: string // name of the first node that uses it
  readonly op: 'Conv' | 'Gemm' | 'MatMul'
  readonly weight: string // name of the initializer (or Constant output) the values come from
  readonly groups: number
  readonly inputs: number // per group
  readonly neurons: number // per group
  readonly uses: readonly LayerUse[]
}

/** A node that could have been a layer and is not, with the reason in plain words. */
export interface Skipped {
  readonly name: string
  readonly reason: string
}

/**
 * A quantized weight: value = scale · (code − zero). `scales` is (groups, blocks, neurons): inputs t of one
 * block share a scale, block = ⌊t / blockSize⌋; without blocks, blockSize = inputs and blocks = 1.
 * `zero` is (levels − 1)/2, half-integral for even `levels`.
 */
export interface QuantizedWeight {
  readonly levels: number // M, 2..256; codes are 0..M−1
  readonly codes: Uint8Array // (groups, inputs, neurons)
  readonly scales: Float32Array // (groups, blocks, neurons)
  readonly blockSize: number
  readonly zero: number
  /** (groups, inputs, neurons): the values, where codes stand for them in another way (method frame); float form only. */
  readonly values?: Float32Array
}

export type Format = 'qdq' | 'packed' | 'nbits' | 'float'

/** What may be asked for. */
export const FORMATS: readonly (Format | 'auto')[] = ['auto', 'qdq', 'packed', 'nbits', 'float']
