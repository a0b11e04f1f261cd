/**
 * The four layers of the demo network with their gradients, float64, channels last: an activation is
 * (batch, height, width, channels), so that a convolution is a matrix product over (positions, channels) and batch
 * normalization works on columns. ONNX has channels first; exportModel.ts reorders the weights.
 *
 * Only what training MNIST needs: square images, square kernels, zero padding. The batch size is fixed when a layer is
 * built, buffers are allocated once and reused, so an activation is valid until the layer's next forward pass.
 */
import { type Matrix, matrix, multiply, transpose } from './matmul.js'
import type { Random } from './random.js'

/** Trainable numbers and the gradient of the loss with respect to them, same shape. */
export interface Parameter {
  readonly value: Float64Array
  readonly gradient: Float64Array
}

export interface TrainLayer {
  readonly parameters: readonly Parameter[]
  forward(x: Float64Array, training: boolean): Float64Array
  /** Takes the gradient of the output, fills the parameters' gradients and returns the gradient of the input. */
  backward(dy: Float64Array): Float64Array
}

function parameter(length: number, value: (index: number) => number): Parameter {
  return { value: Float64Array.from({ length }, (_, i) => value(i)), gradient: new Float64Array(length) }
}

/** He initialization: uniform with variance 2 / inputs, right for layers that a ReLU follows. */
function weights(inputs: number, neurons: number, random: Random): Parameter {
  const bound = Math.sqrt(6 / inputs)
  return parameter(inputs * neurons, () => (2 * random() - 1) * bound)
}

/** y (batch, neurons) = x (batch, inputs) · w (inputs, neurons) + b (neurons). */
export class Dense implements TrainLayer {
  readonly weight: Parameter // (inputs, neurons)
  readonly bias: Parameter // (neurons)
  readonly parameters: readonly Parameter[]
  private x: Float64Array // (batch, inputs)
  private readonly y: Float64Array // (batch, neurons)
  private readonly dx: Float64Array // (batch, inputs)

  constructor(
    private readonly batch: number,
    readonly inputs: number,
    readonly neurons: number,
    random: Random,
  ) {
    this.weight = weights(inputs, neurons, random)
    this.bias = parameter(neurons, () => 0)
    this.parameters = [this.weight, this.bias]
    this.x = new Float64Array(batch * inputs)
    this.y = new Float64Array(batch * neurons)
    this.dx = new Float64Array(batch * inputs)
  }

  forward(x: Float64Array): Float64Array {
    const { batch, inputs, neurons, y } = this
    this.x = x
    multiply(y, matrix(x, inputs), matrix(this.weight.value, neurons), batch, neurons, inputs)
    for (let i = 0; i < y.length; i++) y[i] = y[i]! + this.bias.value[i % neurons]!
    return y
  }

  backward(dy: Float64Array): Float64Array {
    const { batch, inputs, neurons } = this
    const dyMatrix = matrix(dy, neurons)
    multiply(this.weight.gradient, transpose(matrix(this.x, inputs)), dyMatrix, inputs, neurons, batch)
    this.bias.gradient.fill(0)
    for (let i = 0; i < dy.length; i++) this.bias.gradient[i % neurons]! += dy[i]!
    multiply(this.dx, dyMatrix, transpose(matrix(this.weight.value, neurons)), batch, inputs, neurons)
    return this.dx
  }
}

export interface ConvShape {
  readonly size: number // height and width of the input
  readonly channels: number
  readonly filters: number
  readonly kernel: number
  readonly stride: number
  readonly pad: number
}

/** A convolution without bias (a batch normalization follows), through patches in the order (kh, kw, channel). */
export class Conv implements TrainLayer {
  readonly weight: Parameter // (kh, kw, channels, filters)
  readonly parameters: readonly Parameter[]
  readonly outSize: number
  private readonly patchLength: number
  private readonly patches: Float64Array // (batch, outSize, outSize, kh, kw, channels)
  private readonly dPatches: Float64Array // same
  private readonly y: Float64Array // (batch, outSize, outSize, filters)
  private readonly dx: Float64Array // (batch, size, size, channels)

  constructor(
    private readonly batch: number,
    readonly shape: ConvShape,
    random: Random,
  ) {
    const { size, channels, filters, kernel, stride, pad } = shape
    this.outSize = Math.floor((size + 2 * pad - kernel) / stride) + 1
    this.patchLength = kernel * kernel * channels
    const positions = batch * this.outSize * this.outSize
    this.weight = weights(this.patchLength, filters, random)
    this.parameters = [this.weight]
    this.patches = new Float64Array(positions * this.patchLength)
    this.dPatches = new Float64Array(positions * this.patchLength)
    this.y = new Float64Array(positions * filters)
    this.dx = new Float64Array(batch * size * size * channels)
  }

  forward(x: Float64Array): Float64Array {
    const { patches, patchLength, y } = this
    const { channels, filters } = this.shape
    this.eachTap((at, from) => {
      for (let c = 0; c < channels; c++) patches[at + c] = x[from + c]!
    })
    multiply(y, matrix(patches, patchLength), this.filters(), y.length / filters, filters, patchLength)
    return y
  }

  backward(dy: Float64Array): Float64Array {
    const { patches, dPatches, patchLength, dx } = this
    const { channels, filters } = this.shape
    const positions = dy.length / filters
    const dyMatrix = matrix(dy, filters)
    const taps = transpose(matrix(patches, patchLength))
    multiply(this.weight.gradient, taps, dyMatrix, patchLength, filters, positions)
    multiply(dPatches, dyMatrix, transpose(this.filters()), positions, patchLength, filters)
    dx.fill(0)
    this.eachTap((at, from) => {
      for (let c = 0; c < channels; c++) dx[from + c]! += dPatches[at + c]!
    })
    return dx
  }

  private filters(): Matrix {
    return matrix(this.weight.value, this.shape.filters)
  }

  /** Visits every tap that lies inside the image: its first channel's index in the patches and in the input. */
  private eachTap(visit: (patchIndex: number, inputIndex: number) => void): void {
    const { batch, outSize } = this
    const { size, channels, kernel, stride, pad } = this.shape
    let at = 0
    for (let n = 0; n < batch; n++)
      for (let oh = 0; oh < outSize; oh++)
        for (let ow = 0; ow < outSize; ow++)
          for (let kh = 0; kh < kernel; kh++) {
            const h = oh * stride + kh - pad
            for (let kw = 0; kw < kernel; kw++, at += channels) {
              const w = ow * stride + kw - pad
              if (h < 0 || h >= size || w < 0 || w >= size) continue
              visit(at, ((n * size + h) * size + w) * channels)
            }
          }
  }
}

/** Batch normalization over the last axis, as ONNX defines it: γ (x − mean) / √(variance + ε) + β. */
export class BatchNorm implements TrainLayer {
  static readonly epsilon = 1e-5
  /** Weight of the past in the running statistics: an average over about the last hundred batches. */
  static readonly momentum = 0.99
  readonly gamma: Parameter // (channels)
  readonly beta: Parameter // (channels)
  readonly mean: Float64Array // (channels), running
  readonly variance: Float64Array // (channels), running
  readonly parameters: readonly Parameter[]
  private readonly normalized: Float64Array // (rows, channels)
  private readonly y: Float64Array // (rows, channels)
  private readonly dx: Float64Array // (rows, channels)
  private readonly inverse: Float64Array // (channels), 1 / √(variance + ε) of the batch

  constructor(
    private readonly rows: number,
    readonly channels: number,
  ) {
    this.gamma = parameter(channels, () => 1)
    this.beta = parameter(channels, () => 0)
    this.parameters = [this.gamma, this.beta]
    this.mean = new Float64Array(channels)
    this.variance = new Float64Array(channels).fill(1)
    this.normalized = new Float64Array(rows * channels)
    this.y = new Float64Array(rows * channels)
    this.dx = new Float64Array(rows * channels)
    this.inverse = new Float64Array(channels)
  }

  forward(x: Float64Array, training: boolean): Float64Array {
    const { rows, channels, normalized, y, inverse } = this
    for (let c = 0; c < channels; c++) {
      const [mean, variance] = training ? this.measure(x, c) : [this.mean[c]!, this.variance[c]!]
      const scale = 1 / Math.sqrt(variance + BatchNorm.epsilon)
      const gamma = this.gamma.value[c]!
      const beta = this.beta.value[c]!
      inverse[c] = scale
      for (let i = c; i < rows * channels; i += channels) {
        const z = (x[i]! - mean) * scale
        normalized[i] = z
        y[i] = gamma * z + beta
      }
    }
    return y
  }

  /** Mean and variance of one channel over the batch; moves the running statistics. */
  private measure(x: Float64Array, c: number): readonly [number, number] {
    const { rows, channels } = this
    let sum = 0
    for (let i = c; i < rows * channels; i += channels) sum += x[i]!
    const mean = sum / rows
    let squares = 0
    for (let i = c; i < rows * channels; i += channels) squares += (x[i]! - mean) ** 2
    const variance = squares / rows
    const keep = BatchNorm.momentum
    this.mean[c] = keep * this.mean[c]! + (1 - keep) * mean
    this.variance[c] = keep * this.variance[c]! + (1 - keep) * variance
    return [mean, variance]
  }

  backward(dy: Float64Array): Float64Array {
    const { rows, channels, normalized, dx, inverse } = this
    for (let c = 0; c < channels; c++) {
      let dBeta = 0
      let dGamma = 0
      for (let i = c; i < rows * channels; i += channels) {
        dBeta += dy[i]!
        dGamma += dy[i]! * normalized[i]!
      }
      this.beta.gradient[c] = dBeta
      this.gamma.gradient[c] = dGamma
      const scale = this.gamma.value[c]! * inverse[c]!
      for (let i = c; i < rows * channels; i += channels)
        dx[i] = scale * (dy[i]! - dBeta / rows - (normalized[i]! * dGamma) / rows)
    }
    return dx
  }
}

/** max(x, 0), in place in both directions: no other layer reads the values that it overwrites. */
export class Relu implements TrainLayer {
  readonly parameters: readonly Parameter[] = []
  private y: Float64Array = new Float64Array(0)

  forward(x: Float64Array): Float64Array {
    for (let i = 0; i < x.length; i++) if (x[i]! < 0) x[i] = 0
    this.y = x
    return x
  }

  backward(dy: Float64Array): Float64Array {
    for (let i = 0; i < dy.length; i++) if (this.y[i]! <= 0) dy[i] = 0
    return dy
  }
}
