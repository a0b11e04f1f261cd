/**
 * Groups of options that several commands share, and the checks that they have in common. Values are parsed in values.ts,
 * the options of the methods come from their table in methodOptions.ts.
 */
import { type Command, Option } from 'commander'
import type { ConstantValue } from '../data/constants.js'
import type { FeedOptions, Layout } from '../data/feeds.js'
import type { ImageSize } from '../data/imageColumn.js'
import { describeError, isDescribed } from '../errors.js'
import { checkPlanOptions } from '../model/settings.js'
import type {
  AnyMethodOptions,
  AnyPlanOptions,
  MethodOptions,
  PlanModelOptions,
  Radius,
  ScalePer,
} from '../options.js'
import { threadsOr } from '../platform/init.js'
import { flagOf } from './hints.js'
import { addMethodOptions } from './methodOptions.js'
import { UsageError } from './usage.js'
import {
  collectAxis,
  collectCarried,
  collectConstant,
  collectNumbers,
  levelsOf,
  parseBits,
  parseImageSize,
  parseRadius,
  parseScalePer,
  parseSize,
  positiveNumber,
  whole,
} from './values.js'

export interface AlphabetValues extends AnyMethodOptions {
  readonly bits?: number
  readonly levels?: number
  readonly scalePer?: ScalePer
  readonly radius?: Radius
}

/** The alphabet, its scales, and the method with its options. */
export function addAlphabetOptions(command: Command): Command {
  command
    .addOption(
      new Option('--bits <2..8>', 'bits per weight: 2^b − 1 levels').argParser(parseBits).conflicts('levels'),
    )
    .addOption(
      new Option('--levels <M>', 'M equally spaced values over [−α, α], 2 to 256 (default: 15)').argParser(
        (text) => whole(text, 2, 256),
      ),
    )
    .option(
      '--scale-per <scope>',
      'what shares one scale: layer, neuron or group:SIZE (default: neuron)',
      parseScalePer,
    )
    .option(
      '--radius <rule>',
      'the largest value α: max, median:C, mean-max:C, mse, search, or a number (default: search)',
      parseRadius,
    )
  return addMethodOptions(command)
}

/** Levels asked for by --levels or --bits; undefined if neither was. */
export function chosenLevels(values: AlphabetValues): number | undefined {
  return values.levels ?? (values.bits === undefined ? undefined : levelsOf(values.bits))
}

/** What a DATA argument is, for the help. */
export const DATA =
  ".npy, .npz, IDX (each also .gz), .wav, or a folder of images, each scaled to cover the model's input and cut to its centre, or of .wav files, cut into pieces of its length; or INPUT=DATA, several for one input one after another; of an .npz also FILE:ARRAY"

export interface DataValues {
  readonly samples?: number
  readonly batch?: number
  readonly scale?: number
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  readonly input?: Readonly<Record<string, ConstantValue>>
  readonly batchAxis?: Readonly<Record<string, number>>
  readonly imageSize?: ImageSize | 'own'
  readonly sampleRate?: number
  readonly soundLength?: number
  readonly soundStep?: number
  readonly carry?: Readonly<Record<string, string>>
  readonly layout?: Layout
  readonly strict?: boolean
  readonly maxData?: number
}

/** How DATA is read: how much of it, and (x / S − mean) / std per channel. */
export function addDataOptions(command: Command, defaultSamples?: string): Command {
  command
    .option('--samples <N>', `use the first N samples (default: ${defaultSamples ?? 'all'})`, (text) =>
      whole(text, 1),
    )
    .option('--batch <N>', 'samples per run of the network (default: 32)', (text) => whole(text, 1))
    .option('--scale <S>', 'divide the data by S first, 255 for bytes to 0..1', positiveNumber)
    .option(
      '--mean <numbers...>',
      'then subtract: one number or one per channel, as 0.5 or 0.4,0.5,0.6',
      collectNumbers,
    )
    .option('--std <numbers...>', 'then divide by: one number or one per channel', collectNumbers)
    .option(
      '--input <NAME=VALUE>',
      'an input that is the same for every batch: a number, numbers separated by commas, zeros or ones, in the shape that the model declares (repeatable)',
      collectConstant,
    )
    .option(
      '--carry <OUTPUT=INPUT>',
      'a state: an output that is an input of the next step, as stateN=state; the samples of a .wav file, an array file or a folder of images are then steps of a sequence, which begins with zeros or --input (repeatable)',
      collectCarried,
    )
    .option(
      '--batch-axis <NAME=AXIS>',
      "the axis of an input that counts samples, from 0 (default: the one with the name of the first input's batch dimension, or else 0; repeatable)",
      collectAxis,
    )
    .option(
      '--image-size <size>',
      'width and height of images where the model leaves them open, as 640x480, or own: of each image, in multiples of 32',
      parseImageSize,
    )
    .option(
      '--sample-rate <Hz>',
      'the rate of sound for the model: .wav files of other rates are resampled by linear interpolation (default: the rate of the files)',
      (text) => whole(text, 1),
    )
    .option(
      '--sound-length <N>',
      'samples of a piece of sound where the model leaves the length open (default: all of a file)',
      (text) => whole(text, 1),
    )
    .option(
      '--sound-step <N>',
      'a new piece of sound every N samples (default: the length of a piece)',
      (text) => whole(text, 1),
    )
    .addOption(
      new Option('--layout <order>', 'how images lie in array files (default: as in the model)').choices([
        'nchw',
        'nhwc',
      ]),
    )
    .option('--strict', 'an image that cannot be read is an error (default: it is left out and counted)')
  return addMaxDataOption(command)
}

/** For commands that read arrays or images. */
export function addMaxDataOption(command: Command): Command {
  return command.option(
    '--max-data <size>',
    'most memory that one array or image may take once unpacked, as 4G (default: 1G an array or what --samples takes, 256M an image)',
    parseSize,
  )
}

export function feedOptions(values: DataValues): FeedOptions {
  const { batch, maxData, input, batchAxis, samples, scale, mean, std, layout, strict } = values
  const { imageSize, sampleRate, soundLength, soundStep, carry } = values
  return {
    ...{ samples, scale, mean, std, layout, strict, imageSize, sampleRate, soundLength, soundStep },
    ...(carry !== undefined && { states: Object.values(carry) }),
    ...{ batchSize: batch, maxBytes: maxData, constants: input, batchAxes: batchAxis },
  }
}

export function addThreadsOption(command: Command): Command {
  return command.option('--threads <N>', 'threads to compute on (default: one per core)', (text) =>
    whole(text, 1, 256),
  )
}

/** For commands that quantize. */
export function addKernelOptions(command: Command): Command {
  return addThreadsOption(command).option(
    '--fast-math',
    'relaxed SIMD where the runtime has it: faster on some machines, not the same bytes on all',
  )
}

/** For commands that quantize whole models. */
export function addMemoryOption(command: Command): Command {
  return command.option(
    '--memory <size>',
    'memory that the process should keep to, as 2G; 350 MB of it are left to Node and ONNX Runtime (default: no limit)',
    parseSize,
  )
}

/**
 * Checks the options of a whole model.
 * @throws UsageError that names the option as the command line has it
 */
export function checkSettings<T extends AnyPlanOptions>(options: T): asserts options is T & PlanModelOptions {
  asUsage(() => checkPlanOptions(options))
}

/**
 * Checks the options of one layer.
 * @throws UsageError that names the option as the command line has it
 */
export function checkLayerSettings<
  T extends AnyMethodOptions & Pick<AnyPlanOptions, 'levels' | 'radius' | 'scalePer'>,
>(options: T): asserts options is T & MethodOptions {
  asUsage(() => checkPlanOptions(options))
}

/** Runs a check of the library. An argument that it refuses is a usage error. */
function asUsage(check: () => void): void {
  try {
    check()
  } catch (error) {
    if (!isDescribed(error) || error.code !== 'INVALID_ARGUMENT') throw error
    throw new UsageError(describeError(error, {}, flagOf(error.place)), { cause: error })
  }
}

export function chosenThreads(values: { readonly threads?: number }): number {
  return threadsOr(values.threads)
}
