/**
 * Whether a runtime's integer kernels saturate. On x86 without VNNI ONNX Runtime multiplies unsigned by signed bytes with
 * an instruction that adds two products in 16 bits (pmaddubsw), where 255·127 + 255·127 becomes 32767. Codes of weights of
 * 7 bits are safe there: 255·63·2 = 32130. Sums in wasm, on ARM and with VNNI are exact.
 *
 * Two layers are run whose every pair of products is too large: one in MatMulInteger, one in QLinearConv. They are large
 * enough for the vectorized kernels.
 */
import { TensorProto_DataType as DataType } from 'onnx-buf'
import { intsAttr } from '../onnx/attributes.js'
import { makeNode } from '../onnx/edit.js'
import { encodeProbe } from '../onnx/probe.js'
import { makeTensor } from '../onnx/tensor.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Runner } from './runner.js'

const ROWS = 16
const INPUTS = 64
const NEURONS = 32

/** The convolution: 3 × 3 kernels on an image (1, CHANNELS, SIDE, SIDE), without padding. */
const CHANNELS = 16
const SIDE = 8
const KERNEL = 3
const OUTPUT_SIDE = SIDE - KERNEL + 1

/** Every activation, and every weight of the even and of the odd neurons. */
const ACTIVATION = 255
const WEIGHTS = [127, -128] as const

/** An even neuron of the convolution is 100 steps above the zero point. If sums saturate, it is about 50 steps above. */
const CONV_SUM = CHANNELS * KERNEL ** 2 * ACTIVATION * WEIGHTS[0]
const OUTPUT_SCALE = CONV_SUM / 100
const OUTPUT_ZERO = 128

/**
 * Runs a tiny model, and says whether its integer sums are wrong. Where they are, codes of weights must have 7 bits.
 * @throws GpfqError RUNTIME_FAILED if the runner has no integer kernels
 */
export async function saturates(runner: Runner): Promise<boolean> {
  const session = await runner.load(encodeSums())
  try {
    const { product, convolved } = await session.run({
      rows: activations([ROWS, INPUTS]),
      image: activations([1, CHANNELS, SIDE, SIDE]),
    })
    const exact = (neuron: number) => INPUTS * ACTIVATION * weightOf(neuron)
    const requantized = (neuron: number) =>
      OUTPUT_ZERO + (CHANNELS * KERNEL ** 2 * ACTIVATION * weightOf(neuron)) / OUTPUT_SCALE
    return (
      !holds(product, (i) => i % NEURONS, exact, 0) ||
      !holds(convolved, (i) => Math.floor(i / OUTPUT_SIDE ** 2), requantized, 1)
    )
  } finally {
    await session.close()
  }
}

function encodeSums(): Uint8Array {
  const [int8, uint8] = [DataType.INT8, DataType.UINT8]
  const scalar = (name: string, scale: number) => makeTensor(name, DataType.FLOAT, [], Float32Array.of(scale))
  const weights = (name: string, dims: readonly number[], neuronOf: (i: number) => number) =>
    makeTensor(
      name,
      int8,
      dims,
      Int8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => weightOf(neuronOf(i))),
    )
  const convInputs = ['image', 'one', 'zero', 'kernels', 'one', 'signedZero', 'outputScale', 'outputZero']
  return encodeProbe({
    opset: 11,
    inputs: [
      { name: 'rows', type: 'uint8', dims: [ROWS, INPUTS] },
      { name: 'image', type: 'uint8', dims: [1, CHANNELS, SIDE, SIDE] },
    ],
    constants: [
      weights('matrix', [INPUTS, NEURONS], (i) => i % NEURONS),
      weights('kernels', [NEURONS, CHANNELS, KERNEL, KERNEL], (i) =>
        Math.floor(i / (CHANNELS * KERNEL ** 2)),
      ),
      scalar('one', 1),
      scalar('outputScale', OUTPUT_SCALE),
      makeTensor('zero', uint8, [], Uint8Array.of(0)),
      makeTensor('signedZero', int8, [], Int8Array.of(0)),
      makeTensor('outputZero', uint8, [], Uint8Array.of(OUTPUT_ZERO)),
    ],
    nodes: [
      makeNode('MatMulInteger', ['rows', 'matrix'], 'product'),
      makeNode('QLinearConv', convInputs, 'convolved', [intsAttr('kernel_shape', [KERNEL, KERNEL])]),
    ],
    outputs: [
      { name: 'product', type: 'int32', dims: [ROWS, NEURONS] },
      { name: 'convolved', type: 'uint8', dims: [1, NEURONS, OUTPUT_SIDE, OUTPUT_SIDE] },
    ],
  })
}

const weightOf = (neuron: number): number => WEIGHTS[neuron % 2]!

function activations(dims: readonly number[]): Tensor {
  const data = new Uint8Array(dims.reduce((a, b) => a * b, 1)).fill(ACTIVATION)
  return { type: 'uint8', dims, data }
}

/** Whether each output is that of its neuron, up to `tolerance`. */
function holds(
  output: Tensor | undefined,
  neuronOf: (i: number) => number,
  expected: (neuron: number) => number,
  tolerance: number,
): boolean {
  return (
    output !== undefined &&
    Array.from(output.data, Number).every((y, i) => Math.abs(y - expected(neuronOf(i))) <= tolerance)
  )
}
