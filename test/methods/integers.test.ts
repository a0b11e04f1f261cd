/**
 * H of quantized inputs, summed on integers: the exact sum of each segment, rounded to float32 once, and the same bytes at
 * every number of threads, in any batches and for parts that are merged. All other sums are those without a scale.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { merge, Observations, sumLayout } from '#src/methods/observations.js'
import { observe } from '#src/methods/observe.js'
import { entryAt } from '#src/methods/panelMatrix.js'
import type { SampleShape } from '#src/methods/samplePlan.js'
import { roundActivations } from '#src/onnx/activations/quantizer.js'
import { gramMatrix } from '#src/reference/gram.js'
import { expectSame } from '../arrays.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { reals } from '../random.js'
import { batchesOf, type Dense, samplesOf } from './dense.js'

const engines = await Promise.all([1, 2, 3].map(createEngine))
const [engine] = engines as [OwnEngine]
afterAll(() => Promise.all(engines.map(({ pool }) => pool.close())))

interface Drawn {
  readonly rows: number
  readonly inputs: number
  readonly segmentRows: number
  readonly scale: number
  readonly zeroPoint: number
  readonly wholeG: boolean
  readonly means: boolean
  readonly seed: number
}

const drawn = fc.record<Drawn>({
  rows: fc.integer({ min: 1, max: 1500 }),
  inputs: fc.integer({ min: 1, max: 40 }),
  segmentRows: fc.constantFrom(64, 100, 256, 300, 1025, 4096),
  scale: fc.double({ min: 1e-3, max: 1, noNaN: true }).map(Math.fround),
  zeroPoint: fc.integer({ min: 0, max: 255 }),
  wholeG: fc.boolean(),
  means: fc.boolean(),
  seed: fc.nat(),
})

function layerOf({ rows, inputs, scale, zeroPoint, seed }: Drawn): Dense {
  const x = reals(rows * inputs, seed).map((value) => 60 * scale * value)
  const xq = roundActivations(x, { scale, zeroPoint }, new Float32Array(x.length))
  return { rows, inputs, neurons: 0, weights: new Float32Array(0), x, xq }
}

/** Observes rows `from` to `to`. @param exact whether the scale is given */
function observed(
  on: OwnEngine,
  layer: Dense,
  { scale, segmentRows, wholeG, means }: Drawn,
  {
    exact = true,
    ...cut
  }: { readonly exact?: boolean; readonly batch?: number; readonly from?: number; readonly to?: number } = {},
): Promise<Observations> {
  const { batch = layer.rows, from = 0, to = layer.rows } = cut
  const part = (values: Float32Array): Float32Array => values.subarray(from * layer.inputs, to * layer.inputs)
  const own = { ...layer, rows: to - from, x: part(layer.x), xq: part(layer.xq!) }
  const known = { ...samplesOf(own, batch), segmentRows, wholeG, means }
  const shape: SampleShape = exact ? { ...known, scale } : known
  return observe(on, shape, batchesOf(own, batch), { place: 'test', later: from > 0 })
}

describe('H on integers', () => {
  it('is the exact sum of each segment, rounded once; G and the means are as without it', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, async (given) => {
        const { rows, inputs, segmentRows, scale } = given
        const layer = layerOf(given)
        const { shape, sums } = await observed(engine, layer, given)
        const [found, floats] = [sums[0]!, (await observed(engine, layer, given, { exact: false })).sums[0]!]
        const { g } = sumLayout(shape)
        expectSame(found.values.subarray(g), floats.values.subarray(g), 'G')
        expectSame(found.means, floats.means, 'means')
        const h = new Float32Array(inputs * inputs)
        for (let row = 0; row < rows; row += segmentRows) {
          const count = Math.min(segmentRows, rows - row)
          const integers = layer
            .xq!.subarray(row * inputs, (row + count) * inputs)
            .map((value) => Math.round(value / scale))
          const segment = gramMatrix(integers, integers, count, inputs)
          for (let i = 0; i < h.length; i++) h[i] = h[i]! + Math.fround(scale * scale * segment[i]!)
        }
        for (let i = 0; i < inputs; i++) {
          for (let s = 0; s <= i; s++) {
            const at = entryAt({ groups: 1, inputs, triangular: true }, 0, i, s)
            expect(found.values[at], `${i}, ${s}`).toBe(h[i * inputs + s])
          }
        }
      }),
      { seed: 301, numRuns: 60 },
    )
  })

  it('is the same to the last bit for any threads, batches and parts', async () => {
    await fc.assert(
      fc.asyncProperty(
        drawn,
        fc.integer({ min: 10, max: 700 }),
        fc.array(fc.nat({ max: 30 }), { maxLength: 3 }),
        async (given, batch, places) => {
          const { rows, segmentRows } = given
          const layer = layerOf(given)
          const expected = await observed(engine, layer, given)
          for (const on of engines) {
            expectSame((await observed(on, layer, given, { batch })).bytes, expected.bytes, 'byte')
          }
          const borders = places.map((place) => place * segmentRows).filter((row) => row > 0 && row < rows)
          const bounds = [...new Set([0, ...borders, rows])].sort((a, b) => a - b)
          const parts: Observations[] = []
          for (const [i, to] of bounds.slice(1).entries()) {
            const part = await observed(engines[i % 3]!, layer, given, { batch, from: bounds[i]!, to })
            parts.push(Observations.from(part.bytes))
          }
          expectSame(parts.reduce(merge).bytes, expected.bytes, 'byte')
        },
      ),
      { seed: 302, numRuns: 40 },
    )
  })

  it('finds samples that are not finite', async () => {
    const given: Drawn = {
      ...{ rows: 20, inputs: 9, segmentRows: 64, scale: 0.5, zeroPoint: 7 },
      ...{ wholeG: false, means: false, seed: 1 },
    }
    const layer = layerOf(given)
    for (const values of [layer.x, layer.xq!]) {
      const before = values[30]!
      values[30] = Number.NaN
      await expect(observed(engine, layer, given)).rejects.toMatchObject({ code: 'INVALID_DATA' })
      values[30] = before
    }
  })
})
