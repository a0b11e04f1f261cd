/** float16 against ONNX Runtime's Cast, and against a search for the nearest value. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeModel } from '#src/onnx/model.js'
import { float16Bits, float16ToFloat32, float16Values, float32ToFloat16 } from '#src/tensor/float16.js'
import * as b from '../onnx/build.js'

const finite = Array.from({ length: 0x7c00 }, (_, bits) => float16ToFloat32(bits))

/** The bits of the nearest of all finite values, the even one of two; infinity from half a step above the largest. */
function nearest(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= 65520) return sign | 0x7c00
  let low = 0
  let high = finite.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (finite[middle]! <= magnitude) low = middle
    else high = middle - 1
  }
  if (low === finite.length - 1) return sign | low
  const [below, above] = [magnitude - finite[low]!, finite[low + 1]! - magnitude]
  return sign | (below < above || (below === above && low % 2 === 0) ? low : low + 1)
}

const toHalf = encodeModel(
  b.model(
    [b.node('Cast', ['x'], ['y'], { to: b.DataType.FLOAT16 })],
    [],
    [b.value('x', b.DataType.FLOAT, ['n'])],
    [b.value('y', b.DataType.FLOAT16, ['n'])],
  ),
)

async function castByRuntime(values: Float32Array): Promise<Uint16Array> {
  const { y } = await b.run(toHalf, { x: new b.ort.Tensor('float32', values, [values.length]) })
  const data = y!.data
  if (!ArrayBuffer.isView(data)) throw new Error('no numbers')
  return new Uint16Array(data.buffer, data.byteOffset, values.length)
}

describe('float16', () => {
  it('keeps the bits of every value but NaN', () => {
    const bits = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i)
    const back = float16Bits(float16Values(bits))
    const isNaNBits = (word: number): boolean => (word & 0x7fff) > 0x7c00
    expect(back.filter((_, i) => !isNaNBits(i))).toEqual(bits.filter((_, i) => !isNaNBits(i)))
    expect(new Set(back.filter((_, i) => isNaNBits(i)))).toEqual(new Set([0x7e00]))
  })

  it('rounds float32 as ONNX Runtime does: values, ties, and both neighbours of ties', async () => {
    const ties = finite.slice(0, -1).map((value, i) => (value + finite[i + 1]!) / 2)
    const word = new Uint32Array(1)
    const float = new Float32Array(word.buffer)
    const beside = (value: number, step: number): number => {
      float[0] = value
      word[0]! += step
      return float[0]!
    }
    const values = [...ties, 65504, 65519.99, 65520, 65536, 3e38, 1e-40, Number.POSITIVE_INFINITY].flatMap(
      (tie) => [tie, -tie, ...(Number.isFinite(tie) ? [beside(tie, 1), beside(tie, -1)] : [])],
    )
    const data = Float32Array.from([...values, 0, -0])
    expect(float16Bits(data)).toEqual(await castByRuntime(data))
  })

  it('rounds any float32 as ONNX Runtime does', async () => {
    const words = fc.sample(fc.integer({ min: 0x30000000, max: 0x48000000 }), { numRuns: 20000, seed: 1 })
    const values = new Float32Array(Uint32Array.from(words, (word, i) => word + (i % 2) * 2 ** 31).buffer)
    expect(float16Bits(values)).toEqual(await castByRuntime(values))
  })

  it('rounds float64 once, not by way of float32', () => {
    expect(float32ToFloat16(1 + 2 ** -11 + 2 ** -40)).toBe(0x3c01)
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x7bff }),
        fc.constantFrom(0.5, 0.5 + 2 ** -30, 0.5 - 2 ** -30, 0.25, 0.999),
        fc.boolean(),
        (bits, share, negative) => {
          const step = (finite[bits + 1] ?? 65536) - finite[bits]!
          const value = (finite[bits]! + share * step) * (negative ? -1 : 1)
          expect(float32ToFloat16(value)).toBe(nearest(value))
        },
      ),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(fc.double({ min: -66000, max: 66000, noNaN: true }), (value) => {
        expect(float32ToFloat16(value)).toBe(nearest(value))
      }),
    )
  })
})
