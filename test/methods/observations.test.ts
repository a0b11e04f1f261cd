/**
 * Observations: the canonical sum (the same bytes however samples are cut into calls, batches, parts and threads), merging,
 * and their bytes. The sums themselves are compared with the float64 product.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { LayerInputs } from '#src/layerObserver.js'
import { merge, Observations, sumLayout } from '#src/methods/observations.js'
import { entryAt } from '#src/methods/panelMatrix.js'
import { createQuantizer, type Quantizer } from '#src/quantizer.js'
import { gramMatrix } from '#src/reference/gram.js'
import { type PatchGeometry, patches } from '#src/reference/patches.js'
import { expectSame } from '../arrays.js'
import { activations, disturbed, integers, reals } from '../random.js'

const quantizers = await Promise.all([1, 2].map((threads) => createQuantizer({ threads })))
const [quantizer] = quantizers as [Quantizer]
afterAll(() => Promise.all(quantizers.map((own) => own.close())))

/** Samples of a dense layer or of a convolution, by items: rows or images. */
interface Given {
  readonly inputs: LayerInputs
  readonly items: number
  readonly floats: number // of one item
  readonly segmentItems: number
  readonly x: Float32Array
  readonly xq: Float32Array | undefined
}

const dense = (
  rows: number,
  inputs: number,
  quantized: boolean,
  segmentRows: number,
  seed: number,
): Given => {
  const x = activations(rows * inputs, seed)
  return {
    inputs: { inputs, quantized, segmentRows },
    ...{ items: rows, floats: inputs, segmentItems: segmentRows, x },
    xq: quantized ? disturbed(x, 0.1, seed + 1) : undefined,
  }
}

const conv = (
  images: number,
  quantized: boolean,
  stride: number,
  segmentItems: number,
  seed: number,
): Given => {
  const [channels, height, width] = [16, 9, 8]
  const x = activations(images * channels * height * width, seed)
  const strides = [stride, stride] as const
  const out = Math.floor((height - 1) / stride + 1) * Math.floor((width - 1) / stride + 1)
  return {
    inputs: {
      convolution: {
        ...{ channels, height, width, groups: 1, kernel: [3, 3], strides, dilations: [1, 1] },
        pads: [1, 1, 1, 1],
      },
      ...{ quantized, segmentRows: segmentItems * out },
    },
    ...{ items: images, floats: channels * height * width, segmentItems, x },
    xq: quantized ? disturbed(x, 0.1, seed + 1) : undefined,
  }
}

const given = fc.oneof(
  fc
    .record({
      rows: fc.integer({ min: 1, max: 1500 }),
      inputs: fc.integer({ min: 1, max: 40 }),
      quantized: fc.boolean(),
      segmentRows: fc.constantFrom(64, 100, 256, 300, 512),
      seed: fc.nat(),
    })
    .map(({ rows, inputs, quantized, segmentRows, seed }) =>
      dense(rows, inputs, quantized, segmentRows, seed),
    ),
  fc
    .record({
      images: fc.integer({ min: 1, max: 24 }),
      quantized: fc.boolean(),
      stride: fc.constantFrom(1, 2),
      segmentItems: fc.integer({ min: 1, max: 5 }),
      seed: fc.nat(),
    })
    .map(({ images, quantized, stride, segmentItems, seed }) =>
      conv(images, quantized, stride, segmentItems, seed),
    ),
)

/** Items `from` to `to`, added in calls of at most `call` items. */
async function observed(
  on: Quantizer,
  { inputs, floats, x, xq }: Given,
  from: number,
  to: number,
  { call = to - from, later = from > 0 }: { readonly call?: number; readonly later?: boolean } = {},
): Promise<Observations> {
  const seen = await on.observe({ ...inputs, later })
  for (let item = from; item < to; item += call) {
    const part = (values: Float32Array): Float32Array =>
      values.slice(item * floats, Math.min(to, item + call) * floats)
    await seen.add(part(x), xq && part(xq))
  }
  return seen.observations()
}

const expectEqual = (actual: Observations, expected: Observations): void => {
  expect(actual.rows).toBe(expected.rows)
  const [a, b] = [actual.total(), expected.total()]
  expectSame(a.values, b.values, 'sum')
}

describe('the canonical sum', () => {
  it('is the same to the last bit for any calls and threads', async () => {
    await fc.assert(
      fc.asyncProperty(given, fc.integer({ min: 1, max: 700 }), async (layer, call) => {
        const expected = await observed(quantizer, layer, 0, layer.items)
        for (const own of quantizers) {
          const size = Math.max(1, Math.min(call, layer.items))
          const calls = Math.ceil(layer.items / size) > 40 ? Math.ceil(layer.items / 40) : size
          const actual = await observed(own, layer, 0, layer.items, { call: calls })
          expectSame(actual.bytes, expected.bytes, 'byte')
        }
      }),
      { seed: 201, numRuns: 40 },
    )
  })

  it('keeps nothing of a call that fails, also where its first segments were summed', async () => {
    const layer = dense(700, 12, true, 100, 7)
    const expected = await observed(quantizer, layer, 0, 700)
    const part = (values: Float32Array, from: number, to: number) => values.slice(12 * from, 12 * to)
    const seen = await quantizer.observe(layer.inputs)
    await seen.add(part(layer.x, 0, 230), part(layer.xq!, 0, 230))
    const damaged = part(layer.xq!, 230, 700)
    damaged[12 * 420] = Number.NaN
    await expect(seen.add(part(layer.x, 230, 700), damaged)).rejects.toMatchObject({ code: 'INVALID_DATA' })
    expect(seen.rows).toBe(230)
    expect((await seen.observations()).rows).toBe(230)
    await seen.add(part(layer.x, 230, 700), part(layer.xq!, 230, 700))
    expectSame(await seen.bytes, expected.bytes, 'byte')
  })

  it('is the same to the last bit for any parts that are cut between segments, merged in any grouping', async () => {
    const cuts = fc.array(fc.nat({ max: 30 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(given, cuts, fc.boolean(), async (layer, places, apart) => {
        const expected = await observed(quantizer, layer, 0, layer.items)
        const segments = Math.ceil(layer.items / layer.segmentItems)
        const borders = [...new Set(places.map((place) => (place % segments) * layer.segmentItems))]
          .filter((item) => item > 0 && item < layer.items)
          .sort((a, b) => a - b)
        const ends = [...borders, layer.items]
        const parts: Observations[] = []
        for (const [i, to] of ends.entries()) {
          const from = ends[i - 1] ?? 0
          // The first part can also keep its segments apart: it need not know that it is the first.
          const part = await observed(quantizer, layer, from, to, { later: from > 0 || apart })
          parts.push(Observations.from(part.bytes))
        }
        const fromLeft = parts.reduce(merge)
        const fromRight = parts.reduceRight((behind, before) => merge(before, behind))
        expect(fromLeft.exact).toBe(true)
        expectEqual(fromLeft, expected)
        expectEqual(fromRight, expected)
      }),
      { seed: 202, numRuns: 60 },
    )
  })

  it('is marked as inexact where a part ends within a segment, and is correct but for its last bits', async () => {
    const layer = dense(1000, 12, true, 256, 203)
    const whole = await observed(quantizer, layer, 0, 1000)
    const merged = merge(
      await observed(quantizer, layer, 0, 300),
      await observed(quantizer, layer, 300, 1000),
    )
    expect(merged.exact).toBe(false)
    const [a, b] = [merged.total().values, whole.total().values]
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-3)
  })

  it('equals the float64 product', async () => {
    const [rows, inputs] = [700, 21]
    const x = integers(rows * inputs, 9, 204)
    const xq = integers(rows * inputs, 9, 205)
    const layer: Given = {
      ...{ inputs: { inputs, segmentRows: 300 }, items: rows, floats: inputs, segmentItems: 300, x, xq },
    }
    const observations = await observed(quantizer, layer, 0, rows)
    const { shape } = observations
    const { values } = observations.total()
    const expected = { h: gramMatrix(xq, xq, rows, inputs), g: gramMatrix(xq, x, rows, inputs) }
    const { g } = sumLayout(shape)
    for (let i = 0; i < inputs; i++) {
      for (let s = 0; s < inputs; s++) {
        const entry = i * inputs + s
        expect(values[g + entryAt({ groups: 1, inputs, triangular: false }, 0, i, s)]).toBe(expected.g[entry])
        if (s <= i)
          expect(values[entryAt({ groups: 1, inputs, triangular: true }, 0, i, s)]).toBe(expected.h[entry])
      }
    }
  })

  it('of a convolution equals that of its patches, by correlations and by patches', async () => {
    for (const strides of [1, 2]) {
      const geometry: PatchGeometry = {
        ...{ batch: 5, channels: 32, groups: 2, height: 11, width: 10, kernel: [3, 3] },
        ...{ strides: [strides, strides], dilations: [1, 1], pads: [1, 1, 1, 1] },
      }
      const x = integers(5 * 32 * 110, 5, 206)
      const seen = await quantizer.observe({ convolution: geometry, quantized: false })
      await seen.add(x)
      const weights = reals(2 * 16 * 9 * 4, 207)
      const { codes } = await quantizer.solve(seen, weights, { levels: 7 })
      // The same layer as dense groups of patches, one by one.
      const all = patches(x, geometry)
      for (const [group, samples] of all.groups.entries()) {
        const own = weights.subarray(group * 16 * 9 * 4, (group + 1) * 16 * 9 * 4)
        const problem = { weights: own, inputs: 16 * 9, neurons: 4, samples: Float32Array.from(samples) }
        const alone = await quantizer.quantizeLayer(problem, { levels: 7, measure: false })
        expectSame(codes.subarray(group * 16 * 9 * 4, (group + 1) * 16 * 9 * 4), alone.codes, 'code')
      }
    }
  })
})

describe('bytes', () => {
  it('come back as they were', async () => {
    await fc.assert(
      fc.asyncProperty(given, async (layer) => {
        const observations = await observed(quantizer, layer, 0, layer.items)
        const again = Observations.from(observations.bytes)
        expect(again).toEqual(observations)
      }),
      { seed: 208, numRuns: 20 },
    )
  })

  it('that are damaged, truncated, too long or of another kind are refused with a reason', async () => {
    const { bytes } = await observed(quantizer, dense(300, 7, true, 256, 209), 0, 300)
    const refused = (given: Uint8Array): void => {
      try {
        Observations.from(given, 'part.obs')
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_DATA', place: expect.stringContaining('part.obs') })
        return
      }
      expect.fail('expected the bytes to be refused')
    }
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = bytes.slice()
        damaged[at] = damaged[at]! ^ change
        refused(damaged)
        refused(bytes.subarray(0, at))
      }),
      { seed: 210, numRuns: 300 },
    )
    refused(Uint8Array.of(...bytes, ...new Uint8Array(64)))
    refused(
      new TextEncoder().encode('GPFQSOLN and more than sixty-four bytes that are something else altogether'),
    )
  })

  it('of different shapes are not merged', async () => {
    const a = await observed(quantizer, dense(20, 7, true, 256, 211), 0, 20)
    const b = await observed(quantizer, dense(20, 8, true, 256, 211), 0, 20)
    expect(() => merge(a, b)).toThrow(/observations, inputs: expected 7 in every part, got 8/)
  })
})
