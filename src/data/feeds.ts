/**
 * Calibration and evaluation data as batches of model inputs: matches files to inputs by name, checks their
 * shapes against the model before anything runs, and converts a batch at a time, so that ten thousand images are
 * held as the bytes of their file and never all as floats. A set can be iterated any number of times.
 */

import { checkWhole } from '../checks.js'
import { GpfqError } from '../errors.js'
import { elementCount, isFloatType, isTensorType } from '../tensor/elements.js'
import { describeShape, fitSample, isChannelsLast, sampleDims } from '../tensor/shapes.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { arrayColumn, type Column, imageColumn } from './column.js'
import { isImageName } from './images.js'
import type { Preprocessing } from './preprocess.js'
import {
  type ChannelAxis,
  checkPreprocessing,
  isPreprocessed,
  moveChannels,
  preprocess,
} from './preprocess.js'
import { type ArrayFile, type ByteSource, pickArray, readArrays } from './source.js'

/** One DATA argument: an array file, or the files of a folder of images; `input` if it was given as NAME=DATA. */
export interface DataSource {
  readonly name: string
  readonly input?: string | undefined
  readonly files: readonly ByteSource[]
}

export type Layout = 'nchw' | 'nhwc'

export interface FeedOptions extends Preprocessing {
  /** At most the first N samples; all unless told. */
  readonly samples?: number | undefined
  /** Samples per batch, 32 unless told; a fixed batch dimension in the model goes first. */
  readonly batchSize?: number | undefined
  /** How images lie in array files, if not as in the model. */
  readonly layout?: Layout | undefined
}

export interface FeedSet extends AsyncIterable<Feeds> {
  /** Samples that the batches hold in all. */
  readonly samples: number
  /** Samples in the files. */
  readonly available: number
  readonly batchSize: number
  /** What a user should know: unused arrays, samples left over, bytes fed without --scale. */
  readonly notes: readonly string[]
}

const DEFAULT_BATCH = 32

/**
 * Opens data for a model's inputs.
 * @throws {GpfqError} INVALID_DATA naming the file, the shape expected and the shape found
 * @throws RangeError for a batch size that is none
 */
export async function loadFeeds(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  options: FeedOptions = {},
): Promise<FeedSet> {
  const notes: string[] = []
  const columns = await matchColumns(sources, inputs, notes)
  const feeders = inputs.map((input) => feederOf(input, columns, options, notes))
  if (isPreprocessed(options) && !inputs.some((input) => isTensorType(input.type) && isFloatType(input.type)))
    throw new GpfqError(
      'INVALID_DATA',
      `--scale, --mean, --std: expected a float input to apply them to, got ${inputs.map((input) => `${input.name} (${input.type})`).join(', ')}; leave them out`,
    )

  const available = commonCount(feeders.map((feeder) => feeder.column))
  const batchSize = fixedBatch(inputs) ?? options.batchSize ?? DEFAULT_BATCH
  checkWhole('batchSize', batchSize, 1)
  let samples = Math.min(available, options.samples ?? available)
  const left = fixedBatch(inputs) === undefined ? 0 : samples % batchSize
  if (left === samples && left > 0)
    throw new GpfqError(
      'INVALID_DATA',
      `data: expected at least ${batchSize} samples for the model's fixed batch, got ${samples}`,
    )
  if (left > 0) {
    samples -= left
    notes.push(`the model takes batches of ${batchSize}: the last ${left} of the samples are left out`)
  }
  return {
    samples,
    available,
    batchSize,
    notes,
    async *[Symbol.asyncIterator]() {
      for (let begin = 0; begin < samples; begin += batchSize) {
        const end = Math.min(begin + batchSize, samples)
        const batch: Record<string, Tensor> = {}
        for (const feeder of feeders) batch[feeder.name] = await feeder.read(begin, end)
        yield batch
      }
    },
  }
}

/**
 * Labels or next tokens: one integer array, (samples) or (samples, positions).
 * @throws {GpfqError} INVALID_DATA
 */
export async function loadLabels(source: DataSource): Promise<Tensor> {
  const [file] = source.files
  if (file === undefined || source.files.length > 1)
    throw new GpfqError('INVALID_DATA', `${source.name}: expected one file of labels, got a folder`)
  const labels = pickArray(await readArrays(file), source.input ?? 'labels', source.name)
  if (isFloatType(labels.type))
    throw new GpfqError('INVALID_DATA', `${source.name}: expected integer labels, got ${labels.type}`)
  return labels
}

/** Samples of each model input, by its name. */
async function matchColumns(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  notes: string[],
): Promise<ReadonlyMap<string, Column>> {
  const columns = new Map<string, Column>()
  const add = (input: RunnerInput, column: Column) => {
    if (columns.has(input.name))
      throw new GpfqError(
        'INVALID_DATA',
        `${column.place}: expected one source for input ${input.name}, got two`,
      )
    columns.set(input.name, column)
  }
  for (const source of sources) {
    const [file] = source.files
    if (file === undefined)
      throw new GpfqError(
        'INVALID_DATA',
        `${source.name}: expected JPEG or PNG images, got a folder without any`,
      )
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

/** Inputs that an archive has arrays for. */
function namedInputs(
  arrays: ArrayFile,
  inputs: readonly RunnerInput[],
  notes: string[],
  place: string,
): readonly RunnerInput[] {
  if (arrays.kind !== 'named') return []
  const found = inputs.filter((input) => arrays.archive.names.includes(input.name))
  const unused = arrays.archive.names.filter((name) => !inputs.some((input) => input.name === name))
  if (found.length > 0 && unused.length > 0)
    notes.push(`${place}: not an input, not used: ${unused.join(', ')}`)
  return found
}

function targetOf(source: DataSource, inputs: readonly RunnerInput[]): RunnerInput {
  const names = inputs.map((input) => input.name).join(', ')
  const [only] = inputs
  const input =
    source.input === undefined && inputs.length === 1
      ? only
      : inputs.find((candidate) => candidate.name === source.input)
  if (input !== undefined) return input
  throw new GpfqError(
    'INVALID_DATA',
    source.input === undefined
      ? `${source.name}: expected to know which input it is for, got a model with ${inputs.length} (${names}); write NAME=${source.name}, or give an .npz with these names`
      : `${source.name}: expected the name of a model input (${names}), got ${JSON.stringify(source.input)}`,
  )
}

interface Feeder {
  readonly name: string
  readonly column: Column
  read(begin: number, end: number): Promise<Tensor>
}

function feederOf(
  input: RunnerInput,
  columns: ReadonlyMap<string, Column>,
  options: FeedOptions,
  notes: string[],
): Feeder {
  const column = columns.get(input.name)
  if (column === undefined)
    throw new GpfqError(
      'INVALID_DATA',
      `data: expected samples for input ${input.name}, got none; add ${input.name}=FILE`,
    )
  const { place } = column
  const { type } = input
  if (!isTensorType(type))
    throw new GpfqError('INVALID_DATA', `${place}: expected input ${input.name} to take numbers, got ${type}`)

  const move = channelMove(column, input, options.layout)
  const moved = move === undefined ? column.dims : move.dims
  const sample = fitSample(moved, sampleDims(input))
  if (sample === null) throw shapeError(column, input, options.layout)
  const axis = channelAxis(sample, isChannelsLast(sampleDims(input)))
  if (isFloatType(type)) checkPreprocessing(place, options, axis.channels)
  if (column.type === 'uint8' && isFloatType(type) && !isPreprocessed(options))
    notes.push(
      `${place}: bytes 0..255 go into the ${type} input ${input.name} as they are; is --scale 255 missing?`,
    )

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
  /** Shape of a sample afterwards. */
  readonly dims: readonly number[]
}

/** How a file's images must be turned to lie as the model's do; undefined if they do already. */
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
  const hint =
    layout === undefined && turned && fitSample(turnedDims, model) !== null ? `; try --layout ${other}` : ''
  return new GpfqError(
    'INVALID_DATA',
    `${column.place}: expected shape ${describeShape(input.dims)} for input ${input.name}, got ${describeShape([column.samples, ...column.dims])}${hint}`,
  )
}

function commonCount(columns: readonly Column[]): number {
  const [first] = columns
  if (first === undefined)
    throw new GpfqError('INVALID_DATA', 'data: expected a model with inputs, got one without')
  for (const column of columns)
    if (column.samples !== first.samples)
      throw new GpfqError(
        'INVALID_DATA',
        `${column.place}: expected ${first.samples} samples as in ${first.place}, got ${column.samples}`,
      )
  return first.samples
}

function fixedBatch(inputs: readonly RunnerInput[]): number | undefined {
  return inputs
    .map((input) => input.dims?.[0])
    .find((dim): dim is number => typeof dim === 'number' && dim > 0)
}
