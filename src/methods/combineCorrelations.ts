/**
 * H and G of all patches of a convolution from two sums: those over all pixels, which count every position where a patch
 * meets the image, less those of the ring of positions that are no output (correlations.ts has the mathematics).
 */
import { PANEL, panelsOf, rowAt } from '../wasm/kernels.js'
import { type Convolution, shiftsOf, tapsOf } from './convolution.js'
import { type ObservationShape, type Sum, sumLayout } from './observations.js'
import { entryAt, type PanelLayout } from './panelMatrix.js'

/**
 * A diagonal sum that is smaller than this share of the one over all pixels is what rounding left of two equal numbers: the
 * input is zero at every output position.
 */
const CANCELLED = 2 ** -18

/** A matrix of all groups and how it lies in memory. */
export interface LaidMatrix {
  readonly values: Float32Array
  readonly layout: PanelLayout
}

/**
 * Turns the ring's H into that of all patches, in place.
 * @param sum whose sums over pixels are used
 * @param h of the ring, in any layout; its lower triangle is changed
 */
export function combineH(shape: ObservationShape, convolution: Convolution, sum: Sum, h: LaidMatrix): void {
  const correlation = correlationLayout(shape, convolution)
  const pixels = sum.values.subarray(sumLayout(shape).pixelH)
  subtractRing(h, pixels, correlation, true)
  clearDeadInputs(h, pixels, correlation)
}

/** The same for G. @param diagonal of the combined H, (groups, inputs) */
export function combineG(
  shape: ObservationShape,
  convolution: Convolution,
  sum: Sum,
  g: LaidMatrix,
  diagonal: Float32Array,
): void {
  subtractRing(g, sum.values.subarray(sumLayout(shape).pixelG), correlationLayout(shape, convolution), false)
  const { layout, values } = g
  const { groups, inputs, triangular } = layout
  for (let row = 0; row < groups * inputs; row++) {
    if (diagonal[row] !== 0) continue
    const [group, t] = [Math.floor(row / inputs), row % inputs]
    const end = triangular ? PANEL * (t >> 3) + PANEL : inputs
    for (let s = 0; s < end; s++) values[entryAt(layout, group, t, s)] = 0
  }
}

/** Sums of X and Xq over all patches, by the same subtraction; the sum's own where there are no correlations. */
export function meansOf(shape: ObservationShape, { means }: Sum): Float64Array {
  return shape.convolution === null
    ? means
    : combineMeans(shape, means, correlationLayout(shape, shape.convolution))
}

interface CorrelationLayout {
  readonly convolution: Convolution
  readonly taps: number
  readonly shifts: number
  readonly panels: number // of 8 channels, per group
  readonly sumFloats: number // of one shift, all groups
}

function correlationLayout(shape: ObservationShape, convolution: Convolution): CorrelationLayout {
  const taps = tapsOf(convolution)
  const panels = panelsOf(shape.inputs / taps)
  const sumFloats = shape.groups * panels * panels * PANEL * PANEL
  return { convolution, taps, shifts: shiftsOf(convolution), panels, sumFloats }
}

/**
 * matrix := sums over all pixels − matrix. Of symmetric sums half of the shifts are there, and the lower triangle is asked for.
 * @param pixels [shift][group][panel of channels][channel][8]
 */
function subtractRing(
  { layout, values: matrix }: LaidMatrix,
  pixels: Float32Array,
  { convolution, taps, shifts, panels, sumFloats }: CorrelationLayout,
  symmetric: boolean,
): void {
  const { groups, inputs, triangular } = layout
  const shiftAt = tapDifferences(convolution)
  const middle = shifts >> 1
  for (let group = 0; group < groups; group++) {
    const base = group * panels * panels * PANEL * PANEL
    const sumAt = (shift: number, c: number, d: number): number =>
      base + shift * sumFloats + rowAt(c, panels, false) + PANEL * d
    for (let i = 0; i < inputs; i++) {
      const [c, tap] = [Math.floor(i / taps), i % taps]
      const row = entryAt(layout, group, i, 0)
      const end = symmetric || triangular ? Math.min(inputs, PANEL * (i >> 3) + PANEL) : inputs
      for (let s = 0, d = 0; s < end; d++) {
        for (let other = 0; other < taps && s < end; other++, s++) {
          const shift = shiftAt[tap * taps + other]!
          const at = !symmetric
            ? sumAt(shift, c, d)
            : shift >= middle
              ? sumAt(shift - middle, c, d)
              : sumAt(middle - shift, d, c)
          matrix[row + PANEL * s] = pixels[at]! - matrix[row + PANEL * s]!
        }
      }
    }
  }
}

/** [i][j] → place of i − j among the shifts. */
function tapDifferences({ kernel: [height, width] }: Convolution): Int32Array {
  const taps = height * width
  return Int32Array.from({ length: taps * taps }, (_, at) => {
    const [i, j] = [Math.floor(at / taps), at % taps]
    const y = Math.floor(i / width) - Math.floor(j / width)
    return (y + height - 1) * (2 * width - 1) + (i % width) - (j % width) + width - 1
  })
}

/** Inputs that are zero in all patches get rows and columns of exact zeros. */
function clearDeadInputs(
  { layout, values: h }: LaidMatrix,
  pixels: Float32Array,
  { taps, panels }: CorrelationLayout,
): void {
  const { groups, inputs } = layout
  for (let group = 0; group < groups; group++) {
    for (let t = 0; t < inputs; t++) {
      const c = Math.floor(t / taps)
      // The first shift of a symmetric sum is none: the energy of the channel over all pixels.
      const all = pixels[group * panels * panels * 64 + rowAt(c, panels, false) + PANEL * c]!
      if (!(h[entryAt(layout, group, t, t)]! <= CANCELLED * all)) continue // NaN is left to be found
      for (let s = 0; s < PANEL * (t >> 3) + PANEL; s++) h[entryAt(layout, group, t, s)] = 0
      for (let i = t - (t % PANEL); i < inputs; i++) h[entryAt(layout, group, i, t)] = 0
    }
  }
}

function combineMeans(
  shape: ObservationShape,
  means: Float64Array,
  { taps, panels: channelPanels }: CorrelationLayout,
): Float64Array {
  const { groups, inputs, streamsEqual } = shape
  if (means.length === 0) return means
  const streams = streamsEqual ? 1 : 2
  const panels = panelsOf(inputs)
  const ofRows = streams * groups * panels * PANEL
  const out = new Float64Array(ofRows)
  for (let at = 0; at < streams * groups; at++) {
    for (let t = 0; t < inputs; t++) {
      const pixels = means[ofRows + at * channelPanels * PANEL + Math.floor(t / taps)]!
      out[at * panels * PANEL + t] = pixels - means[at * panels * PANEL + t]!
    }
  }
  return out
}
