/** Packing: for any batches the panels hold the samples in order, and the rows of full panels are used once. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gatherFor } from '#src/calibration/gather.js'
import { allocate, layOut } from '#src/methods/layout.js'
import { type PackedShape, Packer } from '#src/methods/packing.js'
import { blockBytesOf, pieceBlocksOf, staging } from '#src/methods/samplePlan.js'
import { paddedBytes } from '#src/methods/samples.js'
import { patches } from '#src/reference/patches.js'
import { expectSame } from '../arrays.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { samplePanels } from '../kernels/layout.js'
import { disturbed, reals } from '../random.js'
import { batchesOf, randomDense } from './dense.js'

let engine: OwnEngine
beforeAll(async () => {
  engine = await createEngine(2)
})
afterAll(() => engine.pool.close())

/** A packer with its own memory, for as long as `use` takes. @param blocks sample blocks that its panels hold */
async function withPacker(
  shape: PackedShape,
  blocks: number,
  use: (packer: Packer) => Promise<void>,
): Promise<void> {
  const { arena } = engine
  const mark = arena.mark()
  try {
    const layout = layOut({ ...staging(shape), 'packed samples': blocks * blockBytesOf(shape) })
    await use(new Packer(engine, shape, allocate(arena, layout), blocks))
  } finally {
    arena.release(mark)
  }
}

/** Blocks for all rows and one more, so that the panels never fill up. */
const roomFor = (rows: number): number => Math.floor(rows / 256) + 1

const dense = (rows: number, inputs: number, cut: number, streamsEqual: boolean): PackedShape => ({
  ...{ rows, inputs, groups: 1, streamsEqual },
  ...{ batchBytes: 4 * cut * inputs, batchPaddedBytes: 0, batchRows: cut },
})

/** Rows of the panels that hold samples; the others may hold anything. */
function expectRows(actual: Float32Array, expected: Float32Array): void {
  const known = actual.map((value, i) => (Number.isNaN(expected[i]) ? Number.NaN : value))
  expectSame(
    known,
    expected.map((value) => (Number.isNaN(value) ? Number.NaN : value)),
  )
}

describe('add', () => {
  it('packs batches of any size one after another', async () => {
    const sizes = { rows: fc.integer({ min: 1, max: 600 }), inputs: fc.integer({ min: 1, max: 40 }) }
    await fc.assert(
      fc.asyncProperty(
        fc.record(sizes),
        fc.integer({ min: 20, max: 600 }),
        fc.boolean(),
        async (dims, cut, same) => {
          const { rows, inputs } = dims
          const layer = randomDense(rows, inputs, 1, same, 4)
          const shape = dense(rows, inputs, cut, same)
          await withPacker(shape, roomFor(rows), async (packer) => {
            for (const batch of batchesOf(layer, cut)) await packer.add(batch, () => [], {})
            await packer.idle()
            expect(packer.rows).toBe(rows)
            const panels = Math.ceil(inputs / 8)
            for (const [at, values] of [
              [packer.x, layer.x],
              [packer.xq, layer.xq ?? layer.x],
            ] as const) {
              const expected = samplePanels([{ rows, columns: inputs, values }], panels)
              expectRows(engine.arena.floats(at, expected.length), expected)
            }
          })
        },
      ),
      { seed: 30, numRuns: 30 },
    )
  })

  it('uses full panels once, as a whole, and fills them again', async () => {
    const [rows, inputs, cut] = [5000, 1200, 700]
    const shape = dense(rows, inputs, cut, false)
    const blocks = pieceBlocksOf(shape)
    const capacity = 256 * blocks
    expect(capacity).toBeLessThan(rows)
    const x = new Float32Array(rows * inputs)
    const layer = { rows, inputs, neurons: 1, weights: new Float32Array(inputs), x, xq: x }
    await withPacker(shape, blocks, async (packer) => {
      const consumed: number[] = []
      const consume = (count: number, ends: boolean): [] => {
        expect(ends).toBe(false)
        consumed.push(count)
        return []
      }
      for (const batch of batchesOf(layer, cut)) await packer.add(batch, consume, {})
      await packer.idle()
      expect(consumed).toEqual(Array.from({ length: Math.floor(rows / capacity) }, () => capacity))
      expect(packer.rows).toBe(rows % capacity)
    })
  })

  it('uses the rows in the panels at the end of a segment', async () => {
    const [rows, inputs] = [700, 9]
    const layer = randomDense(rows, inputs, 1, true, 8)
    const shape = dense(rows, inputs, 300, true)
    await withPacker(shape, 1, async (packer) => {
      const consumed: [number, boolean][] = []
      const consume = (count: number, ends: boolean): [] => {
        consumed.push([count, ends])
        return []
      }
      for (const [i, batch] of [...batchesOf(layer, 300)].entries())
        await packer.add(batch, consume, {}, i === 1)
      await packer.idle()
      expect(consumed).toEqual([
        [256, false],
        [256, false],
        [88, true],
      ])
      expect(packer.rows).toBe(100)
    })
  })

  it('gathers the patches of padded, grouped convolutions from both streams', async () => {
    const geometry = {
      ...{ batch: 3, channels: 6, height: 9, width: 8, groups: 2 },
      kernel: [3, 2],
      strides: [2, 1],
      dilations: [1, 2],
      pads: [1, 0, 2, 1],
    } as const
    const x = reals(3 * 6 * 9 * 8, 6)
    const xq = disturbed(x, 0.1, 7)
    const analog = patches(x, geometry)
    const quantized = patches(xq, geometry)
    const gather = gatherFor({
      place: 'conv',
      sampling: { kind: 'patches', ...geometry, autoPad: 'NOTSET' },
      dims: [3, 6, 9, 8],
      inputs: analog.inputs,
      groups: 2,
      firstImage: 0,
      images: 3,
      patches: 0,
    })
    const { rows, inputs } = analog
    const shape = {
      ...dense(rows, inputs, rows, false),
      groups: 2,
      batchBytes: 4 * x.length,
      batchPaddedBytes: paddedBytes(gather),
    }
    await withPacker(shape, roomFor(rows), async (packer) => {
      await packer.add({ x, xq, gather }, () => [], {})
      await packer.idle()
      const panels = Math.ceil(inputs / 8)
      for (const [at, { groups }] of [
        [packer.x, analog],
        [packer.xq, quantized],
      ] as const) {
        const expected = samplePanels(
          groups.map((values) => ({ rows, columns: inputs, values })),
          panels,
        )
        expectRows(engine.arena.floats(at, expected.length), expected)
      }
    })
  })
})
