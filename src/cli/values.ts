/**
 * Values as they are typed: numbers, rules and patterns. A text that is none of them is a usage error that says what is
 * allowed.
 */
import { InvalidArgumentError } from 'commander'
import type { ConstantValue } from '../data/constants.js'
import type { ImageSize } from '../data/imageColumn.js'
import type { ActivationRanges, KernelFor, Radius, ScalePer, Sparsity } from '../options.js'
import { namedTensors } from '../tensor/named.js'

export function parseRadius(text: string): Radius {
  if (text === 'max' || text === 'mse' || text === 'search') return { rule: text }
  const [rule, factor] = text.split(':')
  if (rule === 'median' || rule === 'mean-max')
    return { rule, factor: positive(factor ?? '', `${rule}:C with C > 0`) }
  return { rule: 'value', value: positive(text, 'max, median:C, mean-max:C, mse, search, or a number > 0') }
}

export function parseActivations(text: string): 8 {
  if (text !== '8') throw new InvalidArgumentError('Expected 8.')
  return 8
}

export function parseRanges(text: string): ActivationRanges {
  if (text === 'minmax' || text === 'mse' || text === 'search') return { rule: text }
  const [rule, number = ''] = text.split(':')
  const percentile = number.trim() === '' ? Number.NaN : Number(number)
  if (rule === 'percentile' && percentile > 50 && percentile <= 100) return { rule, percentile }
  throw new InvalidArgumentError(
    'Expected minmax, mse, search, or percentile:P with P above 50 and up to 100, for instance percentile:99.99.',
  )
}

/** Appends GLOB=8 or GLOB=float; the glob may have equals signs of its own. */
export function collectKernelFor(text: string, before: readonly KernelFor[] = []): readonly KernelFor[] {
  const split = text.lastIndexOf('=')
  const kernel = { '8': 'int8', float: 'float' } as const
  const word = text.slice(split + 1)
  if (split < 1 || (word !== '8' && word !== 'float'))
    throw new InvalidArgumentError("Expected GLOB=8 or GLOB=float, for instance 'head*=float'.")
  return [...before, { pattern: text.slice(0, split), kernel: kernel[word] }]
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

const UNITS: readonly string[] = ['', 'k', 'm', 'g', 't']

/** A number of bytes: 500000000, 512M, 4G; units are powers of 1024. */
export function parseSize(text: string): number {
  const [, digits = '', letter = ''] = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(text) ?? []
  const unit = UNITS.indexOf(letter.toLowerCase())
  const bytes = digits === '' ? 0 : Math.floor(Number(digits) * 1024 ** unit)
  if (!(bytes >= 1 && Number.isSafeInteger(bytes)))
    throw new InvalidArgumentError('Expected a size as 512M or 4G.')
  return bytes
}

/** Appends a glob. */
export function collectGlob(text: string, before: readonly string[] = []): readonly string[] {
  if (text === '')
    throw new InvalidArgumentError("Expected a glob, for instance 'conv1*', got an empty text.")
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

/** Splits NAME=VALUE; the name may have equals signs of its own. */
function splitNamed(text: string, expected: string): readonly [name: string, value: string] {
  const split = text.lastIndexOf('=')
  if (split < 1) throw new InvalidArgumentError(`Expected ${expected}.`)
  return [text.slice(0, split), text.slice(split + 1)]
}

const CONSTANT = 'NAME=VALUE with a number, numbers separated by commas, true, false, zeros or ones'

/** Adds the value of a constant input. */
export function collectConstant(
  text: string,
  before: Readonly<Record<string, ConstantValue>> = {},
): Readonly<Record<string, ConstantValue>> {
  const [name, value] = splitNamed(text, `${CONSTANT}, for instance sr=16000`)
  return namedTensors([...Object.entries(before), [name, parseConstant(value)]])
}

function parseConstant(text: string): ConstantValue {
  if (text === 'zeros' || text === 'ones') return text
  if (text === 'true' || text === 'false') return Number(text === 'true')
  const parts = text.split(',').map((part) => part.trim())
  const numbers = parts.map((part) => (part === '' ? Number.NaN : Number(part)))
  if (numbers.some(Number.isNaN))
    throw new InvalidArgumentError(`Expected ${CONSTANT}; samples of an input are data.`)
  return numbers.length === 1 ? numbers[0]! : numbers
}

/** Adds an output that is an input of the next step. */
export function collectCarried(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const entry = splitNamed(text, 'OUTPUT=INPUT, for instance stateN=state')
  if (Object.hasOwn(before, entry[0]))
    throw new InvalidArgumentError(`Expected output ${entry[0]} once, got it twice.`)
  return namedTensors([...Object.entries(before), entry])
}

/** Adds the axis of an input that counts samples. */
export function collectAxis(
  text: string,
  before: Readonly<Record<string, number>> = {},
): Readonly<Record<string, number>> {
  const [name, axis] = splitNamed(text, 'NAME=AXIS, for instance state=1')
  return namedTensors([...Object.entries(before), [name, whole(axis, 0, 63)]])
}

export function parseImageSize(text: string): ImageSize | 'own' {
  if (text === 'own') return text
  const [, width = '', height = ''] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? []
  if (!(Number(width) > 0 && Number(height) > 0))
    throw new InvalidArgumentError('Expected WIDTHxHEIGHT in pixels, for instance 640x480, or own.')
  return { width: Number(width), height: Number(height) }
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

export function positive(text: string, allowed: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError(`Expected ${allowed}.`)
  return value
}

export const positiveNumber = (text: string): number => positive(text, 'a number > 0')

export function notNegative(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('Expected a number of at least 0.')
  return value
}

/** Symmetric alphabets that hold zero: 2^b − 1 of the 2^b codes. */
export function levelsOf(bits: number): number {
  return 2 ** bits - 1
}

/** The name of an option on the command line, scale-per for scalePer. */
export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** The options that were given. The library takes missing options, and none that are undefined. */
export function given<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>
}
