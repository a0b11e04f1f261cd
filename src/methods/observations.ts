/**
 * Observations: all that calibration samples say about the inputs of a layer, as a value. Everything in them sums over
 * samples, so that they can be taken in parts, on any machine, merged and solved elsewhere.
 *
 *     gram   H = XqᵀXq and G = XqᵀX (2010.15979 in Gram form), and if asked for the sums of X and Xq for bias correction
 *     rows   Xq itself, for the vertex walk of 2209.03487, which needs fewer samples than inputs
 *
 * The canonical sum. Float addition depends on its order, so the order is part of the definition: rows are numbered from
 * the first sample, a segment is `segmentRows` rows, each segment is summed from zero in blocks of 256 rows, and segments
 * are added in order. Where Xq is rounded to 8 bits, H of a segment can be a sum of integers (assembly/integers.ts): it is
 * exact and rounded to float32 once. Observations that begin with the first sample keep one sum, that of all their
 * segments. A part that begins later keeps the sum of each segment by itself, because these must be added one by one to the
 * sum of what comes before. So the bytes of a merged sum do not depend on where the samples were cut, as long as they were
 * cut between segments.
 *
 * Of a convolution whose patches are not formed (correlations.ts) the sums of the border's patches and those over pixels
 * lie side by side; matrices.ts combines them when a layer is solved.
 */
import { invalidData } from '../errors.js'
import { PANEL, panelsOf } from '../wasm/kernels.js'
import { type ContainerKind, openContainer, packContainer } from './container.js'
import { type Convolution, convolutionNumbers, readConvolution, shiftsOf, tapsOf } from './convolution.js'
import { matrixFloats, type PanelLayout } from './panelMatrix.js'

/** What is summed. Two observations with equal shapes can be merged. */
export interface ObservationShape {
  readonly kind: 'gram' | 'rows'
  /** N, per group. */
  readonly inputs: number
  readonly groups: number
  /** Xq = X: nothing before this layer was quantized, and G = H. */
  readonly streamsEqual: boolean
  /** All of G; else its lower triangle, which is enough for the path alone with given scales. */
  readonly wholeG: boolean
  /** Sums of X and Xq by input, for bias correction. */
  readonly means: boolean
  /** H and G are sums of rows that are divided by the norm of the row of X (assembly/weigh.ts); means are not. */
  readonly weighted: boolean
  /** Rows of a segment. */
  readonly segmentRows: number
  /** The convolution whose correlations are summed instead of patches; null for patches and dense layers. */
  readonly convolution: Convolution | null
}

/** The sums over some rows. */
export interface Sum {
  /** H, G and the sums over pixels, as SumLayout says; of kind rows Xq, (rows, groups·inputs). */
  readonly values: Float32Array
  /** Sums of X, then where the streams differ of Xq, each (groups·inputs); then those over pixels. Empty unless asked for. */
  readonly means: Float64Array
}

/** Places in Sum.values, in floats. */
export interface SumLayout {
  readonly h: number // lower triangle, a triangular matrix of panelMatrix.ts
  readonly g: number // equal to h where the streams are equal
  /** (inputs of a sum over pixels): [half of the shifts][group][panel of channels][channel][8]; G has all shifts. */
  readonly pixelH: number
  readonly pixelG: number
  readonly length: number
  /** Float64s of the means: of rows, then those over pixels. */
  readonly means: number
}

export function sumLayout(shape: ObservationShape): SumLayout {
  const { inputs, groups, streamsEqual, wholeG, convolution, means } = shape
  const matrix = (triangular: boolean): number => matrixFloats({ groups, inputs, triangular })
  const h = matrix(true)
  const g = streamsEqual ? 0 : matrix(!wholeG)
  const channels = convolution === null ? null : channelLayout(shape, convolution)
  const ofShift = channels === null ? 0 : matrixFloats(channels)
  const shifts = convolution === null ? 0 : shiftsOf(convolution)
  const pixelH = h + g
  const behindH = pixelH + ((shifts + 1) / 2) * ofShift
  const columns = panelsOf(inputs) + (channels === null ? 0 : panelsOf(channels.inputs))
  return {
    ...{ h: 0, g: streamsEqual ? 0 : h, pixelH, pixelG: streamsEqual ? pixelH : behindH },
    length: behindH + (streamsEqual ? 0 : shifts * ofShift),
    means: means ? (streamsEqual ? 1 : 2) * groups * PANEL * columns : 0,
  }
}

/** How the sums over pixels of one shift lie in memory: a matrix of channels. */
export const channelLayout = (
  { groups, inputs }: Pick<ObservationShape, 'groups' | 'inputs'>,
  convolution: Convolution,
): PanelLayout => ({ groups, inputs: inputs / tapsOf(convolution), triangular: false })

const KIND: ContainerKind = { letters: 'OBSV', version: 1, name: 'observations' }

/** The kind in bytes: 0 for gram, 1 for rows, and this for gram of weighted rows. */
const WEIGHTED = 2

/** Most inputs, groups and rows that a file may name: far beyond what fits into memory, and exact in float64. */
const MOST = 2 ** 31
const MOST_ROWS = 2 ** 53 - 1

/**
 * What the samples of a layer say, as a value: sums over rows of X and Xq (H = XqᵀXq and G = XqᵀX of 2010.15979 in Gram form).
 * `Quantizer.observe` makes them, `merge` joins those of several parts, `Quantizer.solve` chooses codes from them.
 * @example
 * await writeFile('part.obs', (await observer.observations()).bytes)
 * const part = Observations.from(await readFile('part.obs'), 'part.obs')
 */
export class Observations {
  readonly shape: ObservationShape
  /** Sample rows summed so far. */
  readonly rows: number
  /** Whether the first sample is among them: then the sums of whole segments are added up. */
  readonly first: boolean
  /** False where parts were merged that were not cut between segments: the sum is right, its last bits can differ. */
  readonly exact: boolean
  /** One sum of all segments; of a later part one for each segment. */
  readonly sums: readonly Sum[]

  constructor(shape: ObservationShape, rows: number, first: boolean, exact: boolean, sums: readonly Sum[]) {
    this.shape = shape
    this.rows = rows
    this.first = first
    this.exact = exact
    this.sums = sums
  }

  /** The observations as bytes: a file, a message (container.ts has the format). */
  get bytes(): Uint8Array<ArrayBuffer> {
    const { shape, rows, first, exact, sums } = this
    const { kind, inputs, groups, streamsEqual, wholeG, means, weighted, segmentRows, convolution } = shape
    return packContainer(
      KIND,
      [
        ...[weighted ? WEIGHTED : kind === 'rows', inputs, groups, streamsEqual, wholeG, means, segmentRows],
        ...[rows, first, exact, sums.length],
        ...convolutionNumbers(convolution),
      ],
      sums.flatMap((sum) => [sum.values, sum.means]),
    )
  }

  /**
   * Observations from bytes.
   * @param bytes what `bytes` gave
   * @param place for messages: the file
   * @throws GpfqError INVALID_DATA for bytes that are not observations, of another version, truncated or damaged
   */
  static from(bytes: Uint8Array, place = 'observations'): Observations {
    const reader = openContainer(place, KIND, bytes)
    const form = reader.whole('kind', 0, WEIGHTED)
    const kind: ObservationShape['kind'] = form === 1 ? 'rows' : 'gram'
    const inputs = reader.whole('inputs', 1, MOST)
    const known = {
      ...{ kind, inputs },
      groups: reader.whole('groups', 1, MOST),
      streamsEqual: reader.flag('streamsEqual'),
      wholeG: reader.flag('wholeG'),
      means: reader.flag('means'),
      weighted: form === WEIGHTED,
      segmentRows: reader.whole('segmentRows', 1, MOST_ROWS),
    }
    const rows = reader.whole('rows', 0, MOST_ROWS)
    const first = reader.flag('first')
    const exact = reader.flag('exact')
    // Parts that were not cut between segments can have a sum for as little as a row.
    const most = first ? 1 : exact ? Math.ceil(rows / known.segmentRows) : rows
    const count = reader.whole('sums', 0, most)
    const shape: ObservationShape = { ...known, convolution: readConvolution(reader, inputs) }
    const { length, means } = sumLayout(shape)
    const floats = shape.kind === 'gram' ? length : rows * shape.groups * shape.inputs
    const sums = Array.from({ length: count }, () => ({
      values: reader.floats(floats),
      means: reader.doubles(shape.kind === 'gram' ? means : 0),
    }))
    reader.end()
    return new Observations(shape, rows, first, exact, sums)
  }

  /** H, G and means of all rows: the segments added in order. Zero where there are no rows. */
  total(): Sum {
    const { length, means } = sumLayout(this.shape)
    const [head, ...rest] = this.sums
    if (head === undefined) return { values: new Float32Array(length), means: new Float64Array(means) }
    if (rest.length === 0) return head
    const sum = { values: head.values.slice(), means: head.means.slice() }
    for (const next of rest) {
      add(sum.values, next.values)
      add(sum.means, next.means)
    }
    return sum
  }
}

function add<T extends Float32Array | Float64Array>(sum: T, next: T): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + next[i]!
}

/**
 * Observations of all samples of two parts, those of `b` after those of `a`. Merging is associative to the last bit.
 * @param a observations of the earlier samples
 * @param b observations of those that follow, taken with `later: true`
 * @returns sums over all rows, in units of squared inputs; the same bytes as in one part, if `a` is whole segments
 * @throws GpfqError INVALID_DATA where the shapes differ
 * @example
 * const solved = await quantizer.solve([first, second, third].reduce(merge), weights)
 */
export function merge(a: Observations, b: Observations): Observations {
  checkMergeable(a, b)
  if (b.rows === 0) return a
  if (a.rows === 0) return new Observations(b.shape, b.rows, a.first, b.exact, a.first ? [b.total()] : b.sums)
  const rows = a.rows + b.rows
  if (a.shape.kind === 'rows') {
    const values = joined([a.total().values, b.total().values])
    return new Observations(a.shape, rows, a.first, true, [{ values, means: new Float64Array(0) }])
  }
  const { segmentRows } = a.shape
  const apart = (part: Observations): boolean => part.sums.length === Math.ceil(part.rows / segmentRows)
  const exact = a.exact && b.exact && a.rows % segmentRows === 0 && apart(b) && (a.first || apart(a))
  const merged = new Observations(a.shape, rows, a.first, exact, [...a.sums, ...b.sums])
  return a.first ? new Observations(a.shape, rows, true, exact, [merged.total()]) : merged
}

/** Arrays one after the other; a single one as it is. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!
  const out = new Float32Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function checkMergeable(a: Observations, b: Observations): void {
  const [x, y] = [a.shape, b.shape].map((shape): Readonly<Record<string, unknown>> => ({ ...shape }))
  const different = Object.keys(x!).find((name) => JSON.stringify(x![name]) !== JSON.stringify(y![name]))
  if (different === undefined) return
  const [expected, got] = [x![different], y![different]].map((value) => JSON.stringify(value))
  throw invalidData(`observations, ${different}`, `${expected} in every part`, got)
}
