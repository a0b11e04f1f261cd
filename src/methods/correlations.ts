/**
 * Gram matrices of a convolution with stride 1, without packing most of its patches. With x_c(p + i) the input of channel c
 * at tap i of the patch at position p,
 *
 *     H_(c,i)(c',j) = Σ_p x_c(p + i) x_c'(p + j) = Σ_q x_c(q + i − j) x_c'(q)   − the terms of no output position.
 *
 * The second sum is over all pixels q of the image: it counts every position at which a patch overlaps the image. It
 * depends on i − j alone, so a 3 × 3 kernel needs 25 correlations of C × C channels (13 for H, by symmetry) instead of 45
 * blocks of patches. It counts too much: the positions that overlap the image but give no output. They are a ring around
 * the output, with padding 1 one line along the border. Their patches are packed and summed like any others, and that sum is
 * subtracted. Both sums are observations: this file computes them, and combineCorrelations.ts subtracts them when the
 * layer is solved.
 *
 * Images are stored in panels [group][panel of 8 channels][pixels][8], with zeros between lines and between images. A shift
 * by (y, x) is then a pointer moved by y·pitch + x pixels, and pixels shifted across a border meet zeros. Summation: blocks
 * of 256 pixels from the first image in the panels, however the samples are cut into batches.
 */
import type { Phase, Task } from '../engine/job.js'
import type { Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import { imagesOf, tapsOf } from './convolution.js'
import type { CorrelationPlan } from './correlationPlan.js'
import type { Engine } from './engine.js'
import type { Regions } from './layout.js'
import type { SumLayout } from './observations.js'
import { type Consume, Packer, type Slot } from './packing.js'
import { inAllImages, type PatchGrid, patchGather, patchGrid } from './patches.js'
import type { SampleShape } from './samplePlan.js'
import type { Axes, Gather } from './samples.js'
import { type SumPointers, targets } from './sumPointers.js'

const ONE: Axes = [1, 1]

/** Most pixels that one task packs. */
const PACKED = 4096

/** Addresses and layout of the sums. */
interface Sums extends SumPointers {
  readonly layout: SumLayout
}

type CorrelatedShape = SampleShape & { readonly correlation: CorrelationPlan }

/** A packer that also packs and sums the pixels of the images. */
export class Correlations extends Packer {
  readonly #shape: CorrelatedShape
  readonly #sums: Sums
  readonly #x: Pointer // panels of pixels, after `lead` pixels of zeros
  readonly #xq: Pointer
  #pixels = 0 // in the panels

  constructor(engine: Engine, shape: CorrelatedShape, regions: Regions, residentBlocks: number, sums: Sums) {
    super(engine, shape, regions, residentBlocks)
    const { streamBytes } = shape.correlation
    const pixels = 'packed pixels'
    this.#shape = shape
    this.#sums = sums
    this.#x = regions.at(pixels)
    this.#xq = shape.streamsEqual ? this.#x : this.#x + streamBytes
    engine.arena.floats(this.#x, regions.bytes(pixels) / 4).fill(0)
  }

  /** The job for a batch packs the patches of the ring, and all pixels. */
  protected override phases(slot: Slot, gather: Gather, consume: Consume, ends: boolean): Phase[] {
    const { inputs, groups, correlation } = this.#shape
    const { reach, convolution } = correlation
    const { pads, out, size } = convolution
    const geometry = { ...convolution, strides: ONE, pads: [...reach, ...reach] as const }
    const channels = (groups * inputs) / tapsOf(convolution)
    const images = imagesOf(convolution, gather.rows)
    const batch = { images, channels, height: size[0], width: size[1], groups }
    const grid = patchGrid(geometry, batch)
    const outside = (y: number, x: number): boolean => {
      const [p, q] = [y - reach[0] + pads[0], x - reach[1] + pads[1]]
      return p < 0 || p >= out[0] || q < 0 || q >= out[1]
    }
    const ring = patchGather(geometry, batch, this.#rows(grid, images, outside, [0, 0]), null)
    // A pixel is a patch of one tap, the last one of the patch at its position.
    const all = this.#rows(grid, images, () => true, reach)
    const pixels = patchGather({ ...geometry, kernel: ONE }, batch, all, null)
    return [
      ...super.phases(slot, ring, consume, ends),
      // A convolution without a ring has no patches, but its segment must end too.
      ...(ends && ring.rows === 0 ? consume(0, true) : []),
      ...this.#add(slot, pixels, slot.offsets + 4 * (ring.rows + inputs), ends),
    ]
  }

  /** Bytes of the rows at all positions for which `among` is true, from every image; each moved by some pixels. */
  #rows(
    { at }: PatchGrid,
    images: number,
    among: (y: number, x: number) => boolean,
    [down, right]: Axes,
  ): Uint32Array {
    const { positions, pitch } = this.#shape.correlation
    const first: number[] = []
    for (let i = 0; i < positions; i++) {
      const [y, x] = [Math.floor(i / pitch), i % pitch]
      if (among(y, x)) first.push(at(0, y + down, x + right))
    }
    return inAllImages(first, images, at(1, 0, 0))
  }

  /** Packs the pixels. Full panels are summed, and packing starts again at their first pixel. */
  #add(slot: Slot, gather: Gather, at: Pointer, ends: boolean): Phase[] {
    this.stage(at, gather)
    const { images, positions, panels: perGroup, panelBytes, lead } = this.#shape.correlation
    const full = images * positions
    const to = { panels: [this.#x, this.#xq], perGroup, panelBytes }
    const job: Phase[] = []
    for (let done = 0; done < gather.rows; ) {
      const count = Math.min(gather.rows - done, full - this.#pixels)
      const phase: Task[] = []
      for (let packed = 0; packed < count; packed += PACKED) {
        const toRow = lead + this.#pixels + packed
        phase.push(...this.pack(slot, at, gather, done + packed, Math.min(PACKED, count - packed), to, toRow))
      }
      job.push(phase)
      done += count
      this.#pixels += count
      const over = ends && done === gather.rows
      if (this.#pixels === full || over) job.push(...this.#sum(over))
    }
    return job
  }

  /** Adds the products of the pixels in the panels, one piece that fits into the caches at a time. */
  #sum(ends: boolean): Phase[] {
    const { panels, panelBytes, piece, lead, sumBytes } = this.#shape.correlation
    const { groups, streamsEqual, means, inputs } = this.#shape
    const { pixelH, pixelG, length } = this.#sums.layout
    const streams = streamsEqual ? [this.#x] : [this.#x, this.#xq]
    const ofRows = streams.length * groups * kernels.panelsOf(inputs)
    const all = this.#shifts
    const half = all.slice(all.length >> 1)
    const job: Phase[] = []
    for (let from = 0; from === 0 || from < this.#pixels; from += piece) {
      const rows = Math.min(piece, this.#pixels - from)
      const last = ends && from + piece >= this.#pixels
      const at = 32 * (lead + from)
      const common = { rows, panelBytes, blockBytes: kernels.BLOCK * 32 }
      const products = (x: Pointer, sums: number, shifts: readonly number[]): Task[] =>
        shifts.map((shift, i) =>
          kernels.gram({
            ...{ ...common, a: x + at, b: this.#xq + at + 32 * shift, panels, groups },
            ...targets(this.#sums, 4 * sums + i * sumBytes, last),
            ...{ triangular: false, lower: false },
            edge: Math.min(8, Math.max(2, Math.ceil(panels / 2))),
          }),
        )
      const sumOf = (x: Pointer, stream: number): Task =>
        kernels.sumInputs({
          ...{ ...common, a: x + at, panels: groups * panels },
          ...targets(this.#sums, 4 * length + 64 * (ofRows + stream * groups * panels), last),
        })
      job.push([
        ...products(this.#xq, pixelH, half),
        ...(streamsEqual ? [] : products(this.#x, pixelG, all)),
        ...(means ? streams.map(sumOf) : []),
      ])
    }
    this.#pixels = 0
    return job
  }

  /** Sums what is left in the panels; `ends` ends its segment. */
  rest(ends: boolean): Phase[] {
    return this.#pixels > 0 || ends ? this.#sum(ends) : []
  }

  /** Pixels from tap j to tap i for every difference i − j, ascending; 0 is in the middle. */
  get #shifts(): number[] {
    const { pitch, convolution } = this.#shape.correlation
    const { kernel, dilations } = convolution
    const shifts: number[] = []
    for (let y = 1 - kernel[0]; y < kernel[0]; y++)
      for (let x = 1 - kernel[1]; x < kernel[1]; x++) shifts.push(y * dilations[0] * pitch + x * dilations[1])
    return shifts
  }
}
