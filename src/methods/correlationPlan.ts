/**
 * What correlations of a convolution take (correlations.ts): with stride 1 the patches' products depend, up to the border,
 * on the difference of two taps alone. Functions of shapes, as everything in a plan.
 */
import { BLOCK, PANEL, panelsOf } from '../wasm/kernels.js'
import { type Convolution, imagesOf, shiftsOf, tapsOf } from './convolution.js'
import { PIECE_BYTES, patchWork, type SampleShape } from './samplePlan.js'
import type { Axes } from './samples.js'

export interface CorrelationPlan {
  readonly convolution: Convolution
  /** Pixels from a kernel's first tap to its last. */
  readonly reach: Axes
  /** Pixels from one line of an image to the next: its width and zeros that no shift reaches across. */
  readonly pitch: number
  /** Of one image: pixels with the zeros between lines and images, and as many positions where a patch meets the image. */
  readonly positions: number
  /** Pixels that the largest shift goes over. */
  readonly lead: number
  readonly panels: number // of 8 channels, per group
  readonly images: number // held at once
  readonly piece: number // pixels whose panels stay in the caches, whole sample blocks
  readonly panelBytes: number // from one panel of pixels to the next
  readonly streamBytes: number // panels of one stream
  readonly sumBytes: number // one shift's (channels, channels) matrices of all groups
  readonly bytes: number // of all panels and sums
  /** Multiply-adds for H and G: half of the shifts for H, all of them for G, and the ring's patches. */
  readonly work: number
}

/** Room that correlations are worth: a whole image is held at once, where patches come in pieces. */
const MOST_BYTES = 2 ** 28

/** The samples' shape with correlations, if they take less work than its patches and not much room. */
export function preferCorrelation(shape: SampleShape, convolution: Convolution): SampleShape {
  const correlated = withCorrelation(shape, convolution)
  const { work, bytes } = correlated.correlation!
  return work < patchWork(shape, shape.rows) && bytes <= MOST_BYTES ? correlated : shape
}

/** The samples' shape with its correlations planned; a batch in staging then has room for what they are packed from. */
export function withCorrelation(shape: SampleShape, convolution: Convolution): SampleShape {
  const { inputs, groups, rows, streamsEqual, batchBytes, batchPaddedBytes, batchRows } = shape
  const { kernel, dilations, size, pads, out } = convolution
  const along = (axis: 0 | 1) => {
    const reach = (kernel[axis] - 1) * dilations[axis]
    const [first, last] = [Math.max(-reach, -pads[axis]), Math.min(size[axis], out[axis] - pads[axis])]
    return { reach, positions: size[axis] + reach, inside: Math.max(0, last - first) }
  }
  const [y, x] = [along(0), along(1)]
  const positions = y.positions * x.positions
  const lead = y.reach * x.positions + x.reach
  const panels = panelsOf(inputs / tapsOf(convolution))
  const pixelBytes = (streamsEqual ? 1 : 2) * groups * panels * 32
  const most = Math.max(1, Math.floor(PIECE_BYTES / (pixelBytes * positions)))
  const pieceBlocks = Math.max(1, Math.floor(PIECE_BYTES / (pixelBytes * BLOCK)))
  // Never more than a segment, whatever the rows: blocks of 256 pixels are counted from the first image that is held.
  const images = Math.min(most, Math.max(1, Math.ceil(imagesOf(convolution, shape.segmentRows))))
  const panelBytes = 256 * Math.ceil((images * positions + lead) / 8) + 64
  const streamBytes = groups * panels * panelBytes + 32 * lead
  const sumBytes = groups * panels * panels * 256
  const shifts = shiftsOf(convolution)
  const [ofH, ofG] = [(shifts + 1) / 2, streamsEqual ? 0 : shifts]
  const ring = positions - y.inside * x.inside
  const channels = panels * PANEL
  const products = channels ** 2 * (ofH + ofG)
  const [height, width] = size
  const padded = (batchBytes / (height * width)) * (height + 2 * y.reach) * (width + 2 * x.reach)
  const stagedRows = imagesOf(convolution, batchRows) * (positions + ring) + inputs
  const correlation: CorrelationPlan = {
    convolution,
    reach: [y.reach, x.reach],
    pitch: x.positions,
    positions,
    lead,
    panels,
    images,
    piece: pieceBlocks * BLOCK,
    panelBytes,
    streamBytes,
    sumBytes,
    bytes: (streamsEqual ? 1 : 2) * streamBytes + (ofH + ofG) * sumBytes,
    work: imagesOf(convolution, rows) * (groups * positions * products + patchWork(shape, ring)),
  }
  return {
    ...shape,
    batchPaddedBytes: Math.max(padded, batchPaddedBytes),
    batchRows: Math.max(stagedRows, batchRows),
    correlation,
  }
}
