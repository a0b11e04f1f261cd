/**
 * The quantizer of activations against its float64 twin, and bit for bit against ONNX Runtime's QuantizeLinear,
 * DequantizeLinear and DynamicQuantizeLinear.
 */
import { toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { ModelProtoSchema, type TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import {
  type ActivationQuantizer,
  dynamicQuantizer,
  LARGEST_CODE,
  quantizerOver,
  roundActivations,
} from '#src/onnx/activations/quantizer.js'
import { makeTensor } from '#src/onnx/tensor.js'
import { quantizerOver as exactQuantizerOver, minmax, roundActivation } from '#src/reference/activations.js'
import { randomFrom, reals } from '../../random.js'
import { DataType, floats, model, node, run, tensor, value } from '../build.js'

/** Normal float32 numbers of all magnitudes that activations have, zeros of both signs, and denormals. */
const activation = fc.oneof(
  { weight: 6, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -0, 1, -1, 2 ** -149, -(2 ** -149), 2 ** -127, 255, -255) },
)
const activationArrays = fc
  .array(activation, { minLength: 1, maxLength: 60 })
  .map((values) => Float32Array.from(values))

const rounded = (values: Float32Array, quantizer: ActivationQuantizer): Float32Array =>
  roundActivations(values, quantizer, new Float32Array(values.length))

/** The range that codes 0 to 255 span. */
const rangeOf = ({ scale, zeroPoint }: ActivationQuantizer): readonly [number, number] => [
  -scale * zeroPoint,
  scale * (LARGEST_CODE - zeroPoint),
]

describe('beside the float64 twin', () => {
  it('the range gives the same zero point and, to float32, the same scale, but at ties', () => {
    fc.assert(
      fc.property(activation, activation, (a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        const found = quantizerOver(low, high)
        const exact = exactQuantizerOver({ low, high })
        expect(Math.abs(found.scale / exact.scale - 1)).toBeLessThan(2 ** -22)
        if (found.zeroPoint !== exact.zeroPoint) {
          expect(Math.abs(found.zeroPoint - exact.zeroPoint)).toBe(1)
          expect(distanceFromTie(-Math.min(0, low) / exact.scale)).toBeLessThan(1e-4)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('values are rounded alike, but at ties', () => {
    fc.assert(
      fc.property(activationArrays, activationArrays, (calibration, values) => {
        const quantizer = dynamicQuantizer(calibration)
        rounded(values, quantizer).forEach((found, i) => {
          const exact = roundActivation(values[i]!, quantizer)
          if (Math.abs(found - exact) <= 1e-6 * Math.abs(exact)) return
          expect(Math.abs(found - exact)).toBeLessThan(1.0001 * quantizer.scale)
          expect(distanceFromTie(values[i]! / quantizer.scale)).toBeLessThan(1e-4)
        })
      }),
      { numRuns: 500 },
    )
  })

  it('the range of values is their minmax', () => {
    fc.assert(
      fc.property(activationArrays, (values) => {
        const { low, high } = minmax(values)
        expect(dynamicQuantizer(values)).toEqual(quantizerOver(low, high))
      }),
    )
  })
})

/** How far a number of steps is from the middle between two integers. */
const distanceFromTie = (steps: number): number => Math.abs(Math.abs(steps - Math.floor(steps)) - 0.5)

describe('a quantizer', () => {
  it('keeps zero: that of either sign becomes +0', () => {
    fc.assert(
      fc.property(activationArrays, (values) => {
        expect([...rounded(Float32Array.of(0, -0), dynamicQuantizer(values))]).toEqual([0, 0])
      }),
    )
  })

  it('errs by half a step inside the range, and saturates outside', () => {
    fc.assert(
      fc.property(activationArrays, activationArrays, (calibration, values) => {
        const quantizer = dynamicQuantizer(calibration)
        const [low, high] = rangeOf(quantizer)
        const slack = 1e-6 * (high - low) // of float32
        rounded(values, quantizer).forEach((found, i) => {
          const x = values[i]!
          if (x >= low && x <= high)
            expect(Math.abs(found - x)).toBeLessThanOrEqual(quantizer.scale / 2 + slack)
          else expect(Math.abs(found - (x < low ? low : high))).toBeLessThanOrEqual(slack)
        })
      }),
      { numRuns: 500 },
    )
  })

  it('changes no value of its own', () => {
    fc.assert(
      fc.property(activationArrays, (values) => {
        const quantizer = dynamicQuantizer(values)
        const once = rounded(values, quantizer)
        expect(rounded(once, quantizer)).toEqual(once)
      }),
    )
  })

  it('rounds in place', () => {
    const values = reals(50, 1)
    const quantizer = dynamicQuantizer(values)
    const apart = rounded(values, quantizer)
    expect(roundActivations(values, quantizer, values)).toBe(values)
    expect(values).toEqual(apart)
  })

  it('of one-sided values begins or ends at zero', () => {
    expect(dynamicQuantizer(Float32Array.of(3, 51))).toEqual({ scale: Math.fround(0.2), zeroPoint: 0 })
    expect(dynamicQuantizer(Float32Array.of(-3, -51))).toEqual({ scale: Math.fround(0.2), zeroPoint: 255 })
  })

  it('of a constant has it as its last value', () => {
    for (const constant of [1, -7.25, 1e-20, 3e5]) {
      const values = new Float32Array(5).fill(constant)
      const [found] = rounded(values, dynamicQuantizer(values))
      expect(Math.abs(found! / Math.fround(constant) - 1)).toBeLessThan(1e-6)
    }
  })

  it('of zeros and of denormals has steps of one: all become zero', () => {
    for (const values of [[], [0, -0], [2 ** -149], [-(2 ** -130), 2 ** -127]]) {
      const quantizer = dynamicQuantizer(Float32Array.from(values))
      expect(quantizer).toEqual({ scale: 1, zeroPoint: 0 })
      for (const found of rounded(Float32Array.from(values), quantizer)) expect(found).toBe(0)
    }
  })

  it('of a tensor with one value a thousand times as large loses all others, and a narrower range keeps them', () => {
    const values = reals(999, 4)
    const largest = Math.max(...values.map(Math.abs))
    const all = Float32Array.of(...values, 1000 * largest)
    const quantizer = dynamicQuantizer(all)
    expect(Math.abs(rounded(all, quantizer).at(-1)! - all.at(-1)!)).toBeLessThan(quantizer.scale)
    expect(new Set(rounded(values, quantizer))).toEqual(new Set([0]))
    const clipped = quantizerOver(-largest, largest)
    expect(new Set(rounded(values, clipped)).size).toBeGreaterThan(100)
  })
})

describe('ONNX Runtime', () => {
  const byte = (name: string, code: number): TensorProto =>
    makeTensor(name, DataType.UINT8, [], Uint8Array.of(code))

  /** The values of QuantizeLinear and DequantizeLinear after each other. */
  async function throughRuntime(values: Float32Array, { scale, zeroPoint }: ActivationQuantizer) {
    const bytes = toBinary(
      ModelProtoSchema,
      model(
        [node('QuantizeLinear', ['x', 's', 'z'], ['c']), node('DequantizeLinear', ['c', 's', 'z'], ['y'])],
        [floats('s', [], [scale]), byte('z', zeroPoint)],
        [value('x', DataType.FLOAT, ['n'])],
        [value('y', DataType.FLOAT, ['n'])],
      ),
    )
    const { y } = await run(bytes, { x: tensor([values.length], values) })
    return y!.data
  }

  /** Values of all magnitudes, ties included: halves of steps. */
  function trial(seed: number): { values: Float32Array; quantizer: ActivationQuantizer } {
    const random = randomFrom(seed)
    const size = 10 ** (8 * random() - 4)
    const shift = random() < 0.5 ? 0 : random() * 3
    const calibration = reals(300, seed + 1).map((x) => size * (x + shift))
    const quantizer = dynamicQuantizer(calibration)
    const ties = Float32Array.from({ length: 600 }, (_, i) => ((i - 300) / 2) * quantizer.scale)
    const far = reals(1001, seed + 2).map((x) => 3 * size * x)
    return { values: Float32Array.of(...calibration, ...ties, ...far, 0, -0), quantizer }
  }

  it('rounds to the same bits', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { values, quantizer } = trial(seed)
      const found = rounded(values, quantizer)
      expect(await throughRuntime(values, quantizer)).toEqual(found)
    }
  })

  it('finds the same scale and zero point, and rounds to the same bits, in DynamicQuantizeLinear', async () => {
    const bytes = toBinary(
      ModelProtoSchema,
      model(
        [
          node('DynamicQuantizeLinear', ['x'], ['c', 's', 'z']),
          node('DequantizeLinear', ['c', 's', 'z'], ['y']),
        ],
        [],
        [value('x', DataType.FLOAT, ['n'])],
        [value('y', DataType.FLOAT, ['n']), value('s', DataType.FLOAT, []), value('z', DataType.UINT8, [])],
      ),
    )
    for (let seed = 1; seed <= 60; seed++) {
      const { values } = trial(seed)
      const some =
        seed % 3 === 0 ? values.map(Math.abs) : seed % 7 === 0 ? values.map((x) => -Math.abs(x)) : values
      const { y, s, z } = await run(bytes, { x: tensor([some.length], some) })
      const quantizer = dynamicQuantizer(some)
      expect({ scale: s!.data[0], zeroPoint: z!.data[0] }).toEqual(quantizer)
      expect(y!.data).toEqual(rounded(some, quantizer))
    }
  })

  it('takes zeros alike', async () => {
    const zeros = Float32Array.of(0, -0, 0)
    expect(await throughRuntime(zeros, dynamicQuantizer(zeros))).toEqual(new Float32Array(3))
  })
})
