/**
 * The table of methods and the table of their options: which method has which option, with defaults and ranges, and what
 * each method applies to. The types of src/options.ts, the checks of recipe.ts, the command line and the page read them.
 * Titles, papers and help for people are in methodWords.ts, because programs that quantize do not need them. The
 * algorithms are in a file each beside this one.
 */
import type { AnyMethodOptions, Method, OptionName } from '../options.js'

/** The default of an option. `searched` means true where the radius is searched, and false otherwise. */
type Default = number | boolean | 'searched' | null

/** What callers should know of a method. */
export interface MethodEntry {
  /** Codes depend on calibration samples even where the scales do not. */
  readonly needsSamples: boolean
  /** The method finds its scales: radius and scalePer do not apply. */
  readonly ownScales: boolean
  /** Each code stands for one weight. Otherwise the result is float32 values. */
  readonly codesOfWeights: boolean
  /** The options of the method, with their defaults. */
  readonly options: Readonly<Partial<Record<OptionName, Default>>>
}

/** All methods by name. */
export const METHOD_TABLE = {
  gpfq: {
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    // With a given radius the order of the inputs is that of the papers.
    options: { passes: 0, actOrder: 'searched', damping: 0, sparsity: null },
  },
  spfq: {
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    options: { passes: 0, actOrder: false, damping: 0, seed: 0, alignment: 1 },
  },
  gptq: {
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    // The authors of OPTQ use 1 % damping. The 1e-6·σ₁ of Qronos' paper needs H in float64.
    options: { passes: 0, actOrder: true, damping: 0.01 },
  },
  qronos: {
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    options: { passes: 0, actOrder: true, damping: 0.01 },
  },
  beacon: {
    needsSamples: true,
    ownScales: true,
    codesOfWeights: true,
    // Its authors make five loops.
    options: { passes: 5, damping: 0 },
  },
  msq: {
    needsSamples: false,
    ownScales: false,
    codesOfWeights: true,
    options: { passes: 0, damping: 0, preprocess: false },
  },
  frame: {
    needsSamples: false,
    ownScales: true,
    codesOfWeights: false,
    // The smallest number of coefficients with a useful error.
    options: { redundancy: 4 },
  },
} as const satisfies Readonly<Record<Method, MethodEntry>>

/** The same table, for code that looks methods up by name. */
const ENTRIES: Readonly<Record<Method, MethodEntry>> = METHOD_TABLE

/** Names of all methods. */
export const METHODS = Object.keys(ENTRIES) as readonly Method[]

/**
 * The entry of a method in the table of methods: title, paper, options with their defaults.
 * @param method its name
 * @example
 * methodEntry('gptq').options.damping // 0.01
 */
export const methodEntry = (method: Method): MethodEntry => ENTRIES[method]

/** @returns the methods that an option goes with */
export const methodsWith = (name: OptionName): readonly Method[] =>
  METHODS.filter((method) => name in ENTRIES[method].options)

/**
 * The preset `best`: the method, unless one is named, and the passes of every method that makes none by itself. Three
 * passes keep a point and a half more than one on mobilenet (docs/ACCURACY.md).
 */
export const BEST = { method: 'qronos', passes: 3 } as const

/**
 * The method of a call that may name one: else gpfq, or with the preset `best` qronos.
 * @param options what the call names
 * @example
 * methodOf({ preset: 'best' }) // 'qronos'
 */
export const methodOf = ({ method, preset }: Pick<AnyMethodOptions, 'method' | 'preset'>): Method =>
  method ?? (preset === 'best' ? BEST.method : 'gpfq')

/**
 * The passes of coordinate descent that a method makes where the caller names none.
 * @param method its name
 * @param preset null for none
 * @example
 * defaultPasses('gptq', 'best') // 3
 */
export function defaultPasses(method: Method, preset?: 'best' | null): number {
  const own = ENTRIES[method].options.passes
  if (typeof own !== 'number') return 0
  return preset === 'best' && own === 0 ? BEST.passes : own
}

/** The form of an option: a number in a range (both ends allowed), a yes or no, or a rule with a number. */
export type OptionEntry =
  | { readonly kind: 'whole'; readonly least: number; readonly most: number }
  | { readonly kind: 'number'; readonly least: number }
  | { readonly kind: 'flag' | 'rule' }

/** All options of methods by name, with ranges and the lines of help. */
export const OPTION_TABLE = {
  passes: { kind: 'whole', least: 0, most: 1000 },
  damping: { kind: 'number', least: 0 },
  actOrder: { kind: 'flag' },
  seed: { kind: 'whole', least: 0, most: 2 ** 32 - 1 },
  alignment: { kind: 'whole', least: 1, most: 1000 },
  redundancy: { kind: 'whole', least: 2, most: 64 },
  preprocess: { kind: 'flag' },
  sparsity: { kind: 'rule' },
} as const satisfies Readonly<Record<OptionName, OptionEntry>>

/** Names of all options of methods. */
export const OPTIONS = Object.keys(OPTION_TABLE) as readonly OptionName[]
