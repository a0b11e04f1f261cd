/**
 * What integer kernels buy: the speed of int8 against float32 of the same shapes. Kernels are chosen from this table and never
 * by timing, so that the same model gives the same file on every machine.
 *
 * Measured with onnxruntime-web 1.30 (WebAssembly, SIMD, one thread, Node 20) on a Zen 5: chains of equal layers with a Relu
 * between them, minimum of 25 runs. Differences below 1.2 are noise.
 */

/** Layers that are alike in what integers buy. */
export type LayerKind = 'convolution' | 'wide kernel' | 'pointwise' | 'grouped' | 'matmul'

/** A size, and the speed of int8 there as a multiple of the speed of float32. Between two sizes the smaller one counts. */
type Measured = readonly [size: number, speed: number]

/** By kind, ascending. */
const SPEED: Readonly<Record<LayerKind, readonly Measured[]>> = {
  // Kernels of more than one tap, measured with 3×3; size: input channels.
  convolution: [
    [16, 1.25],
    [32, 1.75],
    [64, 2.1],
    [128, 2.5],
    [256, 2.7],
    [512, 2.6],
  ],
  // Kernels of 7×7 and more, measured with the stem of ResNet-18 at 112²: 3 channels to 64; size: input channels.
  'wide kernel': [[3, 1.7]],
  // Kernels of one tap; size: input channels.
  pointwise: [
    [16, 0.42],
    [32, 0.65],
    [64, 0.8],
    [128, 1.6],
    [512, 2.2],
  ],
  // Depthwise 3×3: .16 to .38 at every size.
  grouped: [[1, 0.3]],
  // DynamicQuantizeLinear and MatMulInteger with 64 rows; size: inputs.
  matmul: [
    [64, 0.9],
    [128, 1.3],
    [384, 2.5],
    [768, 3],
    [2048, 2.7],
  ],
}

/** Least speed that is worth it: rounded activations cost accuracy, and each end of a chain costs a pass over its tensor. */
const WORTHWHILE = 1.5

/**
 * Least speed that is worth it between layers on integers, where a float layer costs two passes over its input and two over its
 * output (closeChains.ts).
 */
const WORTHWHILE_BETWEEN = 0.8

/** What the table says of a layer. */
export interface Gain {
  readonly worthwhile: boolean
  /** Whether int8 is worthwhile if input and output are quantized anyway. */
  readonly worthwhileBetween: boolean
  /** Speed of int8 as a multiple of that of float32; null below the smallest size measured. */
  readonly speed: number | null
  /** The least size from which int8 is worthwhile; null if it never is. */
  readonly from: number | null
}

/** @param size input channels of a convolution, inputs of a MatMul */
export function gainOf(kind: LayerKind, size: number): Gain {
  const speed = SPEED[kind].findLast(([measured]) => measured <= size)?.[1] ?? null
  const from = SPEED[kind].find(([, measured]) => measured >= WORTHWHILE)?.[0] ?? null
  return {
    worthwhile: speed !== null && speed >= WORTHWHILE,
    worthwhileBetween: speed !== null && speed >= WORTHWHILE_BETWEEN,
    ...{ speed, from },
  }
}
