/**
 * H and G of all patches of a convolution from two sums: those over all pixels, which count every position where a patch
 * meets the image, less those of the ring of positions that are no output (correlations.ts has the mathematics;
 * assembly/combine.ts subtracts).
 */
import type { Phase } from '../engine/job.js'
import type { Pointer } from '../wasm/arena.js'
import { combine, PANEL, panelsOf } from '../wasm/kernels.js'
import { type Convolution, tapsOf } from './convolution.js'
import { channelLayout, type ObservationShape, type Sum, sumLayout } from './observations.js'
import { entryAt, matrixFloats, type PanelLayout } from './panelMatrix.js'

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

/** Sums over pixels, of H or of G. */
export const pixelSums = (shape: ObservationShape, { values }: Sum, ofG: boolean): Float32Array => {
  const { pixelH, pixelG } = sumLayout(shape)
  return ofG ? values.subarray(pixelG) : values.subarray(pixelH, pixelG > pixelH ? pixelG : undefined)
}

/**
 * Turns the ring's H or G into that of all patches, in place.
 * @param matrix of the ring; of a symmetric one the lower triangle is changed
 * @param pixels pixelSums
 */
export function combineWith(
  shape: ObservationShape,
  convolution: Convolution,
  matrix: { readonly at: Pointer; readonly triangular: boolean; readonly symmetric: boolean },
  pixels: Pointer,
): Phase {
  const channels = channelLayout(shape, convolution)
  return [
    combine({
      ...{ ...shape, ...matrix, ...convolution, pixels },
      channelPanels: panelsOf(channels.inputs),
      shiftBytes: 4 * matrixFloats(channels),
    }),
  ]
}

/** Inputs that are zero in all patches get rows and columns of exact zeros in H. @param pixels pixelSums */
export function clearDead(
  shape: ObservationShape,
  convolution: Convolution,
  pixels: Float32Array,
  { layout, values: h }: LaidMatrix,
): void {
  const { groups, inputs } = layout
  const taps = tapsOf(convolution)
  const channels = channelLayout(shape, convolution)
  for (let group = 0; group < groups; group++) {
    for (let t = 0; t < inputs; t++) {
      const c = Math.floor(t / taps)
      // The first shift of a symmetric sum is none: the energy of the channel over all pixels.
      const all = pixels[entryAt(channels, group, c, c)]!
      if (!(h[entryAt(layout, group, t, t)]! <= CANCELLED * all)) continue // NaN is left to be found
      for (let s = 0; s < PANEL * (t >> 3) + PANEL; s++) h[entryAt(layout, group, t, s)] = 0
      for (let i = t - (t % PANEL); i < inputs; i++) h[entryAt(layout, group, i, t)] = 0
    }
  }
}

/** And their rows in G. @param diagonal of H, (groups, inputs) */
export function clearRows({ layout, values: g }: LaidMatrix, diagonal: Float32Array): void {
  const { inputs, triangular } = layout
  for (const [row, norm2] of diagonal.entries()) {
    if (norm2 !== 0) continue
    const [group, t] = [Math.floor(row / inputs), row % inputs]
    const end = triangular ? PANEL * (t >> 3) + PANEL : inputs
    for (let s = 0; s < end; s++) g[entryAt(layout, group, t, s)] = 0
  }
}

/** Sums of X and Xq over all patches, by the same subtraction; the sum's own where there are no correlations. */
export function meansOf(shape: ObservationShape, { means }: Sum): Float64Array {
  return shape.convolution === null ? means : combineMeans(shape, means, shape.convolution)
}

function combineMeans(shape: ObservationShape, means: Float64Array, convolution: Convolution): Float64Array {
  const { groups, inputs, streamsEqual } = shape
  const taps = tapsOf(convolution)
  const channelPanels = panelsOf(inputs / taps)
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
