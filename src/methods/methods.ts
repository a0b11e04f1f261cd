/**
 * The table of methods and the table of their options: papers, options with defaults and ranges, and the lines of help. The
 * types of src/options.ts, the checks of recipe.ts, the command line and the page all follow from these tables. Each
 * algorithm has a file of its own beside this one.
 */
import type { AnyMethodOptions, Method, OptionName } from '../options.js'

/** The default of an option. `searched` means true where the radius is searched, and false otherwise. */
type Default = number | boolean | 'searched' | null

/** A method as callers see it. */
export interface MethodEntry {
  /** The name in titles and menus. */
  readonly title: string
  /** What the method does, in one line. */
  readonly what: string
  /** Null for rounding. */
  readonly paper: { readonly title: string; readonly arXiv: string } | null
  /** The codes depend on calibration samples, also where the scales do not. */
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
    title: 'Path following (GPFQ)',
    what: 'each weight compensates for the errors before it; fast and robust',
    paper: { title: 'A Greedy Algorithm for Quantizing Neural Networks', arXiv: '2010.15979' },
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    // With a given radius the inputs keep the order of the papers, for which the lower triangle of G is enough.
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
    what: 'spreads the error of each weight over the weights after it',
    paper: {
      title: 'GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers',
      arXiv: '2210.17323',
    },
    needsSamples: true,
    ownScales: false,
    codesOfWeights: true,
    // The authors of OPTQ use 1 % damping. The 1e-6·σ₁ of Qronos' paper needs H in float64.
    options: { passes: 0, actOrder: true, damping: 0.01 },
  },
  qronos: {
    title: 'Qronos',
    what: 'also corrects the errors of earlier layers; slower',
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
    // Its authors make five loops.
    options: { passes: 5 },
  },
  msq: {
    title: 'Rounding',
    what: 'rounds each weight to the nearest value',
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
    // The smallest number of coefficients with a useful error.
    options: { redundancy: 4 },
  },
} as const satisfies Readonly<Record<Method, MethodEntry>>

/** The same table, for code that looks methods up by name. */
const ENTRIES: Readonly<Record<Method, MethodEntry>> = METHOD_TABLE

/** Names of all methods. */
export const METHODS: readonly Method[] = ['gpfq', 'spfq', 'gptq', 'qronos', 'beacon', 'msq', 'frame']

/** @returns the entry of a method */
export const methodEntry = (method: Method): MethodEntry => ENTRIES[method]

/** @returns the methods that an option goes with */
export const methodsWith = (name: OptionName): readonly Method[] =>
  METHODS.filter((method) => name in ENTRIES[method].options)

/**
 * The preset `best`: its method, where the caller names none, and its passes, for every method whose default is none. With
 * one pass instead of three, mobilenet loses 1.5 points (docs/ACCURACY.md).
 */
export const BEST = {
  title: 'Best',
  what: 'Qronos with 3 passes, slower and most accurate',
  method: 'qronos',
  passes: 3,
} as const

/** @returns the method of a call that may name one */
export const methodOf = ({ method, preset }: Pick<AnyMethodOptions, 'method' | 'preset'>): Method =>
  method ?? (preset === 'best' ? BEST.method : 'gpfq')

/** @returns the number of passes of a method where the caller gives none */
export function defaultPasses(method: Method, preset?: 'best' | null): number {
  const own = ENTRIES[method].options.passes
  if (typeof own !== 'number') return 0
  return preset === 'best' && own === 0 ? BEST.passes : own
}

/** The kind of an option: a number in a range (both ends included), a flag, or a rule with a number. */
export type OptionEntry = { readonly what: string } & (
  | { readonly kind: 'whole'; readonly least: number; readonly most: number }
  | { readonly kind: 'number'; readonly least: number }
  | { readonly kind: 'flag' | 'rule' }
)

/** All options of methods by name, with ranges and the lines of help. */
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
    what: 'moves weights to the ends of the alphabet first; needs fewer samples than inputs',
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
