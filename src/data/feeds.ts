/**
 * Calibration and evaluation data as batches of model inputs. Files are matched to inputs by name, and their shapes are
 * checked against the model before anything runs. A batch has samples of one shape. One batch is converted at a time: ten thousand images are held as the
 * bytes of their file, never all as floats. A set can be iterated any number of times.
 */

import { checkName, checkSignal, checkWhole, rangeError, typeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { elementCount, isFloatType, isTensorType } from '../tensor/elements.js'
import { namedTensors } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { axisAt, type Batch, batchAxisOf, batchLength, batchName, fixedBatch, namedSizes } from './batches.js'
import { ARRAY_BYTES } from './bound.js'
import { type ConstantValue, constantInput } from './constants.js'
import { type Feeder, feederOf, prepareFeeder, type ReadyFeeder } from './feeder.js'
import type { FeedNote } from './feedNote.js'
import type { ImageSize } from './imageColumn.js'
import { matchColumns } from './match.js'
import { isPreprocessed, type Preprocessing } from './preprocess.js'
import { cut, listed, shapeText } from './quote.js'
import { planBatches, type Steps } from './sequences.js'
import { type DataFile, openArrays, pickEntry, type ReadOptions } from './source.js'

/** One source of samples: an array file, or the files of a folder of images or of sound. */
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
  /**
   * Inputs that are the same for every batch, by name, and have no samples: numbers, zeros or ones. They have the shape that
   * the model declares. A named dimension is as large as in the other inputs, or else 1.
   */
  readonly constants?: Readonly<Record<string, ConstantValue>> | undefined
  /**
   * The axis that counts samples, by the name of the input. Default: the axis with the name of the first input's batch
   * dimension, or else the first.
   */
  readonly batchAxes?: Readonly<Record<string, number>> | undefined
  /**
   * The size of images where the model leaves it open, or `own`: that of each image, rounded down to multiples of 32.
   */
  readonly imageSize?: ImageSize | 'own' | undefined
  /** The sampling rate of sound in Hz: files of other rates are resampled. Default: the rate of the files, which must be one. */
  readonly sampleRate?: number | undefined
  /** Samples of a piece of sound, where the model leaves the length open. Default: all of a file. */
  readonly soundLength?: number | undefined
  /** Samples from the beginning of a piece of sound to that of the next one. Default: the length of a piece. */
  readonly soundStep?: number | undefined
  /**
   * Inputs whose values a network gives for the next step, which carryStates fills in. They have no samples, and begin with
   * their constant, by default zeros. The samples of a file of sound, of an array file or of a folder of images are then a
   * sequence of steps, and batches come in the order of time (FeedSet.steps).
   */
  readonly states?: readonly string[] | undefined
  /** The order of axes of images in array files. Default: the model's. */
  readonly layout?: Layout | undefined
  /**
   * Most bytes that one array or image may take once it is unpacked. Default: 1 GiB for an array, or what the samples take
   * where the model fixes their size and `samples` is given; 256 MiB for an image, 4 bytes a pixel.
   */
  readonly maxBytes?: number | undefined
  /** An image that cannot be read is an error. Default: it is left out with a note, where images are the only input. */
  readonly strict?: boolean | undefined
  /** Aborts while files are read, here and as batches are. */
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
  /** Where inputs are states: which samples are steps of the same sequence. Else null. */
  readonly steps: Steps | null
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
  const { batchAxes = {}, states = [] } = options
  const zeros = states.map((name): [string, ConstantValue] => [name, 'zeros'])
  const constants = namedTensors([...zeros, ...Object.entries(options.constants ?? {})])
  const sampled = inputs.filter(({ name }) => !Object.hasOwn(constants, name))
  const axisOf = batchAxisOf(sampled, batchAxes)
  const columns = await matchColumns(sources, sampled, axisOf, options, notes)
  const feeders = sampled.map((input) =>
    feederOf(input, columns.get(input.name) ?? [], axisOf(input), options, notes),
  )
  if (isPreprocessed(options) && !inputs.some((input) => isTensorType(input.type) && isFloatType(input.type)))
    throw new GpfqError('INVALID_DATA', {
      place: 'scale, mean, std',
      expected: 'a float input to apply them to',
      got: inputs.map((input) => `${input.name} (${input.type})`).join(', '),
      hint: HINTS['scale-mean-std'],
    })

  const inFiles = commonCount(feeders)
  const wanted = Math.min(inFiles, options.samples ?? inFiles)
  const lenient = options.strict !== true && feeders.length === 1 && states.length === 0
  const ready: ReadyFeeder[] = []
  for (const feeder of feeders) ready.push(await prepareFeeder(feeder, wanted, lenient, options, notes))
  // The first tensor of a batch counts its samples.
  ready.sort((a, b) => a.axis - b.axis)
  const skipped = ready.flatMap((feeder) => feeder.skipped)
  const { batches, batchSize, steps } = planBatches(
    ready,
    inputs.filter(({ name }) => states.includes(name)),
    {
      ...{ batchAxes, fixed: fixedBatch(sampled, axisOf), name: batchName(sampled, batchAxes) },
      wanted: options.batchSize ?? DEFAULT_BATCH,
    },
    notes,
  )
  const constantInputs = inputs
    .filter(({ name }) => Object.hasOwn(constants, name))
    .map((input) => {
      const { name } = input
      const axis = axisAt({ ...batchAxes, ...steps?.axes }, name)
      return { name, tensor: constantInput(input, constants[name]!, axis) }
    })
  const constantsOf = (batch: Batch): [string, Tensor][] => {
    const sizes = { samples: batchLength(batch), named: namedSizes(ready, batch) }
    return constantInputs.map(({ name, tensor }) => [name, tensor(sizes)])
  }
  for (const batch of batches.slice(0, 1)) constantsOf(batch) // refused before anything is read
  return {
    samples: batches.reduce((sum, batch) => sum + batchLength(batch), 0),
    available: inFiles - skipped.length,
    ...{ skipped, batchSize, steps, notes },
    async *[Symbol.asyncIterator]() {
      for (const batch of batches) {
        const tensors: [string, Tensor][] = []
        for (const feeder of ready) tensors.push([feeder.input.name, await feeder.read(batch)])
        yield namedTensors([...tensors, ...constantsOf(batch)])
      }
    },
  }
}

function checkArguments(sources: unknown, inputs: readonly RunnerInput[], options: FeedOptions): void {
  for (const [place, value] of Object.entries({ sources, inputs }))
    if (!Array.isArray(value)) throw typeError({ place, expected: 'an array', got: typeof value })
  const { samples, batchSize, maxBytes, sampleRate, soundLength, soundStep, layout, signal } = options
  const { imageSize } = options
  const counts = { samples, batchSize, maxBytes, sampleRate, soundLength, soundStep }
  for (const [place, value] of Object.entries(counts)) if (value !== undefined) checkWhole(place, value, 1)
  if (layout !== undefined) checkName('layout', layout, ['nchw', 'nhwc'])
  if (imageSize !== undefined && imageSize !== 'own')
    for (const side of ['width', 'height'] as const) checkWhole(`imageSize.${side}`, imageSize[side], 1)
  checkSignal(signal)
  const { constants = {}, batchAxes = {}, states = [] } = options
  const names = inputs.map(({ name }) => name)
  if (!Array.isArray(states)) throw typeError({ place: 'states', expected: 'an array', got: typeof states })
  const named = { constants: Object.keys(constants), batchAxes: Object.keys(batchAxes), states }
  for (const [place, values] of Object.entries(named))
    for (const name of values)
      if (!names.includes(name))
        throw rangeError(place, `names of model inputs (${listed(names)})`, JSON.stringify(cut(name)))
  for (const { name, dims } of inputs) {
    const axis = axisAt(batchAxes, name)
    if (axis !== undefined) checkWhole(`batchAxes, input ${name}`, axis, 0, (dims?.length ?? Infinity) - 1)
  }
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

/** The number of samples, which all inputs must have. */
function commonCount(feeders: readonly Feeder[]): number {
  const [first] = feeders
  if (first === undefined) throw invalid('data', 'samples of at least one input', 'none')
  const { input, place, samples } = first
  for (const other of feeders)
    if (other.samples !== samples)
      throw invalid(
        other.place,
        `${samples} samples for input ${other.input.name}, as for input ${input.name} in ${place}`,
        String(other.samples),
      )
  // Elements bound the number of samples: without any, a file of some bytes could declare 2^53 of them.
  const [empty, ...others] = feeders.map(({ parts }) =>
    parts.map(({ column }) => column).find(({ dims }) => elementCount(dims) === 0),
  )
  if (empty !== undefined && !others.includes(undefined))
    throw invalid(empty.place, 'samples with elements', `shape ${shapeText([empty.samples, ...empty.dims])}`)
  return samples
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
