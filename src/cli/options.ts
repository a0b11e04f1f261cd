/**
 * Options that need more than a string, and groups of options that several commands share. A value that makes no
 * sense is a usage error that says what is allowed.
 */
import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { FeedOptions, Layout } from '../data/feeds.js'
import { METHODS } from '../methods/recipe.js'
import { resolveSettings, type Settings } from '../model/settings.js'
import type { Method, MethodOptions, Radius, ScalePer, Sparsity } from '../options.js'
import { UsageError } from './usage.js'

export { describeSetting } from '../report/describeSetting.js'

export function parseRadius(text: string): Radius {
  if (text === 'max' || text === 'mse' || text === 'search') return { rule: text }
  const [rule, factor] = text.split(':')
  if (rule === 'median' || rule === 'mean-max')
    return { rule, factor: positive(factor ?? '', `${rule}:C with C > 0`) }
  return { rule: 'value', value: positive(text, 'max, median:C, mean-max:C, mse, search, or a number > 0') }
}

export function parseScalePer(text: string): ScalePer {
  if (text === 'layer' || text === 'neuron') return text
  const size = /^group:(\d+)$/.exec(text)?.[1]
  if (size === undefined || Number(size) < 1)
    throw new InvalidArgumentError(
      'Expected layer, neuron or group:SIZE with SIZE ≥ 1, for instance group:32.',
    )
  return { group: Number(size) }
}

export function parseSparsity(text: string): Sparsity {
  const [rule, number = ''] = text.split(':')
  const value = number.trim() === '' ? Number.NaN : Number(number)
  if ((rule === 'soft' || rule === 'hard') && value >= 0 && Number.isFinite(value)) return { rule, value }
  if (rule === 'target' && value >= 0 && value < 1) return { rule, value }
  throw new InvalidArgumentError(
    'Expected soft:λ or hard:λ with λ ≥ 0, or target:SHARE with SHARE from 0 to below 1.',
  )
}

export function parseBits(text: string): number {
  return whole(text, 2, 8)
}

/** Appends GLOB=BITS; the glob may have equals signs of its own. */
export function collectBitsFor(
  text: string,
  before: readonly { pattern: string; levels: number }[] = [],
): readonly { pattern: string; levels: number }[] {
  const split = text.lastIndexOf('=')
  if (split < 1) throw new InvalidArgumentError("Expected GLOB=BITS, for instance 'conv1*=8'.")
  const levels = levelsOf(whole(text.slice(split + 1), 2, 8))
  return [...before, { pattern: text.slice(0, split), levels }]
}

export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

/** Numbers separated by commas or spaces, in one argument or several. */
export function collectNumbers(text: string, before: readonly number[] = []): readonly number[] {
  const numbers = text
    .split(/[\s,]+/)
    .filter((part) => part !== '')
    .map(Number)
  if (numbers.length === 0 || !numbers.every(Number.isFinite))
    throw new InvalidArgumentError('Expected numbers separated by commas, for instance 0.485,0.456,0.406.')
  return [...before, ...numbers]
}

/** A whole number from `least` to `most`. */
export function whole(text: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw new InvalidArgumentError(
      `Expected a whole number ${most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`}.`,
    )
  return value
}

function positive(text: string, allowed: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError(`Expected ${allowed}.`)
  return value
}

export const positiveNumber = (text: string): number => positive(text, 'a number > 0')

function notNegative(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('Expected a number of at least 0.')
  return value
}

/** Symmetric alphabets that hold zero: 2^b − 1 of the 2^b codes. */
export function levelsOf(bits: number): number {
  return 2 ** bits - 1
}

export interface AlphabetValues {
  readonly bits?: number
  readonly levels?: number
  readonly scalePer?: ScalePer
  readonly radius?: Radius
  readonly method?: Method
  readonly preset?: 'best'
  readonly passes?: number
  readonly damping?: number
  readonly actOrder?: boolean
  readonly seed?: number
  readonly alignment?: number
  readonly redundancy?: number
  readonly sparsity?: Sparsity
  readonly preprocess?: boolean
}

export function addAlphabetOptions(command: Command): Command {
  return command
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
    .addOption(
      new Option('--method <name>', 'how codes are chosen; msq rounds (default: gpfq)').choices(METHODS),
    )
    .addOption(
      new Option('--preset <name>', 'best: qronos with 3 passes, slower and most accurate').choices(['best']),
    )
    .option(
      '--passes <n>',
      'passes of coordinate descent after the method; the error never rises (default: 0; beacon 5, --preset best 3)',
      (text) => whole(text, 0, 1000),
    )
    .option(
      '--damping <share>',
      'gptq, qronos: λ in units of the mean diagonal of H (default: 0.01)',
      (text) => notNegative(text),
    )
    .option(
      '--act-order',
      'inputs in descending order of H_tt (default for gptq, qronos, gpfq with --radius search)',
    )
    .option('--no-act-order', 'inputs in their own order (default for the others)')
    .option('--seed <n>', 'spfq: of its random numbers (default: 0)', (text) => whole(text, 0, 2 ** 32 - 1))
    .option('--alignment <r>', 'spfq: order of the data alignment (default: 1)', (text) =>
      whole(text, 1, 1000),
    )
    .option('--redundancy <r>', 'frame: coefficients a weight (default: 4)', (text) => whole(text, 2, 64))
    .option(
      '--preprocess',
      'msq: first move weights to the ends of the alphabet; needs fewer samples than inputs',
    )
    .option(
      '--sparsity <rule>',
      'gpfq: soft:λ, hard:λ (thresholds in units of weights) or target:SHARE of zeros in each layer',
      parseSparsity,
    )
}

/** The options of the method, as the API has them. */
export function chosenMethod(values: AlphabetValues): MethodOptions {
  const { preset, method, passes, damping, actOrder, seed, alignment, redundancy, sparsity, preprocess } =
    values
  const ofMethods = { damping, actOrder, seed, alignment, redundancy, sparsity, preprocess }
  return given({ preset, method, passes, ...ofMethods })
}

/** Levels asked for by --levels or --bits; undefined if neither was. */
export function chosenLevels(values: AlphabetValues): number | undefined {
  return values.levels ?? (values.bits === undefined ? undefined : levelsOf(values.bits))
}

/** What a DATA argument can be. */
export const DATA =
  ".npy, .npz, IDX (each also .gz), or a folder of images, each scaled to cover the model's input and cut to its centre; or NAME=DATA"

export interface DataValues {
  readonly samples?: number
  readonly batch?: number
  readonly scale?: number
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  readonly layout?: Layout
}

/** Wherever DATA is read: how much of it, and (x / S − mean) / std per channel. */
export function addDataOptions(command: Command, defaultSamples?: string): Command {
  return command
    .option('--samples <N>', `use the first N samples (default: ${defaultSamples ?? 'all'})`, (text) =>
      whole(text, 1),
    )
    .option('--batch <N>', 'samples per run of the network (default: 32)', (text) => whole(text, 1))
    .option('--scale <S>', 'divide the data by S first, 255 for bytes to 0..1', (text) =>
      positive(text, 'a number > 0'),
    )
    .option(
      '--mean <numbers...>',
      'then subtract: one number or one per channel, as 0.5 or 0.4,0.5,0.6',
      collectNumbers,
    )
    .option('--std <numbers...>', 'then divide by: one number or one per channel', collectNumbers)
    .addOption(
      new Option('--layout <order>', 'how images lie in array files (default: as in the model)').choices([
        'nchw',
        'nhwc',
      ]),
    )
}

export function feedOptions(values: DataValues): FeedOptions {
  const { samples, batch, scale, mean, std, layout } = values
  return { samples, batchSize: batch, scale, mean, std, layout }
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

/**
 * Settings as the library fills them in. What it refuses is a call that cannot be meant, and goes by the option's name.
 * @throws {UsageError}
 */
export function checkSettings(options: Parameters<typeof resolveSettings>[0]): Settings {
  try {
    return resolveSettings(options)
  } catch (error) {
    const refused = error instanceof TypeError || error instanceof RangeError
    const place = refused ? /^\w+(?=[^:]*: expected )/.exec(error.message)?.[0] : undefined
    if (!refused || place === undefined) throw error
    throw new UsageError(`--${kebab(place)}${error.message.slice(place.length)}`, { cause: error })
  }
}

/** Names as options have them, scalePer as scale-per. */
export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

export function chosenThreads(values: { readonly threads?: number }): number {
  return values.threads ?? availableParallelism()
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** The options that were given: the API tells a missing option from one that is undefined. */
export function given<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>
}
