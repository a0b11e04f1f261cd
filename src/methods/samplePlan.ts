/**
 * The plan of observing: how samples are cut into pieces and which memory the sums take. A function of shapes alone, never
 * of the thread count or the machine, so that the same samples give the same sums everywhere.
 */
import { aligned } from '../wasm/arena.js'
import { BLOCK, PANEL_BYTES, panelsOf } from '../wasm/kernels.js'
import type { CorrelationPlan } from './correlationPlan.js'
import { type Layout, layOut, type RegionNeed } from './layout.js'
import { type ObservationShape, sumLayout } from './observations.js'

/** What observing has to know of the samples before the first one comes. */
export interface SampleShape {
  /** Rows of all batches. */
  readonly rows: number
  readonly inputs: number // N, per group
  readonly groups: number
  /** Xq = X: nothing before this layer was quantized. */
  readonly streamsEqual: boolean
  /** Sum all of G, not its lower triangle alone. */
  readonly wholeG: boolean
  /** Sum X and Xq by input, too: for bias correction. */
  readonly means: boolean
  /** Every row is divided by the norm of the row of X; default false. Not with scale or correlation. */
  readonly weighted?: boolean
  /** Rows of a segment of the canonical sum (observations.ts). */
  readonly segmentRows: number
  /** Largest batch: bytes of the tensor, of its padded copy, rows. */
  readonly batchBytes: number
  readonly batchPaddedBytes: number
  readonly batchRows: number
  /**
   * The step s of the quantizer of Xq, whose values are s·k with whole numbers k from −255 to 255: H is then summed on these
   * numbers. Only for patches and dense layers, in segments of at most MOST_INTEGER_ROWS.
   */
  readonly scale?: number
  /** H and G are summed as correlations of a convolution's channels. */
  readonly correlation?: CorrelationPlan
}

/**
 * Rows of a segment where the caller names none: long enough that adding a segment to the total costs less than one percent
 * of summing it (docs/PERFORMANCE.md), short enough that a large set of samples has many.
 */
export const SEGMENT_ROWS = 4096

/**
 * Packed samples that are multiplied before the next ones are packed (one block of 256 at least): what the second-level
 * caches of two cores hold.
 */
export const PIECE_BYTES = 2 * 2 ** 20

export interface SamplePlan {
  readonly panels: number // of 8 inputs, per group
  /** Sample blocks of 256 that are packed at once. */
  readonly residentBlocks: number
  /** Panels a side of one tile of H or G. */
  readonly edge: number
  /**
   * A segment is summed by itself before it is added; not where it is one block, or all rows are one segment. Always where
   * samples are integers: the sum of a segment is one of integers.
   */
  readonly segmented: boolean
  readonly layout: Layout
}

/** The observations that samples of this shape give. */
export const observationShape = ({
  inputs,
  groups,
  streamsEqual,
  wholeG,
  means,
  weighted = false,
  segmentRows,
  correlation,
}: SampleShape): ObservationShape => ({
  kind: 'gram',
  ...{ inputs, groups, streamsEqual, wholeG: wholeG && !streamsEqual, means, weighted, segmentRows },
  convolution: correlation?.convolution ?? null,
})

/** Multiply-adds for H and G of `rows` patches. */
export function patchWork(
  {
    inputs,
    groups,
    streamsEqual,
    wholeG,
  }: Pick<SampleShape, 'inputs' | 'groups' | 'streamsEqual' | 'wholeG'>,
  rows: number,
): number {
  const n = 8 * panelsOf(inputs)
  const triangle = (n * (n + 8)) / 2
  return groups * rows * (triangle + (streamsEqual ? 0 : wholeG ? n * n : triangle))
}

/** Panels a side of one tile of H or G: as many as leave at least 36 tiles to the lower triangle, from 72 inputs on. */
export const gramEdge = (panels: number): number => (panels >= 64 ? 8 : panels > 28 ? 4 : panels > 14 ? 2 : 1)

/**
 * @param apart the segments' sums are kept one by one, as a part that begins later needs them
 * @throws GpfqError OUT_OF_MEMORY
 */
export function planSamples(shape: SampleShape, apart = false): SamplePlan {
  const { rows, inputs, groups, segmentRows, correlation, streamsEqual, scale = 0 } = shape
  const panels = panelsOf(inputs)
  const residentBlocks = pieceBlocksOf(shape)
  const { length, means } = sumLayout(observationShape(shape))
  const segmented =
    scale > 0 || (!apart && rows > segmentRows && (segmentRows > BLOCK || correlation !== undefined))
  const streams = streamsEqual ? 1 : 2
  const needs: Record<string, RegionNeed> = {
    ...staging(shape),
    'packed samples': residentBlocks * blockBytesOf(shape),
    ...(scale && { 'paired samples': Math.ceil(residentBlocks / 2) * groups * panels * PANEL_BYTES }),
    // The total, H and G before the means, and behind it that of a segment.
    sums: (segmented ? 2 : 1) * (4 * length + 8 * means),
    ...(correlation && { 'packed pixels': streams * correlation.streamBytes }),
  }
  return { panels, residentBlocks, edge: gramEdge(panels), segmented, layout: layOut(needs) }
}

/** Two batches in shared memory, the next one is copied while the last one is packed. */
export function staging({
  streamsEqual,
  batchBytes,
  batchPaddedBytes,
  batchRows,
  inputs,
}: Pick<SampleShape, 'streamsEqual' | 'batchBytes' | 'batchPaddedBytes' | 'batchRows' | 'inputs'>): Record<
  string,
  RegionNeed
> {
  const streams = streamsEqual ? 1 : 2
  return {
    'staged batches': 2 * streams * (aligned(batchBytes) + aligned(batchPaddedBytes)),
    'staged offsets': 2 * aligned(4 * (batchRows + inputs)),
  }
}

/** Bytes of one packed sample block of both streams. */
export const blockBytesOf = ({
  streamsEqual,
  groups,
  inputs,
}: Pick<SampleShape, 'streamsEqual' | 'groups' | 'inputs'>): number =>
  (streamsEqual ? 1 : 2) * groups * panelsOf(inputs) * PANEL_BYTES

/** Sample blocks that are packed before what is in the panels is used. */
export const pieceBlocksOf = (
  shape: Pick<SampleShape, 'rows' | 'streamsEqual' | 'groups' | 'inputs'>,
): number =>
  Math.max(1, Math.min(Math.ceil(shape.rows / BLOCK), Math.floor(PIECE_BYTES / blockBytesOf(shape))))
