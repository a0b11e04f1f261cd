/**
 * Calibration and evaluation data as batches of model inputs. Files are matched to inputs by name, and their shapes are
 * checked against the model before anything runs. One batch is converted at a time: ten thousand images are held as the
 * bytes of their file, never all as floats. A set can be iterated any number of times.
 */

import { checkWhole } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { elementCount, isFloatType, isTensorType } from '../tensor/elements.js'
import { namedTensors } from '../tensor/named.js'
import { describeShape, fitSample, isChannelsLast, sampleDims } from '../tensor/shapes.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { arrayColumn, type Column, imageColumn } from './column.js'
import type { FeedNote } from './feedNote.js'
import { isImageName } from './images.js'
import type { Preprocessing } from './preprocess.js'
import {
  type ChannelAxis,
  checkPreprocessing,
  isPreprocessed,
  moveChannels,
  preprocess,
} from './preprocess.js'
import { type ArrayFile, type DataFile, pickArray, readArrays } from './source.js'

/** One source of samples: an array file, or the files of a folder of images. */
export interface DataSource {
  /** The name of the file or folder in errors. */
  readonly name: string
  /** The model input that it is for. Needed where the model has several and the file does not name them. */
  readonly input?: string | undefined
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
}

/** Batches of model inputs. A set can be iterated any number of times. */
export interface FeedSet extends AsyncIterable<Feeds> {
  /** Samples that the batches hold in all. */
  readonly samples: number
  /** Samples in the files. */
  readonly available: number
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
 * @throws RangeError for a batch size below 1
 * @example
 * const { inputs } = await openModel(bytes)
 * const calibration = await loadFeeds([{ name: 'images', files }], inputs, { samples: 512, scale: 255 })
 */
export async function loadFeeds(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  options: FeedOptions = {},
): Promise<FeedSet> {
  const notes: FeedNote[] = []
  const columns = await matchColumns(sources, inputs, notes)
  const feeders = inputs.map((input) => feederOf(input, columns, options, notes))
  if (isPreprocessed(options) && !inputs.some((input) => isTensorType(input.type) && isFloatType(input.type)))
    throw new GpfqError('INVALID_DATA', {
      place: 'scale, mean, std',
      expected: 'a float input to apply them to',
      got: inputs.map((input) => `${input.name} (${input.type})`).join(', '),
      hint: HINTS['scale-mean-std'],
    })

  const available = commonCount(feeders.map((feeder) => feeder.column))
  const batchSize = fixedBatch(inputs) ?? options.batchSize ?? DEFAULT_BATCH
  checkWhole('batchSize', batchSize, 1)
  let samples = Math.min(available, options.samples ?? available)
  const left = fixedBatch(inputs) === undefined ? 0 : samples % batchSize
  if (left === samples && left > 0)
    throw invalid('data', `at least ${batchSize} samples for the model's fixed batch`, String(samples))
  if (left > 0) {
    samples -= left
    notes.push({
      code: 'SAMPLES_LEFT_OUT',
      place: null,
      text: `the model takes batches of ${batchSize}: the last ${left} of the samples are left out`,
    })
  }
  return {
    samples,
    available,
    batchSize,
    notes,
    async *[Symbol.asyncIterator]() {
      for (let begin = 0; begin < samples; begin += batchSize) {
        const end = Math.min(begin + batchSize, samples)
        const batch: [string, Tensor][] = []
        for (const feeder of feeders) batch.push([feeder.name, await feeder.read(begin, end)])
        yield namedTensors(batch)
      }
    },
  }
}

/**
 * Reads labels or next tokens: one integer array, (samples) or (samples, positions).
 * @param source one array file; of an archive the array `source.input`, by default "labels"
 * @throws GpfqError INVALID_DATA for a folder, an array of floats or a damaged file
 * @example
 * const labels = await loadLabels({ name: 'labels.npy', files: [file] })
 */
export async function loadLabels(source: DataSource): Promise<Tensor> {
  const [file] = source.files
  if (file === undefined || source.files.length > 1)
    throw invalid(source.name, 'one file of labels', 'a folder')
  const labels = pickArray(await readArrays(file), source.input ?? 'labels', source.name)
  if (isFloatType(labels.type)) throw invalid(source.name, 'integer labels', labels.type)
  return labels
}

/** The column of each model input, by the input's name. */
async function matchColumns(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  notes: FeedNote[],
): Promise<ReadonlyMap<string, Column>> {
  const columns = new Map<string, Column>()
  const add = (input: RunnerInput, column: Column) => {
    if (columns.has(input.name)) throw invalid(column.place, `one source for input ${input.name}`, 'two')
    columns.set(input.name, column)
  }
  for (const source of sources) {
    const [file] = source.files
    if (file === undefined) throw invalid(source.name, 'JPEG or PNG images', 'a folder without any')
    if (isImageName(file.name)) {
      const input = targetOf(source, inputs)
      add(input, imageColumn(source.files, input, source.name))
      continue
    }
    const arrays = await readArrays(file)
    const named = source.input === undefined ? namedInputs(arrays, inputs, notes, source.name) : []
    for (const input of named) add(input, arrayColumn(arrays, input.name, source.name))
    if (named.length > 0) continue
    const input = targetOf(source, inputs)
    add(input, arrayColumn(arrays, input.name, source.name))
  }
  return columns
}

/** The inputs that an archive has arrays for. Adds a note about the other arrays. */
function namedInputs(
  arrays: ArrayFile,
  inputs: readonly RunnerInput[],
  notes: FeedNote[],
  place: string,
): readonly RunnerInput[] {
  if (arrays.kind !== 'named') return []
  const found = inputs.filter((input) => arrays.archive.names.includes(input.name))
  const unused = arrays.archive.names.filter((name) => !inputs.some((input) => input.name === name))
  if (found.length > 0 && unused.length > 0)
    notes.push({
      code: 'NOT_AN_INPUT',
      place,
      text: `not an input, not used: ${unused.join(', ')}`,
      names: unused,
    })
  return found
}

/** The input that a source without names of its own is for. */
function targetOf(source: DataSource, inputs: readonly RunnerInput[]): RunnerInput {
  const names = inputs.map((input) => input.name).join(', ')
  const [only] = inputs
  const input =
    source.input === undefined && inputs.length === 1
      ? only
      : inputs.find((candidate) => candidate.name === source.input)
  if (input !== undefined) return input
  if (source.input !== undefined)
    throw invalid(source.name, `the name of a model input (${names})`, JSON.stringify(source.input))
  throw new GpfqError('INVALID_DATA', {
    place: source.name,
    problem: `the model has ${inputs.length} inputs (${names}), and it is not said which one this is for`,
    hint: HINTS['npz-with-names'],
  })
}

/** Reads one input's samples in the type and shape that the model takes. */
interface Feeder {
  readonly name: string
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
    name: input.name,
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
    got: describeShape([column.samples, ...column.dims]),
    ...(isOther && { hint: HINTS[`layout-${other}`] }),
  })
}

/** The number of samples, which all columns must have. */
function commonCount(columns: readonly Column[]): number {
  const [first] = columns
  if (first === undefined) throw invalid('data', 'a model with inputs', 'one without')
  for (const column of columns)
    if (column.samples !== first.samples)
      throw invalid(column.place, `${first.samples} samples as in ${first.place}`, String(column.samples))
  return first.samples
}

/** The batch dimension of the first input that fixes one. */
function fixedBatch(inputs: readonly RunnerInput[]): number | undefined {
  return inputs
    .map((input) => input.dims?.[0])
    .find((dim): dim is number => typeof dim === 'number' && dim > 0)
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
