/**
 * Calibration and evaluation data as batches of model inputs. Files are matched to inputs by name, and their shapes are
 * checked against the model before anything runs. One batch is converted at a time: ten thousand images are held as the
 * bytes of their file, never all as floats. A set can be iterated any number of times.
 */

import { checkName, checkSignal, checkWhole, typeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { elementCount, isFloatType, isTensorType } from '../tensor/elements.js'
import { namedTensors } from '../tensor/named.js'
import { describeShape, fitSample, isChannelsLast, sampleDims } from '../tensor/shapes.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { ARRAY_BYTES, boundOf } from './bound.js'
import type { Column, Prepared } from './column.js'
import type { FeedNote } from './feedNote.js'
import { matchColumns } from './match.js'
import type { Preprocessing } from './preprocess.js'
import {
  type ChannelAxis,
  checkPreprocessing,
  isPreprocessed,
  moveChannels,
  preprocess,
} from './preprocess.js'
import { cut, shapeText } from './quote.js'
import { type DataFile, openArrays, pickEntry, type ReadOptions } from './source.js'

/** One source of samples: an array file, or the files of a folder of images. */
export interface DataSource {
  /** The name of the file or folder in errors. */
  readonly name: string
  /** The model input that it is for. Needed where the model has several and the file does not name them. */
  readonly input?: string | undefined
  /** The array of an archive to read. Default: the one with the input's name, or the only one. */
  readonly array?: string | undefined
  readonly files: readonly DataFile[]
}

/** The order of axes of images: (batch, channels, height, width) or (batch, height, width, channels). */
export type Layout = 'nchw' | 'nhwc'

/** Options of loadFeeds. */
export interface FeedOptions extends Preprocessing {
  /** At most the first N samples. Default: all. */
  readonly samples?: number | undefined
  /** Samples per batch. Default: 32. A fixed batch dimension of the model takes precedence. */
  readonly batchSize?: number | undefined
  /** The order of axes of images in array files. Default: the model's. */
  readonly layout?: Layout | undefined
  /**
   * Most bytes that one array or image may take once it is unpacked. Default: 1 GiB for an array, or what the samples take
   * where the model fixes their size and `samples` is given; 256 MiB for an image, 4 bytes a pixel.
   */
  readonly maxBytes?: number | undefined
  /** An image that cannot be read is an error. Default: it is left out with a note, where images are the only input. */
  readonly strict?: boolean | undefined
  /** Aborts between images. */
  readonly signal?: AbortSignal | undefined
}

/** Batches of model inputs. A set can be iterated any number of times. */
export interface FeedSet extends AsyncIterable<Feeds> {
  /** Samples that the batches hold in all. */
  readonly samples: number
  /** Samples in the files, without those that were skipped. */
  readonly available: number
  /** Positions in the files of images that cannot be read, up to the last sample that is used. */
  readonly skipped: readonly number[]
  readonly batchSize: number
  /** What a user should know: arrays and samples that are not used, bytes that are not scaled. */
  readonly notes: readonly FeedNote[]
}

const DEFAULT_BATCH = 32

/**
 * Opens data for a model's inputs.
 * @param sources samples of every input; the first axis of each array counts samples
 * @param inputs the model's inputs
 * @param options how many samples, and how they become the model's elements
 * @throws GpfqError INVALID_DATA naming the file, the shape expected and the shape found
 * @throws RangeError, TypeError for options; the signal's reason if it aborts
 * @example
 * const { inputs } = await openModel(bytes)
 * const calibration = await loadFeeds([{ name: 'images', files }], inputs, { samples: 512, scale: 255 })
 */
export async function loadFeeds(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  options: FeedOptions = {},
): Promise<FeedSet> {
  checkArguments(sources, inputs, options)
  const notes: FeedNote[] = []
  const columns = await matchColumns(sources, inputs, options.maxBytes, notes)
  const feeders = inputs.map((input) => feederOf(input, columns, options, notes))
  if (isPreprocessed(options) && !inputs.some((input) => isTensorType(input.type) && isFloatType(input.type)))
    throw new GpfqError('INVALID_DATA', {
      place: 'scale, mean, std',
      expected: 'a float input to apply them to',
      got: inputs.map((input) => `${input.name} (${input.type})`).join(', '),
      hint: HINTS['scale-mean-std'],
    })

  const inFiles = commonCount(feeders)
  const skipped = await prepareAll(feeders, Math.min(inFiles, options.samples ?? inFiles), options, notes)
  const available = inFiles - skipped.length
  const batchSize = fixedBatch(inputs) ?? options.batchSize ?? DEFAULT_BATCH
  const samples = wholeBatches(Math.min(available, options.samples ?? available), inputs, batchSize, notes)
  return {
    samples,
    available,
    skipped,
    batchSize,
    notes,
    async *[Symbol.asyncIterator]() {
      for (let begin = 0; begin < samples; begin += batchSize) {
        const end = Math.min(begin + batchSize, samples)
        const batch: [string, Tensor][] = []
        for (const feeder of feeders) batch.push([feeder.input.name, await feeder.read(begin, end)])
        yield namedTensors(batch)
      }
    },
  }
}

/** The samples that fill batches of the model's fixed size; all of them where it fixes none. */
function wholeBatches(
  samples: number,
  inputs: readonly RunnerInput[],
  batchSize: number,
  notes: FeedNote[],
): number {
  const left = fixedBatch(inputs) === undefined ? 0 : samples % batchSize
  if (left === samples && left > 0)
    throw invalid('data', `at least ${batchSize} samples for the model's fixed batch`, String(samples))
  if (left > 0)
    notes.push({
      code: 'SAMPLES_LEFT_OUT',
      place: null,
      text: `the model takes batches of ${batchSize}: the last ${left} of the samples are left out`,
    })
  return samples - left
}

function checkArguments(sources: unknown, inputs: unknown, options: FeedOptions): void {
  for (const [place, value] of Object.entries({ sources, inputs }))
    if (!Array.isArray(value)) throw typeError({ place, expected: 'an array', got: typeof value })
  const { samples, batchSize, maxBytes, layout, signal } = options
  for (const [place, value] of Object.entries({ samples, batchSize, maxBytes }))
    if (value !== undefined) checkWhole(place, value, 1)
  if (layout !== undefined) checkName('layout', layout, ['nchw', 'nhwc'])
  checkSignal(signal)
}

/** Makes the first samples of all inputs ready. Returns the positions of those that are left out. */
async function prepareAll(
  feeders: readonly Feeder[],
  samples: number,
  { strict = false, maxBytes, signal, samples: wanted }: FeedOptions,
  notes: FeedNote[],
): Promise<readonly number[]> {
  const lenient = !strict && feeders.length === 1
  const skipped: number[] = []
  for (const { input, column } of feeders) {
    const bound = boundOf(input, wanted, maxBytes)
    const prepared = await column.prepare({ samples, bound, lenient, signal })
    notes.push(...notesOf(input, column, prepared))
    skipped.push(...prepared.skipped.map(({ position }) => position))
  }
  return skipped
}

function notesOf({ name, type }: RunnerInput, column: Column, { skipped, sentinel }: Prepared): FeedNote[] {
  const notes: FeedNote[] = []
  const { place } = column
  const [first] = skipped
  const count = skipped.length
  if (first !== undefined) {
    const others = count === 1 ? '' : ` and ${count - 1} more`
    const text = `${count} of ${column.samples} images cannot be read and ${count === 1 ? 'is' : 'are'} left out: ${cut(first.error.message, 200)}${others}`
    notes.push({ code: 'IMAGES_SKIPPED', place, text, count })
  }
  if (sentinel !== null && isTensorType(type) && isFloatType(type)) {
    const text = `values down to ${sentinel.toPrecision(2)}, as masks have them, go into input ${name}: layers that read them are fitted to these values more than to the others`
    notes.push({ code: 'SENTINELS', place, text })
  }
  return notes
}

/**
 * Reads labels or next tokens: one integer array, (samples) or (samples, positions).
 * @param source one array file; of an archive `source.array`, else the array named `source.input`, by default "labels"
 * @param options how much memory they may take
 * @throws GpfqError INVALID_DATA for a folder, an array of floats or a damaged file
 * @example
 * const labels = await loadLabels({ name: 'labels.npy', files: [file] })
 */
export async function loadLabels(source: DataSource, options: ReadOptions = {}): Promise<Tensor> {
  const { name: place, array, input = 'labels' } = source
  const [file] = source.files
  if (file === undefined || source.files.length > 1) throw invalid(place, 'one file of labels', 'a folder')
  const { maxBytes = ARRAY_BYTES } = options
  checkWhole('maxBytes', maxBytes, 1)
  const entry = pickEntry(await openArrays(file, maxBytes), array ?? input, place)
  if (isFloatType(entry.type)) throw invalid(place, 'integer labels', entry.type)
  return entry.read(Number.POSITIVE_INFINITY, maxBytes)
}

/** Reads one input's samples in the type and shape that the model takes. */
interface Feeder {
  readonly input: RunnerInput
  readonly column: Column
  read(begin: number, end: number): Promise<Tensor>
}

function feederOf(
  input: RunnerInput,
  columns: ReadonlyMap<string, Column>,
  options: FeedOptions,
  notes: FeedNote[],
): Feeder {
  const column = columns.get(input.name)
  if (column === undefined)
    throw new GpfqError('INVALID_DATA', {
      place: 'data',
      expected: `samples for input ${input.name}`,
      got: 'none',
      hint: HINTS['samples-for-input'],
    })
  const { place } = column
  const { type } = input
  if (!isTensorType(type)) throw invalid(place, `input ${input.name} to take numbers`, type)

  const move = channelMove(column, input, options.layout)
  const moved = move === undefined ? column.dims : move.dims
  const sample = fitSample(moved, sampleDims(input))
  if (sample === null) throw shapeError(column, input, options.layout)
  const axis = channelAxis(sample, isChannelsLast(sampleDims(input)))
  if (isFloatType(type)) checkPreprocessing(place, options, axis.channels)
  if (column.type === 'uint8' && isFloatType(type) && !isPreprocessed(options))
    notes.push({
      code: 'NOT_SCALED',
      place,
      text: `bytes 0..255 go into the ${type} input ${input.name} as they are`,
      hint: HINTS['divide-by-255'],
    })

  return {
    input,
    column,
    async read(begin, end) {
      const raw = await column.read(begin, end)
      const batch = end - begin
      const data = move === undefined ? raw : moveChannels(raw, column.type, { batch, ...move }, move.to)
      return {
        type,
        dims: [batch, ...sample],
        data: preprocess(place, data, column.type, type, axis, options),
      }
    },
  }
}

interface ChannelMove {
  readonly to: 'front' | 'back'
  readonly channels: number
  readonly positions: number
  /** Shape of a sample after the move. */
  readonly dims: readonly number[]
}

/** The move that brings a file's images into the model's order of axes; undefined if they are in it already. */
function channelMove(
  column: Column,
  input: RunnerInput,
  layout: Layout | undefined,
): ChannelMove | undefined {
  const [a, b, c] = column.dims
  const wanted: Layout = isChannelsLast(sampleDims(input)) ? 'nhwc' : 'nchw'
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

function shapeError(column: Column, input: RunnerInput, layout: Layout | undefined): GpfqError {
  const model = sampleDims(input)
  const [a, b, c] = column.dims
  const turned = column.dims.length === 3 && a !== undefined && b !== undefined && c !== undefined
  const other: Layout = isChannelsLast(model) ? 'nchw' : 'nhwc'
  const turnedDims = turned ? (other === 'nhwc' ? [c, a, b] : [b, c, a]) : []
  const isOther = layout === undefined && turned && fitSample(turnedDims, model) !== null
  return new GpfqError('INVALID_DATA', {
    place: column.place,
    expected: `shape ${describeShape(input.dims)} for input ${input.name}`,
    got: shapeText([column.samples, ...column.dims]),
    ...(isOther && { hint: HINTS[`layout-${other}`] }),
  })
}

/** The number of samples, which all columns must have. */
function commonCount(feeders: readonly Feeder[]): number {
  const [first] = feeders
  if (first === undefined) throw invalid('data', 'a model with inputs', 'one without')
  const { input, column } = first
  for (const other of feeders)
    if (other.column.samples !== column.samples)
      throw invalid(
        other.column.place,
        `${column.samples} samples for input ${other.input.name}, as for input ${input.name} in ${column.place}`,
        String(other.column.samples),
      )
  // Elements bound the number of samples: without any, a file of some bytes could declare 2^53 of them.
  if (feeders.every((feeder) => elementCount(feeder.column.dims) === 0))
    throw invalid(
      column.place,
      'samples with elements',
      `shape ${shapeText([column.samples, ...column.dims])}`,
    )
  return column.samples
}

/** The batch dimension of the first input that fixes one. */
function fixedBatch(inputs: readonly RunnerInput[]): number | undefined {
  return inputs
    .map((input) => input.dims?.[0])
    .find((dim): dim is number => typeof dim === 'number' && dim > 0)
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
