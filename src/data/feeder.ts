/**
 * A feeder reads samples of one input in the type and shape that the model takes. It joins the columns of the input, one
 * after another. Samples can differ in shape from column to column: a batch has samples of one shape.
 */
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { allocateElements, elementCount, isFloatType, isTensorType } from '../tensor/elements.js'
import {
  describeShape,
  fitSample,
  isChannelsLast,
  type ModelDims,
  sampleDims,
  swapLeading,
} from '../tensor/shapes.js'
import type { RunnerInput, Tensor, TensorData, TensorType } from '../tensor/tensor.js'
import { type Batch, batchLength, type Range } from './batches.js'
import { boundOf } from './bound.js'
import type { Column, Prepared } from './column.js'
import type { FeedNote } from './feedNote.js'
import type { FeedOptions, Layout } from './feeds.js'
import {
  type ChannelAxis,
  checkPreprocessing,
  isPreprocessed,
  moveChannels,
  preprocess,
} from './preprocess.js'
import { cut, shapeText } from './quote.js'

/** An input of numbers. */
type NumberInput = RunnerInput & { readonly type: TensorType }

/** Samples of one input. */
export interface Feeder {
  readonly input: NumberInput
  /** Axis of the input that counts samples. */
  readonly axis: number
  /** The file or folder, for errors. */
  readonly place: string
  readonly parts: readonly Part[]
  /** Samples in the files. */
  readonly samples: number
}

/** A column, and how its samples become the model's. */
interface Part {
  readonly column: Column
  /** Shape of a sample as the model takes it. */
  readonly sample: readonly number[]
  /** Elements of some samples as the model takes them. */
  convert(raw: TensorData, samples: number): TensorData
}

/** Samples that are ready: those begin … end − 1 of the feeder are those of a part from its first one. */
interface Run {
  readonly part: Part
  readonly begin: number
  readonly end: number
}

/** A feeder whose samples can be read. */
export interface ReadyFeeder {
  readonly input: RunnerInput
  readonly axis: number
  readonly samples: number
  /** Positions in the files of samples that are left out. */
  readonly skipped: readonly number[]
  /** The first sample after `begin` that has another shape, or the number of samples. */
  sameShapeUntil(begin: number): number
  /** Samples of each sequence. */
  readonly sequences: readonly Range[]
  /** Shape of a batch of so many samples that have the shape of this one. */
  dims(sample: number, samples: number): readonly number[]
  /** Samples of one shape. */
  read(batch: Batch): Promise<Tensor>
}

/**
 * @param columns the samples of the input, in order
 * @throws {GpfqError} INVALID_DATA if a column does not fit the input
 */
export function feederOf(
  input: RunnerInput,
  columns: readonly Column[],
  axis: number,
  options: FeedOptions,
  notes: FeedNote[],
): Feeder {
  const [first] = columns
  const { name, type } = input
  if (first === undefined)
    throw new GpfqError('INVALID_DATA', {
      place: 'data',
      expected: `samples for input ${name}`,
      got: 'none',
      hint: HINTS['samples-for-input'],
    })
  const { place } = first
  if (!isTensorType(type)) throw invalid(place, `input ${name} to take numbers`, type)
  const numbers = { ...input, type }
  const parts = columns.map((column) => partOf(column, numbers, axis, options))
  if (isFloatType(type) && !isPreprocessed(options) && columns.some((column) => column.type === 'uint8'))
    notes.push({
      code: 'NOT_SCALED',
      place,
      text: `bytes 0..255 go into the ${type} input ${name} as they are`,
      hint: HINTS['divide-by-255'],
    })
  return {
    input: numbers,
    axis,
    place,
    parts,
    samples: columns.reduce((sum, { samples }) => sum + samples, 0),
  }
}

function partOf(column: Column, input: NumberInput, batchAxis: number, options: FeedOptions): Part {
  const { place, dims } = column
  const model = sampleDims(input, batchAxis)
  const move = channelMove(column, model, options.layout)
  const sample = fitSample(move?.dims ?? dims, model)
  if (sample === null) throw shapeError(column, input, batchAxis, options.layout)
  const axis = channelAxis(sample, isChannelsLast(model))
  if (isFloatType(input.type)) checkPreprocessing(place, options, axis.channels)
  return {
    column,
    sample,
    convert(raw, batch) {
      const data = move === undefined ? raw : moveChannels(raw, column.type, { batch, ...move }, move.to)
      return preprocess(place, data, column.type, input.type, axis, options)
    },
  }
}

/**
 * Makes the first samples of an input ready.
 * @param wanted how many
 * @param lenient images that cannot be read are left out
 * @throws {GpfqError} INVALID_DATA; the signal's reason
 */
export async function prepareFeeder(
  { input, axis, place, parts, samples }: Feeder,
  wanted: number,
  lenient: boolean,
  { maxBytes, signal, samples: asked }: FeedOptions,
  notes: FeedNote[],
): Promise<ReadyFeeder> {
  const bound = boundOf(input, asked, maxBytes)
  const runs: Run[] = []
  const skipped: Prepared['skipped'][number][] = []
  let ready = 0
  let before = 0 // samples in the files of earlier columns
  let sentinel: number | null = null
  for (const part of parts) {
    if (ready === wanted) break
    const { column } = part
    const prepared = await column.prepare({ samples: wanted - ready, bound, lenient, signal })
    const begin = ready
    ready += Math.min(wanted - ready, column.samples - prepared.skipped.length)
    for (const { position, error } of prepared.skipped) skipped.push({ position: before + position, error })
    before += column.samples
    sentinel ??= prepared.sentinel
    if (ready > begin) runs.push({ part, begin, end: ready })
  }
  const [first] = skipped
  if (first !== undefined && ready === 0) throw first.error
  notes.push(...skippedNotes(place, samples, skipped), ...sentinelNotes(place, input, sentinel))
  return readyFeeder(
    input,
    axis,
    runs,
    skipped.map(({ position }) => position),
  )
}

function readyFeeder(
  input: NumberInput,
  axis: number,
  runs: readonly Run[],
  skipped: readonly number[],
): ReadyFeeder {
  const samples = runs.at(-1)?.end ?? 0
  const shape = (run: Run | undefined): string => run?.part.sample.join() ?? ''
  const shapeEnds = runs.flatMap((run, i) =>
    shape(runs[i + 1]) === shape(run) && i + 1 < runs.length ? [] : [run.end],
  )
  const runAt = (sample: number): number => firstAbove(runs, sample, ({ end }) => end)
  const dims: ReadyFeeder['dims'] = (sample, count) =>
    (runs[runAt(sample)]?.part.sample ?? []).toSpliced(axis, 0, count)
  return {
    ...{ input, axis, samples, skipped, dims },
    sequences: runs.flatMap(sequencesOf),
    sameShapeUntil: (begin) => shapeEnds[firstAbove(shapeEnds, begin, (end) => end)] ?? samples,
    async read(batch) {
      const pieces: TensorData[] = []
      for (const [begin, end] of batch)
        for (let i = runAt(begin); i < runs.length && runs[i]!.begin < end; i++) {
          const { part, begin: start, end: stop } = runs[i]!
          const [from, to] = [Math.max(begin, start), Math.min(end, stop)]
          pieces.push(part.convert(await part.column.read(from - start, to - start), to - from))
        }
      const { type } = input
      const count = batchLength(batch)
      const shape = dims(batch[0]?.[0] ?? 0, count)
      const data = joined(type, pieces)
      const inner = elementCount(shape.slice(axis + 1))
      const outer = elementCount(shape.slice(0, axis))
      return {
        type,
        dims: shape,
        data: axis === 0 ? data : swapLeading(type, data, count, outer, inner),
      }
    },
  }
}

/** The sequences of a run, the last one as far as it is ready. */
function sequencesOf({ part: { column }, begin, end }: Run): readonly Range[] {
  const ranges: Range[] = []
  let from = begin
  for (const length of column.sequences ?? [column.samples]) {
    const to = Math.min(from + length, end)
    if (to > from) ranges.push([from, to])
    from = to
  }
  return ranges
}

/** Index of the first item whose end is above `at`; ends ascend. */
function firstAbove<T>(items: readonly T[], at: number, endOf: (item: T) => number): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (endOf(items[middle]!) > at) high = middle
    else low = middle + 1
  }
  return low
}

function joined(type: TensorType, pieces: readonly TensorData[]): TensorData {
  const [only] = pieces
  if (only !== undefined && pieces.length === 1) return only
  const out = allocateElements(
    type,
    pieces.reduce((sum, { length }) => sum + length, 0),
  )
  const bytes = new Uint8Array(out.buffer)
  let at = 0
  for (const { buffer, byteOffset, byteLength } of pieces) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at)
    at += byteLength
  }
  return out
}

function skippedNotes(place: string, samples: number, skipped: Prepared['skipped']): readonly FeedNote[] {
  const [first] = skipped
  const count = skipped.length
  if (first === undefined) return []
  const others = count === 1 ? '' : ` and ${count - 1} more`
  const text = `${count} of ${samples} images cannot be read and ${count === 1 ? 'is' : 'are'} left out: ${cut(first.error.message, 200)}${others}`
  return [{ code: 'IMAGES_SKIPPED', place, text, count }]
}

function sentinelNotes(
  place: string,
  { name, type }: RunnerInput,
  sentinel: number | null,
): readonly FeedNote[] {
  if (sentinel === null || !isTensorType(type) || !isFloatType(type)) return []
  const text = `values down to ${sentinel.toPrecision(2)}, as masks have them, go into input ${name}: layers that read them are fitted to these values more than to the others`
  return [{ code: 'SENTINELS', place, text }]
}

interface ChannelMove {
  readonly to: 'front' | 'back'
  readonly channels: number
  readonly positions: number
  /** Shape of a sample after the move. */
  readonly dims: readonly number[]
}

/** The move that brings a file's images into the model's order of axes; undefined if they are in it already. */
function channelMove(column: Column, model: ModelDims, layout: Layout | undefined): ChannelMove | undefined {
  const [a, b, c] = column.dims
  const wanted: Layout = isChannelsLast(model) ? 'nhwc' : 'nchw'
  const lying: Layout = column.isImages ? 'nchw' : (layout ?? wanted)
  if (lying === wanted || a === undefined || b === undefined || c === undefined || column.dims.length !== 3)
    return undefined
  return wanted === 'nchw'
    ? { to: 'front', channels: c, positions: a * b, dims: [c, a, b] }
    : { to: 'back', channels: a, positions: b * c, dims: [b, c, a] }
}

/** Channels of a sample: the first axis, or the last of a model that takes (height, width, channels). */
function channelAxis(sample: readonly number[], channelsLast: boolean): ChannelAxis {
  const axis = channelsLast ? sample.length - 1 : 0
  return { channels: sample[axis] ?? 1, inner: Math.max(1, elementCount(sample.slice(axis + 1))) }
}

function shapeError(
  column: Column,
  input: RunnerInput,
  batchAxis: number,
  layout: Layout | undefined,
): GpfqError {
  const model = sampleDims(input, batchAxis)
  const [a, b, c] = column.dims
  const turned = column.dims.length === 3 && a !== undefined && b !== undefined && c !== undefined
  const other: Layout = isChannelsLast(model) ? 'nchw' : 'nhwc'
  const turnedDims = turned ? (other === 'nhwc' ? [c, a, b] : [b, c, a]) : []
  const isOther = layout === undefined && turned && fitSample(turnedDims, model) !== null
  return new GpfqError('INVALID_DATA', {
    place: column.place,
    expected: `shape ${describeShape(input.dims)} for input ${input.name}`,
    got: shapeText(column.dims.toSpliced(batchAxis, 0, column.samples)),
    ...(isOther && { hint: HINTS[`layout-${other}`] }),
  })
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
