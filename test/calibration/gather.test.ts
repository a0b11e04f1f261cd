/** The gather of every sampling rule against patches taken the obvious way. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gatherFor, patchesPerImage } from '#src/calibration/gather.js'
import type { Gather } from '#src/methods/samples.js'
import type { Sampling } from '#src/onnx/layer.js'
import { patches } from '#src/reference/patches.js'
import { noise } from '../onnx/build.js'

/** Rows of one group, read byte offset by byte offset as the packing kernel does. */
function rowsOf(gather: Gather, tensor: Float32Array, group: number): number[][] {
  const source = padded(gather, tensor)
  return Array.from(gather.rowAt, (row) =>
    Array.from(gather.columnAt, (column) => source[(group * gather.groupBytes + row + column) / 4]!),
  )
}

function padded({ padding }: Gather, tensor: Float32Array): Float32Array {
  if (padding === null) return tensor
  const { planes, height, width, paddedHeight, paddedWidth, top, left } = padding
  const out = new Float32Array(planes * paddedHeight * paddedWidth)
  for (let p = 0; p < planes; p++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        out[(p * paddedHeight + y + top) * paddedWidth + x + left] = tensor[(p * height + y) * width + x]!
      }
    }
  }
  return out
}

const geometry = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  perGroup: fc.integer({ min: 1, max: 3 }),
  groups: fc.integer({ min: 1, max: 3 }),
  height: fc.integer({ min: 5, max: 9 }),
  width: fc.integer({ min: 5, max: 9 }),
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  pads: fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 2 }))),
})

describe('gatherFor', () => {
  it('gives every patch of a convolution in the order (c, kh, kw)', () => {
    fc.assert(
      fc.property(geometry, ({ perGroup, groups, ...g }) => {
        const channels = perGroup * groups
        const x = noise(g.batch * channels * g.height * g.width, 7)
        const pads = g.pads as [number, number, number, number]
        const sampling: Sampling = { kind: 'patches', ...g, pads, groups, autoPad: 'NOTSET' }
        const expected = patches(x, { ...g, pads, channels, groups })
        const gather = gatherFor({
          place: 'conv',
          sampling,
          dims: [g.batch, channels, g.height, g.width],
          inputs: expected.inputs,
          groups,
          firstImage: 0,
          images: g.batch,
          patches: 0,
        })
        expect(gather.rows).toBe(expected.rows)
        for (let group = 0; group < groups; group++) {
          expect(rowsOf(gather, x, group).flat()).toEqual([...expected.groups[group]!])
        }
      }),
      { seed: 3, numRuns: 150 },
    )
  })

  it('spreads a limited number of patches over positions, shifted from image to image', () => {
    const sampling: Sampling = {
      kind: 'patches',
      kernel: [1, 1],
      strides: [1, 1],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      autoPad: 'NOTSET',
      groups: 1,
    }
    const common = {
      place: 'conv',
      sampling,
      dims: [4, 1, 6, 6],
      inputs: 1,
      groups: 1,
      images: 10,
      patches: 120,
    }
    const rows = gatherFor({ ...common, firstImage: 2 }).rowAt
    // P = min(36, 120 / 10) = 12, s = 3: image b takes (b mod 3) + 3k.
    expect(patchesPerImage(36, 10, 120)).toBe(12)
    const taken = Array.from({ length: 4 }, (_, b) =>
      [...rows.slice(12 * b, 12 * b + 12)].map((at) => at / 4 - 36 * b),
    )
    taken.forEach((positions, b) => {
      expect(positions).toEqual(Array.from({ length: 12 }, (_, k) => ((b + 2) % 3) + 3 * k))
    })
  })

  it('reads the last axis of any number of leading axes as a row', () => {
    const x = noise(2 * 3 * 5)
    const gather = gatherFor({
      place: 'matmul',
      sampling: { kind: 'rows' },
      dims: [2, 3, 5],
      inputs: 5,
      groups: 1,
      firstImage: 0,
      images: 2,
      patches: 1,
    })
    expect(rowsOf(gather, x, 0).flat()).toEqual([...x])
    expect(gather.contiguous).toBe(true)
  })

  it('reads the columns of a transposed operand', () => {
    const x = noise(2 * 4 * 3)
    const gather = gatherFor({
      place: 'matmul',
      sampling: { kind: 'columns' },
      dims: [2, 4, 3],
      inputs: 4,
      groups: 1,
      firstImage: 0,
      images: 2,
      patches: 0,
    })
    const expected = [0, 1].flatMap((b) =>
      [0, 1, 2].map((t) => [0, 1, 2, 3].map((n) => x[(b * 4 + n) * 3 + t]!)),
    )
    expect(rowsOf(gather, x, 0)).toEqual(expected)
  })

  it('names the layer and both shapes when data does not fit', () => {
    const request = {
      place: "layer 'fc'",
      sampling: { kind: 'rows' } as const,
      dims: [2, 7],
      inputs: 5,
      groups: 1,
      firstImage: 0,
      images: 2,
      patches: 0,
    }
    expect(() => gatherFor(request)).toThrow(/layer 'fc': expected .*5\).*got \(2, 7\)/)
  })
})
