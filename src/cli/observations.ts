/**
 * Files of observations: `gpfq layer --observe` writes one, `gpfq layer --observations` merges some, `gpfq inspect`
 * describes one. Each part keeps the sums of its segments by themselves, so that any part can stand first or later, and the
 * merged sum is that of one observation to the last bit.
 */
import { readBytes } from '../data/files.js'
import { atPlace, GpfqError } from '../errors.js'
import { isContainer } from '../methods/container.js'
import { merge, Observations } from '../methods/observations.js'
import { SEGMENT_ROWS } from '../methods/samplePlan.js'
import type { Quantizer } from '../quantizer.js'
import type { Matrix } from './matrix.js'
import { formatBytes } from './numbers.js'
import { printable } from './terminal.js'

/** Observes samples, segment by segment, as a part that can stand anywhere. */
export async function observeMatrix(
  quantizer: Quantizer,
  { x, xq }: { readonly x: Matrix; readonly xq: Matrix | undefined },
  signal: AbortSignal,
  onProgress: (rows: number) => void,
): Promise<Observations> {
  const [rows, inputs] = x.dims
  const observer = await quantizer.observe({ inputs, quantized: xq !== undefined, later: true })
  for (let row = 0; row < rows; row += SEGMENT_ROWS) {
    const end = Math.min(rows, row + SEGMENT_ROWS)
    const part = ({ data }: Matrix): Float32Array => data.subarray(row * inputs, end * inputs)
    await observer.add(part(x), xq && part(xq), { signal })
    onProgress(end)
  }
  return observer.observations()
}

/**
 * Reads parts in the order of their samples and adds them up, one file in memory at a time.
 * @returns the sum, and a note where its last bits can differ from those of one observation of all samples
 * @throws {GpfqError} FILE_ACCESS; INVALID_DATA for files that are not observations or do not go together
 */
export async function mergeFiles(
  files: readonly string[],
): Promise<{ readonly observations: Observations; readonly note: string | null }> {
  let sum: Observations | undefined
  let note: string | null = null
  for (const [i, file] of files.entries()) {
    const part = await readPart(file)
    const { segmentRows } = part.shape
    const cut = sum !== undefined && sum.rows % segmentRows > 0
    sum = sum === undefined ? asFirst(part) : mergeAt(file, sum, part)
    if (sum.exact || note !== null) continue
    const reason = cut
      ? `${files[i - 1]}: its rows are not whole segments of ${segmentRows}`
      : `${file}: it does not keep the sum of each segment of ${segmentRows} rows`
    note = `${reason}; the total is right, but its last bits can differ from those of one observation of all samples`
  }
  if (sum === undefined) throw new RangeError('observations: expected at least one file')
  return { observations: sum, note }
}

async function readPart(file: string): Promise<Observations> {
  const bytes = await readBytes(file)
  return Observations.from(bytes, file)
}

/** The sum of a part whose samples are the first ones: then only one sum is kept from here on. */
const asFirst = (part: Observations): Observations =>
  new Observations(part.shape, part.rows, true, part.exact, [part.total()])

function mergeAt(file: string, sum: Observations, part: Observations): Observations {
  const quantized = ({ shape }: Observations): string =>
    `a part observed ${shape.streamsEqual ? 'without' : 'with'} --quantized-inputs`
  if (sum.shape.streamsEqual !== part.shape.streamsEqual)
    throw new GpfqError('INVALID_DATA', {
      place: file,
      expected: `${quantized(sum)} like those before it`,
      got: quantized(part),
    })
  try {
    return merge(sum, part)
  } catch (error) {
    throw error instanceof GpfqError ? atPlace(error, `${file}: ${error.place}`) : error
  }
}

/** What `gpfq inspect` says of a file of observations. */
export interface PartInspection {
  readonly observations: string
  readonly bytes: number
  readonly kind: Observations['shape']['kind']
  readonly inputs: number
  readonly groups: number
  readonly rows: number
  readonly segmentRows: number
  /** Segments that the rows make, the last one perhaps not whole. */
  readonly segments: number
  /** Xq is another matrix than X. */
  readonly quantized: boolean
  /** All of G, or its lower triangle alone. */
  readonly wholeG: boolean
  readonly means: boolean
  /** Rows are divided by their norms. */
  readonly weighted: boolean
  /** Its patches are summed as correlations of channels. */
  readonly correlations: boolean
  /** The first sample is among them, so that it cannot follow another part of more than one segment. */
  readonly first: boolean
  readonly exact: boolean
}

/** The description of a file's bytes; null if they are not observations. */
export function inspectPart(path: string, bytes: Uint8Array): PartInspection | null {
  if (!isContainer(bytes)) return null
  const { shape, rows, first, exact } = Observations.from(bytes, path)
  const { kind, inputs, groups, segmentRows, streamsEqual, wholeG, means, weighted, convolution } = shape
  return {
    observations: path,
    bytes: bytes.length,
    ...{ kind, inputs, groups, rows, segmentRows },
    segments: Math.ceil(rows / segmentRows),
    quantized: !streamsEqual,
    wholeG: streamsEqual || wholeG,
    ...{ means, weighted, correlations: convolution !== null, first, exact },
  }
}

/** The lines that describe a part. */
export function partLines(part: PartInspection): readonly string[] {
  const { inputs, groups, rows, segments, segmentRows } = part
  const streams = part.quantized ? 'the samples in the quantized network differ (Xq ≠ X)' : 'Xq = X'
  const sums = part.kind === 'rows' ? 'Xq itself' : part.quantized ? 'H and G' : 'H'
  const lower = part.wholeG ? '' : ', of G the lower triangle alone'
  const weights = part.weighted ? ' of rows divided by their norms' : ''
  const means = part.means ? ', sums by input' : ''
  const shifts = part.correlations ? ', as correlations of channels' : ''
  return [
    `${printable(part.observations)}  ${formatBytes(part.bytes)}, observations of a layer`,
    `inputs    ${groups === 1 ? '' : `${groups} groups of `}${inputs}`,
    `rows      ${rows}, ${segments} ${segments === 1 ? 'segment' : 'segments'} of ${segmentRows}${rows % segmentRows > 0 ? ', the last one not whole' : ''}`,
    `samples   ${streams}`,
    `holds     ${sums}${lower}${weights}${means}${shifts}`,
    ...(part.first && segments > 1 ? ['place     first: its segments are summed already'] : []),
    ...(part.exact
      ? []
      : ['note: merged from parts that were not cut between segments; its last bits can differ']),
  ]
}
