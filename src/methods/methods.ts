/**
 * The table of methods and the table of their options. Everything that differs between methods as a caller sees them
 * stands here: papers, options with defaults and ranges, and the lines of help. The types of src/options.ts, the checks
 * of recipe.ts, the command line and the page all read these tables. The algorithms are in a file each beside this one.
 */
import type { AnyMethodOptions, Method, OptionName } from '../options.js'

/** What a method may have as the default of an option; `searched` is true where the radius is searched, else false. */
type Default = number | boolean | 'searched' | null

/** What callers should know of a method. */
export interface MethodEntry {
  /** The name for people. */
  readonly title: string
  /** What the method does, in one line. */
  readonly what: string
  /** Null for rounding. */
  readonly paper: { readonly title: string; readonly arXiv: string } | null
  /** Codes depend on calibration samples even where the scales do not. */
  readonly needsSamples: boolean
  /** The method finds its scales: radius and scalePer do not apply. */
  readonly ownScales: boolean
  /** A code stands for one weight. Otherwise the result is float32 values. */
  readonly codesOfWeights: boolean
  /** The options of the method, with their defaults. */
  readonly options: Readonly<Partial<Record<OptionName, Default>>>
}

export const METHOD_TABLE = {
  gpfq: {
    title: 'Path following (GPFQ)',
    what: 'each weight makes up for those before it; fast and sturdy',
    paper: { title: 'A Greedy Algorithm for Quantizing Neural Networks', arXiv: '2010.15979' },
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    // With a given radius the order of the inputs is that of the papers.
    options: { passes: 0, actOrder: 'searched', sparsity: null },
  },
  spfq: {
    title: 'Stochastic path following (SPFQ)',
    what: 'path following with random rounding',
    paper: {
      title: 'SPFQ: A Stochastic Algorithm and Its Error Analysis for Neural Network Quantization',
      arXiv: '2309.10975',
    },
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    options: { passes: 0, actOrder: false, seed: 0, alignment: 1 },
  },
  gptq: {
    title: 'GPTQ',
    what: 'the weights after each one make up for its error',
    paper: {
      title: 'GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers',
      arXiv: '2210.17323',
    },
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    // 1 % damping is what OPTQ's authors use. The 1e-6·σ₁ of Qronos' paper needs H in float64.
    options: { passes: 0, actOrder: true, damping: 0.01 },
  },
  qronos: {
    title: 'Qronos',
    what: 'corrects past errors and those of earlier layers; slower',
    paper: {
      title: 'Qronos: Correcting the Past by Shaping the Future... in Post-Training Quantization',
      arXiv: '2505.11695',
    },
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    options: { passes: 0, actOrder: true, damping: 0.01 },
  },
  beacon: {
    title: 'Beacon',
    what: 'chooses codes by angle and finds its own scales; no search',
    paper: {
      title: 'Beacon: Post-Training Quantization with Integrated Grid Selection',
      arXiv: '2508.20293',
    },
    needsSamples: true,
    ownScales: true,
    codesOfWeights: true,
    // As many loops as its authors make.
    options: { passes: 5 },
  },
  msq: {
    title: 'Rounding',
    what: 'each weight goes to its nearest value by itself',
    paper: null,
    needsSamples: false,
    ownScales: false,
    codesOfWeights: true,
    options: { passes: 0, preprocess: false },
  },
  frame: {
    title: 'Frame quantization',
    what: 'codes of redundant coefficients; no data, float32 result',
    paper: { title: 'Frame Quantization of Neural Networks', arXiv: '2404.08131' },
    needsSamples: false,
    ownScales: true,
    codesOfWeights: false,
    // As few coefficients as carry the error far enough to be of use.
    options: { redundancy: 4 },
  },
} as const satisfies Readonly<Record<Method, MethodEntry>>

/** The same table, for code that looks methods up by name. */
const ENTRIES: Readonly<Record<Method, MethodEntry>> = METHOD_TABLE

/** Names of all methods. */
export const METHODS: readonly Method[] = ['gpfq', 'spfq', 'gptq', 'qronos', 'beacon', 'msq', 'frame']

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
 * The preset `best`: the method, unless one is named, and the passes of every method that makes none by itself. One pass
 * loses a point and a half to three on mobilenet (docs/ACCURACY.md).
 */
export const BEST = {
  title: 'Best',
  what: 'Qronos with 3 passes, slower and most accurate',
  method: 'qronos',
  passes: 3,
} as const

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

/** How an option of a method is given: a number in a range (both ends allowed), a yes or no, or a rule with a number. */
export type OptionEntry = { readonly what: string } & (
  | { readonly kind: 'whole'; readonly least: number; readonly most: number }
  | { readonly kind: 'number'; readonly least: number }
  | { readonly kind: 'flag' | 'rule' }
)

export const OPTION_TABLE = {
  passes: {
    kind: 'whole',
    least: 0,
    most: 1000,
    what: 'passes of coordinate descent after the method; the error never rises',
  },
  damping: { kind: 'number', least: 0, what: 'λ in units of the mean diagonal of H' },
  actOrder: { kind: 'flag', what: 'inputs in descending order of H_tt' },
  seed: { kind: 'whole', least: 0, most: 2 ** 32 - 1, what: 'seed of the random numbers' },
  alignment: { kind: 'whole', least: 1, most: 1000, what: 'order of the data alignment' },
  redundancy: { kind: 'whole', least: 2, most: 64, what: 'coefficients a weight' },
  preprocess: {
    kind: 'flag',
    what: 'first move weights to the ends of the alphabet; needs fewer samples than inputs',
  },
  sparsity: {
    kind: 'rule',
    what: 'soft:λ, hard:λ (thresholds in units of weights) or target:SHARE of zeros in each layer',
  },
} as const satisfies Readonly<Record<OptionName, OptionEntry>>

/** The options that are numbers. */
export const NUMBER_OPTIONS = ['passes', 'damping', 'seed', 'alignment', 'redundancy'] as const

/** Names of all options of methods. */
export const OPTIONS: readonly OptionName[] = [...NUMBER_OPTIONS, 'actOrder', 'preprocess', 'sparsity']
