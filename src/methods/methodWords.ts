/**
 * The methods and their options in words, for the help of the command line and for the page: titles, papers and a line on
 * what each does. A file of its own beside the table of methods.ts, so that the core entry does not bundle the words.
 */
import type { Method, OptionName } from '../options.js'

/** What people read about a method. */
export interface MethodWords {
  /** The name for people. */
  readonly title: string
  /** What the method does, in one line. */
  readonly what: string
  /** The paper that describes the method; null for rounding. */
  readonly paper: { readonly title: string; readonly arXiv: string } | null
}

/** The words of each method. */
export const METHOD_WORDS: Readonly<Record<Method, MethodWords>> = {
  gpfq: {
    title: 'Path following (GPFQ)',
    what: 'each weight compensates for the errors before it; fast and robust',
    paper: { title: 'A Greedy Algorithm for Quantizing Neural Networks', arXiv: '2010.15979' },
  },
  spfq: {
    title: 'Stochastic path following (SPFQ)',
    what: 'path following with random rounding',
    paper: {
      title: 'SPFQ: A Stochastic Algorithm and Its Error Analysis for Neural Network Quantization',
      arXiv: '2309.10975',
    },
  },
  gptq: {
    title: 'GPTQ',
    what: 'spreads the error of each weight over the weights after it',
    paper: {
      title: 'GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers',
      arXiv: '2210.17323',
    },
  },
  qronos: {
    title: 'Qronos',
    what: 'also corrects the errors of earlier layers; slower',
    paper: {
      title: 'Qronos: Correcting the Past by Shaping the Future... in Post-Training Quantization',
      arXiv: '2505.11695',
    },
  },
  beacon: {
    title: 'Beacon',
    what: 'chooses codes by angle and finds its own scales; no search',
    paper: {
      title: 'Beacon: Post-Training Quantization with Integrated Grid Selection',
      arXiv: '2508.20293',
    },
  },
  msq: {
    title: 'Rounding',
    what: 'rounds each weight to the nearest value',
    paper: null,
  },
  frame: {
    title: 'Frame quantization',
    what: 'codes of redundant coefficients; no data, float32 result',
    paper: { title: 'Frame Quantization of Neural Networks', arXiv: '2404.08131' },
  },
}

/** The words of the preset `best`. */
export const BEST_WORDS = { title: 'Best', what: 'Qronos with 3 passes, slower and most accurate' } as const

/** What each option does, in one line. */
export const OPTION_WORDS: Readonly<Record<OptionName, string>> = {
  passes: 'passes of coordinate descent after the method; the error never rises',
  damping: 'ridge λ in units of the mean diagonal of H: the larger, the nearer codes come to rounding',
  actOrder: 'inputs in descending order of H_tt',
  seed: 'seed of the random numbers',
  alignment: 'order of the data alignment',
  redundancy: 'coefficients a weight',
  preprocess: 'first move weights to the ends of the alphabet; needs fewer samples than inputs',
  sparsity: 'soft:λ, hard:λ (thresholds in units of weights) or target:SHARE of zeros in each layer',
}
