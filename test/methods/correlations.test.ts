/**
 * H and G of convolutions by correlations of their channels equal the Gram matrices of all patches, for every geometry. The
 * samples are small integers, whose sums are exact in float32, so the comparison is to the last bit.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gatherFor } from '#src/calibration/gather.js'
import { scalesFor } from '#src/methods/alphabet.js'
import { preferCorrelation, withCorrelation } from '#src/methods/correlationPlan.js'
import { allocate } from '#src/methods/layout.js'
import { loadMatrices } from '#src/methods/matrices.js'
import { sumLayout } from '#src/methods/observations.js'
import { observe } from '#src/methods/observe.js'
import { GPFQ } from '#src/methods/recipe.js'
import { planSamples, type SampleShape } from '#src/methods/samplePlan.js'
import { type Convolution, paddedBytes, type SampleBatch } from '#src/methods/samples.js'
import { planSolve } from '#src/methods/solvePlan.js'
import { gramMatrix } from '#src/reference/gram.js'
import { type PatchGeometry, patches } from '#src/reference/patches.js'
import { expectSame } from '../arrays.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { gramIndex, matrixLength } from '../kernels/layout.js'
import { activations, disturbed, integers, reals } from '../random.js'
import { observeAndSolve } from './observeAndSolve.js'

const THREADS = [1, 2, 5]
let engines: OwnEngine[]
beforeAll(async () => {
  engines = await Promise.all(THREADS.map(createEngine))
})
afterAll(async () => {
  await Promise.all(engines.map(({ pool }) => pool.close()))
})

interface Layer {
  readonly geometry: PatchGeometry
  readonly x: Float32Array // (batch, channels, height, width)
  readonly xq: Float32Array | null
}

/** Images of a segment of the canonical sum. */
const SEGMENT_IMAGES = 3

const SAME_3X3 = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] } as const

/** @param cut images in a batch */
function samplesOf(
  { geometry, x, xq }: Layer,
  cut: number,
): {
  shape: SampleShape
  convolution: Convolution
  batches: SampleBatch[]
} {
  const { batch, channels, height, width, kernel, groups } = geometry
  const image = channels * height * width
  const inputs = (channels / groups) * kernel[0] * kernel[1]
  const batches = Array.from({ length: Math.ceil(batch / cut) }, (_, b): SampleBatch => {
    const [from, to] = [b * cut, Math.min(batch, (b + 1) * cut)]
    const part = (values: Float32Array): Float32Array => values.subarray(from * image, to * image)
    const gather = gatherFor({
      place: 'conv',
      sampling: { kind: 'patches', ...geometry, autoPad: 'NOTSET' },
      dims: [to - from, channels, height, width],
      ...{ inputs, groups, firstImage: from, images: batch, patches: 0 },
    })
    return { x: part(x), xq: xq === null ? null : part(xq), gather }
  })
  const most = (of: (batch: SampleBatch) => number): number => Math.max(...batches.map(of))
  const imageRows = batches[0]!.gather.rows / batches[0]!.gather.images
  const shape: SampleShape = {
    rows: batches.reduce((sum, { gather }) => sum + gather.rows, 0),
    ...{ inputs, groups, streamsEqual: xq === null, wholeG: true, means: false },
    segmentRows: imageRows * SEGMENT_IMAGES,
    batchBytes: most((b) => b.x.byteLength),
    batchPaddedBytes: most(({ gather }) => paddedBytes(gather)),
    batchRows: most(({ gather }) => gather.rows),
  }
  return { shape, batches, convolution: batches[0]!.gather.convolution! }
}

/** H and G of all patches, and the dead inputs. */
async function correlate(
  engine: OwnEngine,
  layer: Layer,
  whole: boolean,
  cut = layer.geometry.batch,
): Promise<{ h: Float32Array; g: Float32Array; panels: number; dead: number }> {
  const { shape, convolution, batches } = samplesOf(layer, cut)
  const wanted = withCorrelation({ ...shape, wholeG: whole }, convolution)
  const { layout, panels } = planSamples(wanted)
  const { arena } = engine
  const mark = arena.mark()
  // The result must not depend on what the memory held before.
  arena.floats(arena.allocate(layout.bytes), layout.bytes / 4).fill(Number.NaN)
  arena.release(mark)
  const observations = await observe(engine, wanted, batches, { place: 'conv' })
  const solved = {
    ...{ ...wanted, neurons: 1, candidates: whole ? 13 : 1, blockSize: wanted.inputs },
    ...{ pixelBytes: 4 * sumLayout(observations.shape).length, recipe: GPFQ, withErrors: false },
  }
  const plan = planSolve(solved, 1)
  const regions = allocate(arena, plan.layout)
  const matrices = await loadMatrices(engine, observations, solved, plan, regions, {})
  const length = wanted.groups * matrixLength(panels, !whole)
  const [own, g] = [matrices.h, matrices.g].map((at) => arena.floats(at, length).slice())
  arena.release(mark)
  const diagonal = Array.from({ length: wanted.groups * wanted.inputs }, (_, i) => {
    const [group, t] = [Math.floor(i / wanted.inputs), i % wanted.inputs]
    return own![group * matrixLength(panels, !whole) + gramIndex(t, t, panels, !whole)]!
  })
  return {
    h: own!,
    g: g!,
    panels,
    dead: diagonal.filter((norm2) => norm2 === 0).length,
  }
}

const axis = fc.record({
  kernel: fc.integer({ min: 1, max: 4 }),
  dilation: fc.integer({ min: 1, max: 3 }),
  before: fc.integer({ min: 0, max: 5 }),
  after: fc.integer({ min: 0, max: 5 }),
  more: fc.integer({ min: 0, max: 12 }),
})
const geometries = fc
  .record({
    y: axis,
    x: axis,
    batch: fc.integer({ min: 1, max: 5 }),
    groups: fc.integer({ min: 1, max: 3 }),
    perGroup: fc.integer({ min: 1, max: 18 }),
  })
  .map(({ y, x, batch, groups, perGroup }): PatchGeometry => {
    // At least as large as the kernel, with its padding.
    const size = (a: typeof y): number =>
      Math.max(1, (a.kernel - 1) * a.dilation + 1 - a.before - a.after) + a.more
    return {
      ...{ batch, channels: groups * perGroup, groups, height: size(y), width: size(x) },
      ...{ kernel: [y.kernel, x.kernel], strides: [1, 1], dilations: [y.dilation, x.dilation] },
      pads: [y.before, x.before, y.after, x.after],
    }
  })
const pixels = ({ batch, channels, height, width }: PatchGeometry): number =>
  batch * channels * height * width

describe('correlations', () => {
  it('are the Gram matrices of all patches: any padding, dilation, kernel, size and group', async () => {
    await fc.assert(
      fc.asyncProperty(geometries, fc.boolean(), fc.boolean(), async (geometry, same, whole) => {
        const x = integers(pixels(geometry), 9, 51)
        const xq = same ? null : integers(pixels(geometry), 9, 52)
        const { h, g, panels } = await correlate(engines[1]!, { geometry, x, xq }, whole)
        const analog = patches(x, geometry)
        const quantized = patches(xq ?? x, geometry)
        const { rows, inputs } = analog
        for (let group = 0; group < geometry.groups; group++) {
          const [a, q] = [analog.groups[group]!, quantized.groups[group]!]
          const expected = { h: gramMatrix(q, q, rows, inputs), g: gramMatrix(q, a, rows, inputs) }
          const base = group * matrixLength(panels, !whole)
          for (let i = 0; i < inputs; i++) {
            for (let s = 0; s < inputs; s++) {
              const entry = i * inputs + s
              if (!whole && s > i) continue
              for (const [name, found] of Object.entries({ h, g })) {
                const value = found[base + gramIndex(i, s, panels, !whole)]
                const sum = expected[name as 'h' | 'g'][entry]
                if (value !== sum) expect(value, `${name} ${i}, ${s}`).toBe(sum)
              }
            }
          }
        }
      }),
      { seed: 53, numRuns: 150 },
    )
  })

  it('are the same bytes for any number of threads and any cut into batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        geometries,
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        async (geometry, same, cut) => {
          const x = activations(pixels(geometry), 54)
          const layer = { geometry, x, xq: same ? null : disturbed(x, 0.1, 55) }
          const expected = await correlate(engines[0]!, layer, true)
          for (const engine of engines.slice(1)) {
            const actual = await correlate(engine, layer, true, cut)
            expectSame(actual.h, expected.h, 'H')
            expectSame(actual.g, expected.g, 'G')
          }
        },
      ),
      { seed: 56, numRuns: 40 },
    )
  })

  it('handle images larger than a piece, and more images than a piece holds', async () => {
    for (const [batch, side, channels] of [
      [2, 190, 9],
      [40, 30, 24],
    ] as const) {
      const geometry: PatchGeometry = {
        ...{ batch, channels, groups: 1, height: side, width: side + 3 },
        ...SAME_3X3,
      }
      // Ones, twos and zeros: the sums stay below 2²⁴.
      const x = integers(pixels(geometry), 2, 57)
      const { h, panels } = await correlate(engines[1]!, { geometry, x, xq: null }, false, 7)
      const [all] = patches(x, geometry).groups
      const [rows, inputs] = [batch * side * (side + 3), 9 * channels]
      for (const [i, s] of [
        [0, 0],
        [13, 4],
        [inputs - 1, 0],
        [inputs - 1, inputs - 1],
      ] as const) {
        let sum = 0
        for (let r = 0; r < rows; r++) sum += all![r * inputs + i]! * all![r * inputs + s]!
        expect(h[gramIndex(i, s, panels, true)]).toBe(sum)
      }
    }
  })

  it('count inputs as dead that are outside of all patches, even where other taps see the channel', async () => {
    const geometry: PatchGeometry = {
      ...{ batch: 2, channels: 2, groups: 1, height: 6, width: 5 },
      ...SAME_3X3,
      pads: [0, 0, 0, 0],
    }
    // The first channel is seen in the last line only, by the last row of taps.
    const x = activations(pixels(geometry), 58).map((value, i) =>
      Math.floor(i / 30) % 2 === 0 && i % 30 < 25 ? 0 : value,
    )
    const { h, dead, panels } = await correlate(engines[0]!, { geometry, x, xq: null }, true)
    expect(dead).toBe(6)
    for (let s = 0; s < 18; s++) {
      const [row, column] = [Math.max(4, s), Math.min(4, s)]
      expect(h[gramIndex(row, column, panels, false)]).toBe(0)
      expect(h[gramIndex(column, row, panels, false)]).toBe(0)
    }
    expect(h[gramIndex(7, 7, panels, false)]).toBeGreaterThan(0)
  })
})

describe('observe', () => {
  const geometry: PatchGeometry = {
    ...{ batch: 6, channels: 24, groups: 1, height: 24, width: 24 },
    ...SAME_3X3,
  }

  it('gives the same codes by patches and by correlations, and chooses correlations where they take less', async () => {
    const x = activations(pixels(geometry), 59)
    for (const xq of [null, disturbed(x, 0.1, 60)]) {
      const { shape, convolution, batches } = samplesOf({ geometry, x, xq }, 4)
      const weightShape = { groups: 1, inputs: shape.inputs, neurons: 3 }
      const weights = reals(shape.inputs * 3, 61)
      const scales = scalesFor(weights, weightShape, 7, 'neuron', { rule: 'search' })
      const request = { weights, shape: weightShape, levels: 7, scales, search: 'neuron' } as const
      const run = (layer: SampleShape) =>
        observeAndSolve(engines[1]!, layer, () => batches, [request], { place: 'conv', measure: true })
      const byCorrelations = await run(preferCorrelation(shape, convolution))
      const byPatches = await run(shape)
      expect(byCorrelations.observations?.shape.convolution).toEqual(convolution)
      expect(byPatches.observations?.shape.convolution).toBeNull()
      const [{ codes }, { codes: others }] = [byCorrelations.solutions[0]!, byPatches.solutions[0]!]
      const different = codes.filter((code, i) => code !== others[i]).length
      expect(different).toBeLessThanOrEqual(codes.length / 500) // ties
      expect(byCorrelations.relativeError! / byPatches.relativeError!).toBeCloseTo(1, 3)
    }
  })

  it('finds samples that are not finite', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = activations(pixels(geometry), 62)
      x[7000] = bad
      const { shape, convolution, batches } = samplesOf({ geometry, x, xq: null }, 6)
      const layer = preferCorrelation(shape, convolution)
      const run = observe(engines[1]!, layer, batches, { place: 'conv' })
      await expect(run).rejects.toThrow(/conv: expected finite inputs/)
    }
  })

  it('sums patches where there are few: a depthwise layer, images hardly larger than the kernel', () => {
    const x = new Float32Array(pixels(geometry))
    const own = { ...geometry, groups: 24 }
    const small = { ...geometry, height: 4, width: 4, batch: 216 }
    for (const other of [own, small]) {
      const { shape, convolution } = samplesOf({ geometry: other, x, xq: null }, 6)
      expect(preferCorrelation(shape, convolution)).toBe(shape)
    }
  })

  it('sums patches where one image would take more than 256 MiB', () => {
    const { shape, convolution } = samplesOf({ geometry, x: new Float32Array(pixels(geometry)), xq: null }, 6)
    const wide = (side: number): SampleShape => {
      const out = [side, side] as const
      const rows = side ** 2
      return preferCorrelation({ ...shape, rows, segmentRows: rows }, { ...convolution, size: out, out })
    }
    expect(wide(1600).correlation?.bytes).toBeGreaterThan(200 * 2 ** 20)
    expect(wide(1700).correlation).toBeUndefined()
  })
})
