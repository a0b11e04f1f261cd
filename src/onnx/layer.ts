/**
 * The types between the ONNX code and the rest: what a quantizable layer is, how its input tensor becomes sample rows,
 * and what a quantized weight is. Plain data, so that a plan can be printed.
 *
 * Canonical weight layout, everywhere outside this folder: (groups, inputs, neurons), row-major float32. A dense
 * layer has one group. A convolution of O output channels in g groups has `inputs` = C/g·kh·kw in the order
 * (c, kh, kw) and `neurons` = O/g per group; output channel o is neuron o mod (O/g) of group ⌊o/(O/g)⌋.
 */

/** How an input tensor becomes sample rows. */
export type Sampling =
  /** (..., inputs): every leading index is one sample. MatMul with a constant right operand, Gemm with transA = 0. */
  | { readonly kind: 'rows' }
  /**
   * (..., inputs, samples): each index of the last axis is one sample. MatMul with a constant left operand, Gemm with
   * transA = 1.
   */
  | { readonly kind: 'columns' }
  /**
   * (batch, channels, height, width): each output position of a convolution is one sample, and its receptive field in
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
  readonly input: string // tensor that becomes sample rows
  readonly output: string // tensor the node computes (before a bias that is a separate node)
  readonly sampling: Sampling
}

/** One node that reads a layer's weight and gives no sample rows: a recurrent one, or one in the body of another node. */
export interface UnsampledUse {
  readonly node: string // node name, unique among those of all bodies, too
  /** The node of the graph that it is, or that holds it. */
  readonly holder: string
  /** Tensors of the graph that the node computes: none in a body. */
  readonly outputs: readonly string[]
}

/** Operators with weights. The weights of others than the first three are rounded. */
export type LayerOp =
  | ('Conv' | 'Gemm' | 'MatMul')
  | ('LSTM' | 'GRU' | 'RNN')
  | ('ConvTranspose' | 'FusedMatMul' | 'Attention')

/**
 * One weight and all the nodes that use it: quantized once, on the samples of all its uses. Without a use that gives
 * samples it is rounded. With one that gives none, its values are replaced where they are stored, for all nodes alike.
 */
export interface Layer {
  readonly name: string // name of the first node that uses it, with the name of the operand if it has several
  readonly op: LayerOp
  readonly weight: string // name of the initializer (or Constant output) the values come from
  readonly groups: number
  readonly inputs: number // per group
  readonly neurons: number // per group
  readonly uses: readonly LayerUse[]
  readonly unsampled: readonly UnsampledUse[]
  /** Why the weight is rounded, as text for people; null where path following reaches it. */
  readonly rounded: string | null
}

/** The tensors of the graph that show the error of a layer. */
export const outputsOf = ({ uses, unsampled }: Pick<Layer, 'uses' | 'unsampled'>): readonly string[] => [
  ...uses.map(({ output }) => output),
  ...unsampled.flatMap(({ outputs }) => outputs),
]

/** A node with weights that is not quantized. `reason` is text for people. */
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
  /** (groups, inputs, neurons): the values, if codes stand for them in another way (method frame); format float only. */
  readonly values?: Float32Array
}

/** How a quantized weight is written into the model; see src/onnx/formats. */
export type Format = 'qdq' | 'packed' | 'nbits' | 'float'

/** The formats that a caller can ask for. */
export const FORMATS: readonly (Format | 'auto')[] = ['auto', 'qdq', 'packed', 'nbits', 'float']
