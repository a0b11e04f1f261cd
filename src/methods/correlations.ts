/**
 * Gram matrices of a convolution with stride 1 without most of its patches. With x_c(p + i) the input of channel c at tap i
 * of the patch at position p,
 *
 *     H_(c,i)(c',j) = Σ_p x_c(p + i) x_c'(p + j) = Σ_q x_c(q + i − j) x_c'(q)   less what no output position sees.
 *
 * The second sum is over all pixels of the image, which is what all positions see at which a patch meets the image. It
 * depends on i − j alone: for a 3 × 3 kernel 25 correlations of C × C channels (for H, by symmetry, 13) instead of 45 blocks
 * of patches. What remains is a ring of positions around the output, whose patches are packed and summed as ever and then
 * subtracted: with padding 1, one line along the border.
 *
 * Images lie in panels [group][panel of 8 channels][pixels][8], with zeros between lines and between images, so that a
 * shift by (y, x) is a pointer moved by y·pitch + x pixels and what it moves across a border meets zeros. Summation: blocks
 * of 256 pixels, whatever the batches.
 */
import type { Phase, Task } from '../engine/job.js'
import type { Pool } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import { type CorrelationPlan, imagesOf, tapsOf } from './convolution.js'
import { type Consume, Packer, type Slot } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import { type Gather, type Padding, tapOffsets } from './samples.js'

/** Pixels that are packed by one task. */
const PACKED = 4096

/** Bytes from the first pixel of a batch's padded planes to one of them. */
const offset = ({ paddedHeight, paddedWidth }: Padding, plane: number, y: number, x: number): number =>
  4 * ((plane * paddedHeight + y) * paddedWidth + x)

/** `first` of one image, then the same of the others: a plain loop, for there is a row for every pixel of every image. */
function repeated(first: readonly number[], images: number, imageBytes: number): Uint32Array<ArrayBuffer> {
  const count = first.length
  const at = new Uint32Array(images * count)
  for (let image = 0; image < images; image++)
    for (let i = 0; i < count; i++) at[image * count + i] = image * imageBytes + first[i]!
  return at
}

/**
 * A diagonal sum that is smaller than this share of the one over all pixels is what rounding left of two equal numbers: the
 * input is zero at every output position.
 */
const CANCELLED = 2 ** -18

export class Correlations extends Packer {
  readonly #arena: Arena
  readonly #shape: LayerShape
  readonly #plan: LayerPlan
  readonly #correlation: CorrelationPlan
  readonly #x: Pointer // panels of pixels, behind `lead` pixels of zeros
  readonly #xq: Pointer
  readonly #h: Pointer // sums over pixels, [half the shifts][group][panel of c][c'][8 c]
  readonly #g: Pointer // the same at all shifts
  #pixels = 0 // in the panels
  #finished = false

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan, correlation: CorrelationPlan) {
    super(pool, arena, shape, plan)
    this.#arena = arena
    this.#shape = shape
    this.#plan = plan
    this.#correlation = correlation
    const { streamBytes, sumBytes, shifts } = correlation
    const zeros = (bytes: number): Pointer => {
      const at = arena.allocate(bytes)
      arena.floats(at, bytes / 4).fill(0)
      return at
    }
    this.#x = zeros(streamBytes)
    this.#xq = shape.same ? this.#x : zeros(streamBytes)
    this.#h = zeros(((shifts + 1) / 2) * sumBytes)
    this.#g = shape.same ? this.#h : zeros(shifts * sumBytes)
  }

  /** Of a batch the patches at the ring are packed, and beside them all pixels. What comes after `rest` is packed whole. */
  protected override phases(slot: Slot, gather: Gather, consume: Consume): Phase[] {
    if (this.#finished) return super.phases(slot, gather, consume)
    const { reach, convolution } = this.#correlation
    const { pads, out } = convolution
    const { inputs } = this.#shape
    const padding = this.#padding(gather)
    const outside = (y: number, x: number): boolean => {
      const [p, q] = [y - reach[0] + pads[0], x - reach[1] + pads[1]]
      return p < 0 || p >= out[0] || q < 0 || q >= out[1]
    }
    const tapAt = tapOffsets(convolution, inputs, [padding.paddedHeight, padding.paddedWidth])
    const ring = this.#gather(gather, padding, outside, tapAt)
    const pixelAt = Uint32Array.from({ length: inputs / tapsOf(convolution) }, (_, c) =>
      offset(padding, c, ...reach),
    )
    const pixels = this.#gather(gather, padding, () => true, pixelAt)
    return [
      ...super.phases(slot, ring, consume),
      ...this.#add(slot, pixels, slot.offsets + 4 * (ring.rows + inputs)),
    ]
  }

  #padding({ rows }: Gather): Padding {
    const { inputs, groups } = this.#shape
    const { reach, convolution } = this.#correlation
    const [height, width] = convolution.size
    return {
      planes: (imagesOf(convolution, rows) * groups * inputs) / tapsOf(convolution),
      height,
      width,
      paddedHeight: height + 2 * reach[0],
      paddedWidth: width + 2 * reach[1],
      top: reach[0],
      left: reach[1],
    }
  }

  /** Rows at those of all positions that `among` names, from every image of the batch. */
  #gather(
    { rows: outputs, groups }: Gather,
    padding: Padding,
    among: (y: number, x: number) => boolean,
    columnAt: Uint32Array,
  ): Gather {
    const { positions, pitch, convolution } = this.#correlation
    const images = imagesOf(convolution, outputs)
    const first: number[] = []
    for (let i = 0; i < positions; i++) {
      const [y, x] = [Math.floor(i / pitch), i % pitch]
      if (among(y, x)) first.push(offset(padding, 0, y, x))
    }
    const imageBytes = offset(padding, padding.planes / images, 0, 0)
    const rowAt = repeated(first, images, imageBytes)
    return {
      rows: rowAt.length,
      inputs: columnAt.length,
      groups,
      groupBytes: offset(padding, padding.planes / images / groups, 0, 0),
      rowAt,
      columnAt,
      contiguous: false,
      padding,
    }
  }

  /** Packs the pixels; as soon as the panels are full, they are summed and started anew. */
  #add(slot: Slot, gather: Gather, at: Pointer): Phase[] {
    this.stage(at, gather)
    const { images, positions, panels: perGroup, panelBytes, lead } = this.#correlation
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
      if (this.#pixels === full) job.push(...this.#sum())
    }
    return job
  }

  /** Adds the products of the pixels in the panels, a piece that stays in the caches at a time. */
  #sum(): Phase[] {
    const { panels, panelBytes, piece, lead, sumBytes } = this.#correlation
    const { groups, same } = this.#shape
    const all = this.#shifts
    const half = all.slice(all.length >> 1)
    const job: Phase[] = []
    for (let from = 0; from < this.#pixels; from += piece) {
      const common = {
        rows: Math.min(piece, this.#pixels - from),
        ...{ panels, groups, panelBytes, blockBytes: kernels.BLOCK * 32, triangular: false, lower: false },
        edge: Math.min(8, Math.max(2, Math.ceil(panels / 2))),
      }
      const products = (x: Pointer, sums: Pointer, shifts: readonly number[]): Task[] =>
        shifts.map((shift, i) => {
          const [a, b] = [x + 32 * (lead + from), this.#xq + 32 * (lead + from + shift)]
          return kernels.gram({ ...common, a, b, c: sums + i * sumBytes })
        })
      job.push([...products(this.#xq, this.#h, half), ...(same ? [] : products(this.#x, this.#g, all))])
    }
    this.#pixels = 0
    return job
  }

  /** Pixels from tap j to tap i for every difference i − j, ascending; 0 is in the middle. */
  get #shifts(): number[] {
    const { pitch, convolution } = this.#correlation
    const { kernel, dilations } = convolution
    const shifts: number[] = []
    for (let y = 1 - kernel[0]; y < kernel[0]; y++)
      for (let x = 1 - kernel[1]; x < kernel[1]; x++) shifts.push(y * dilations[0] * pitch + x * dilations[1])
    return shifts
  }

  /** Ends the samples: sums what is left. */
  rest(): Phase[] {
    this.#finished = true
    return this.#sum()
  }

  /**
   * Turns the ring's sums in h and g into those of all patches.
   * @param h of the ring, a matrix of gram.ts, lower triangle; g whole unless the plan is triangular
   */
  combine(h: Pointer, g: Pointer): void {
    this.#combine(h, this.#h, true)
    if (g !== h) this.#combine(g, this.#g, false)
    this.#bury(h, g)
  }

  /** Inputs that are zero in all patches are so exactly. */
  #bury(h: Pointer, g: Pointer): void {
    const { groups, inputs } = this.#shape
    const { panels, triangular } = this.#plan
    const { panels: channelPanels, sumBytes, convolution } = this.#correlation
    const taps = tapsOf(convolution)
    const perGroup = kernels.matrixBytes(panels, triangular) / 4
    const whole = this.#arena.floats(this.#h, sumBytes / 4)
    const matrices = [...new Set([h, g])].map((at) => this.#arena.floats(at, groups * perGroup))
    for (let group = 0; group < groups; group++) {
      const base = group * perGroup
      for (let t = 0; t < inputs; t++) {
        const row = base + kernels.rowAt(t, panels, triangular)
        const c = Math.floor(t / taps)
        const all = whole[group * channelPanels ** 2 * 64 + kernels.rowAt(c, channelPanels, false) + 8 * c]!
        if (!(matrices[0]![row + 8 * t]! <= CANCELLED * all)) continue // NaN is left to be found
        for (const values of matrices) {
          const end = triangular ? 8 * (t >> 3) + 8 : inputs
          for (let s = 0; s < end; s++) values[row + 8 * s] = 0
        }
        for (let i = t; i < inputs; i++) matrices[0]![base + kernels.rowAt(i, panels, triangular) + 8 * t] = 0
      }
    }
  }

  /** matrix := sums over all pixels − matrix. Of symmetric sums half the shifts are there, and the lower triangle is wanted. */
  #combine(matrix: Pointer, sums: Pointer, symmetric: boolean): void {
    const { groups, inputs } = this.#shape
    const { panels, triangular } = this.#plan
    const { shifts, sumBytes, panels: channelPanels, convolution } = this.#correlation
    const taps = tapsOf(convolution)
    const perGroup = kernels.matrixBytes(panels, triangular) / 4
    const values = this.#arena.floats(matrix, groups * perGroup)
    const all = this.#arena.floats(sums, ((symmetric ? (shifts + 1) / 2 : shifts) * sumBytes) / 4)
    const shiftAt = this.#differences()
    const middle = shifts >> 1
    for (let group = 0; group < groups; group++) {
      const base = group * channelPanels * channelPanels * 64
      const sumAt = (shift: number, c: number, d: number): number =>
        base + (shift * sumBytes) / 4 + kernels.rowAt(c, channelPanels, false) + 8 * d
      for (let i = 0; i < inputs; i++) {
        const [c, tap] = [Math.floor(i / taps), i % taps]
        const row = group * perGroup + kernels.rowAt(i, panels, triangular)
        const end = symmetric || triangular ? Math.min(inputs, 8 * (i >> 3) + 8) : inputs
        for (let s = 0, d = 0; s < end; d++) {
          for (let other = 0; other < taps && s < end; other++, s++) {
            const shift = shiftAt[tap * taps + other]!
            const at = !symmetric
              ? sumAt(shift, c, d)
              : shift >= middle
                ? sumAt(shift - middle, c, d)
                : sumAt(middle - shift, d, c)
            values[row + 8 * s] = all[at]! - values[row + 8 * s]!
          }
        }
      }
    }
  }

  /** [i][j] → place of i − j among the shifts. */
  #differences(): Int32Array {
    const [height, width] = this.#correlation.convolution.kernel
    const taps = height * width
    return Int32Array.from({ length: taps * taps }, (_, at) => {
      const [i, j] = [Math.floor(at / taps), at % taps]
      const y = Math.floor(i / width) - Math.floor(j / width)
      return (y + height - 1) * (2 * width - 1) + (i % width) - (j % width) + width - 1
    })
  }
}
