import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkPreprocessing, moveChannels, preprocess } from '#src/data/preprocess.js'

const axis = { channels: 3, inner: 4 }

describe('preprocess', () => {
  it('is (x / scale − mean) / std per channel, rounded once', () => {
    const options = { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), (data) => {
        const out = preprocess('x', data, 'uint8', 'float32', axis, options)
        data.forEach((x, i) => {
          const c = Math.floor(i / 4) % 3
          expect(out[i]).toBe(Math.fround((x / 255 - options.mean[c]!) / options.std[c]!))
        })
      }),
    )
  })

  it('gives the same through the table of bytes as without', () => {
    const data = Uint8Array.from({ length: 2 * 512 }, (_, i) => i * 7)
    const options = { scale: 127.5, mean: [1, 0.5], std: [1, 3] }
    const large = { channels: 2, inner: 512 }
    const viaTable = preprocess('x', data, 'uint8', 'float32', large, options)
    const direct = preprocess('x', Float64Array.from(data), 'float64', 'float32', large, options)
    expect(viaTable).toEqual(direct)
  })

  it('treats the last axis as channels on request', () => {
    const out = preprocess(
      'x',
      Float32Array.of(1, 2, 3, 4),
      'float32',
      'float32',
      { channels: 2, inner: 1 },
      { mean: [1, 2] },
    )
    expect(out).toEqual(Float32Array.of(0, 0, 2, 2))
  })

  it('leaves integers alone', () => {
    const tokens = Uint16Array.of(3, 4)
    expect(preprocess('x', tokens, 'uint16', 'int64', axis, { scale: 2 })).toEqual(BigInt64Array.of(3n, 4n))
  })

  it('hands data through untouched when there is nothing to do', () => {
    const data = Float32Array.of(1, 2)
    expect(preprocess('x', data, 'float32', 'float32', axis, {})).toBe(data)
  })
})

describe('checkPreprocessing', () => {
  it('takes one number or one per channel, and divisors other than zero', () => {
    expect(() => checkPreprocessing('x', { mean: [1], std: [1, 2, 3] }, 3)).not.toThrow()
    expect(() => checkPreprocessing('x', { mean: [1, 2] }, 3)).toThrow(
      'x: expected mean with 1 number or one per channel (3), got 2',
    )
    expect(() => checkPreprocessing('x', { std: [0] }, 3)).toThrow(/other than zero, got 0/)
  })
})

describe('moveChannels', () => {
  it('moves to the front, and back again', () => {
    const back = Uint8Array.of(1, 10, 2, 20, 3, 30, 4, 40) // (2, 2 positions, 2 channels)
    const shape = { batch: 2, channels: 2, positions: 2 }
    const front = moveChannels(back, 'uint8', shape, 'front')
    expect(front).toEqual(Uint8Array.of(1, 2, 10, 20, 3, 4, 30, 40))
    expect(moveChannels(front, 'uint8', shape, 'back')).toEqual(back)
  })
})
