/** Which samples are kept out: by their numbers alone, evenly, whatever the batches; all others stay, in order. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { heldOutOf, samenessOf, splitSamples } from '#src/calibration/heldOut.js'
import type { Feeds, RunnerInput } from '#src/tensor/tensor.js'

const WIDTH = 3

/** Batches of samples 0, 1, …: each holds its number. */
function batchesOf(sizes: readonly number[], more: Feeds = {}): Feeds[] {
  let next = 0
  return sizes.map((size) => {
    const first = next
    next += size
    const at = (i: number): number => first + Math.floor(i / WIDTH)
    return {
      x: {
        type: 'float32',
        dims: [size, WIDTH],
        data: Float32Array.from({ length: size * WIDTH }, (_, i) => at(i)),
      },
      ids: {
        type: 'int64',
        dims: [size],
        data: BigInt64Array.from({ length: size }, (_, i) => BigInt(first + i)),
      },
      ...more,
    }
  })
}

const numbersIn = (batches: readonly Feeds[]): number[] =>
  batches.flatMap((feeds) => Array.from(feeds.ids!.data, Number))

const inputs: readonly RunnerInput[] = [
  { name: 'x', type: 'float32', dims: ['n', WIDTH] },
  { name: 'ids', type: 'int64', dims: ['n'] },
]

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })

describe('splitSamples', () => {
  it('parts the samples, in order, at places that do not depend on the batches', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (own, seed) => {
        const total = own.reduce((sum, size) => sum + size, 0)
        const wanted = seed % 3 === 0 ? null : seed % total
        const { calibration, heldOut } = splitSamples(batchesOf(own), wanted, inputs)
        const [kept, out] = [numbersIn(calibration), numbersIn(heldOut)]
        expect(out.length).toBe(wanted ?? heldOutOf(total))
        expect([...kept, ...out].sort((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, i) => i))
        expect(kept).toEqual([...kept].sort((a, b) => a - b))
        expect(out).toEqual([...out].sort((a, b) => a - b))
        const one = splitSamples(batchesOf([total]), wanted, inputs)
        expect(numbersIn(one.heldOut)).toEqual(out)
        // Rows stay with their numbers, and tensors with their shapes.
        for (const { x, ids } of [...calibration, ...heldOut]) {
          expect(x!.dims).toEqual([ids!.dims[0], WIDTH])
          expect(Array.from(x!.data, Number)).toEqual(
            Array.from(ids!.data, Number).flatMap((number) => Array(WIDTH).fill(number)),
          )
        }
      }),
      { seed: 3, numRuns: 300 },
    )
  })

  it('keeps an eighth out, eight of few, and none of three', () => {
    expect([1, 3, 4, 16, 32, 64, 65, 1024].map(heldOutOf)).toEqual([0, 0, 1, 4, 8, 8, 8, 128])
  })

  it('keeps whole batches out where the model fixes their size', () => {
    const fixed = [{ name: 'x', type: 'float32', dims: [4, WIDTH] }]
    const { calibration, heldOut } = splitSamples(batchesOf([4, 4, 4, 4, 4, 4, 4, 4]), null, fixed)
    expect([calibration, heldOut].map((batches) => batches.map(({ ids }) => ids!.dims[0]))).toEqual([
      [4, 4, 4, 4, 4, 4],
      [4, 4],
    ])
  })

  it('says so where not one batch can be kept out', () => {
    const fixed = [{ name: 'x', type: 'float32', dims: [4, WIDTH] }]
    expect(splitSamples(batchesOf([4]), null, fixed).heldOut).toEqual([])
    expect(() => splitSamples(batchesOf([4, 4, 4, 4]), 1, fixed)).toThrow(
      'holdout: expected enough samples for a whole batch, since batches cannot be cut, got 1',
    )
  })

  it('leaves a tensor without samples as it is', () => {
    const rate = { type: 'int64', dims: [], data: BigInt64Array.of(16000n) } as const
    const { calibration, heldOut } = splitSamples(batchesOf([20, 20], { rate }), null, inputs)
    expect(numbersIn(heldOut)).toHaveLength(8)
    for (const feeds of [...calibration, ...heldOut]) expect(feeds.rate).toBe(rate)
  })

  it.each([['n'], [null]])('takes samples out of a state whose second axis counts them (%s)', (dim) => {
    const state: RunnerInput = { name: 'state', type: 'float32', dims: [2, dim, 1] }
    const withState = (feeds: Feeds): Feeds => {
      const ids = Array.from(feeds.ids!.data, Number)
      const data = Float32Array.from([...ids, ...ids.map((id) => id + 1000)])
      return { ...feeds, state: { type: 'float32', dims: [2, ids.length, 1], data } }
    }
    for (const own of [[40], [16, 16, 8], [2, 2, 36]]) {
      const all = batchesOf(own).map(withState)
      const { calibration, heldOut } = splitSamples(all, null, [...inputs, state])
      expect(numbersIn(heldOut)).toHaveLength(8)
      for (const feeds of [...calibration, ...heldOut])
        expect(feeds.state).toEqual(withState({ ids: feeds.ids! }).state)
    }
  })

  it('refuses to keep all samples out', () => {
    expect(() => splitSamples(batchesOf([4, 4]), 8, inputs)).toThrow(
      'holdout: expected fewer than the 8 samples, got 8',
    )
  })
})

describe('samenessOf', () => {
  const feeds = (...rows: readonly number[][]): Feeds => ({
    x: { type: 'float32', dims: [rows.length, 2], data: Float32Array.from(rows.flat()) },
  })
  it('tells samples that differ from equal and from constant ones', () => {
    expect(samenessOf([feeds([1, 2], [1, 2]), feeds([1, 3])])).toBe('different')
    expect(samenessOf([feeds([1, 2], [1, 2]), feeds([1, 2])])).toBe('equal')
    expect(samenessOf([feeds([2, 2]), feeds([2, 2])])).toBe('constant')
    expect(samenessOf([feeds([1, 1], [2, 2])])).toBe('different')
  })
})
