/**
 * What is to be done to a layer, as plain data: the method and everything that changes its codes, with defaults filled
 * in and combinations checked. One recipe serves a whole run; scales and levels are a layer's own (solution.ts).
 */

import { checkName, checkWhole, rangeError } from '../checks.js'
import type { Method, MethodOptions, Radius, ScalePer, Sparsity } from '../options.js'

export interface Recipe {
  readonly method: Method
  /** Passes of coordinate descent on the codes. */
  readonly passes: number
  /** λ of gptq and qronos in units of the mean of diag H; null for others. */
  readonly damping: number | null
  /** Inputs in descending order of H_tt instead of their own. */
  readonly actOrder: boolean
  /** Of the draws of spfq and of random patches; null without any. */
  readonly seed: number | null
  /** Order of spfq's data alignment; null for others. */
  readonly alignment: number | null
  /** Coefficients a weight of frame; null for others. */
  readonly redundancy: number | null
  /** The vertex walk before msq. */
  readonly preprocess: boolean
  /** Thresholds of gpfq; null for others. */
  readonly sparsity: Sparsity | null
}

/** Plain greedy path following. */
export const GPFQ: Recipe = {
  method: 'gpfq',
  passes: 0,
  damping: null,
  actOrder: false,
  seed: null,
  alignment: null,
  redundancy: null,
  preprocess: false,
  sparsity: null,
}

export const METHODS: readonly Method[] = ['gpfq', 'msq', 'gptq', 'qronos', 'spfq', 'beacon', 'frame']

const CODES_OF_WEIGHTS = METHODS.filter((method) => method !== 'frame')

/** Options that not every method has. Act-order is for those that take the inputs one after another. */
const METHODS_WITH: Readonly<
  Record<
    | 'damping'
    | 'actOrder'
    | 'seed'
    | 'alignment'
    | 'redundancy'
    | 'preprocess'
    | 'sparsity'
    | 'preset'
    | 'passes',
    readonly Method[]
  >
> = {
  damping: ['gptq', 'qronos'],
  actOrder: ['gpfq', 'gptq', 'qronos', 'spfq'],
  seed: ['spfq'],
  alignment: ['spfq'],
  redundancy: ['frame'],
  preprocess: ['msq'],
  sparsity: ['gpfq'],
  preset: CODES_OF_WEIGHTS,
  passes: CODES_OF_WEIGHTS,
}

/**
 * Damping of 1 %: what OPTQ's authors use, and what lets Qronos work on sums in float32. The 1e-6·σ₁ of Qronos' paper
 * needs sums in float64.
 */
const DAMPING = 0.01

/** Passes of the preset; one loses a point and a half to them on mobilenet (docs/ACCURACY.md). */
const BEST_PASSES = 3

/** Coefficients a weight of frame: as few as carry the error far enough to be of use. */
export const REDUNDANCY = 4

/** Loops of Beacon: what its authors use. */
const LOOPS = 5

/**
 * @param randomPatches whether samples are drawn too, so that a seed means something
 * @throws RangeError for values, TypeError for combinations that cannot be
 */
export function resolveRecipe(
  options: MethodOptions & { readonly radius?: Radius },
  randomPatches = false,
): Recipe {
  const best = options.preset === 'best'
  const method = options.method ?? (best ? 'qronos' : 'gpfq')
  const {
    passes = method === 'beacon' ? LOOPS : best ? BEST_PASSES : 0,
    damping,
    actOrder,
    seed,
    alignment,
    redundancy,
    preprocess = false,
    sparsity,
  } = options
  checkName('preset', options.preset ?? 'best', ['best'])
  checkName('method', method, METHODS)
  checkWhole('passes', passes, 0, 1000)
  const inverting = METHODS_WITH.damping.includes(method)
  const given = {
    ...{ damping, actOrder: actOrder || undefined, seed, alignment, redundancy, sparsity },
    ...{ preprocess: preprocess || undefined, preset: options.preset, passes: passes || undefined },
  }
  for (const [name, value] of Object.entries(given)) {
    const methods = METHODS_WITH[name as keyof typeof given]
    if (value !== undefined && !methods.includes(method) && !(name === 'seed' && randomPatches)) {
      throw new TypeError(
        `${name}: expected a method that has it (${methods.join(', ')}), got ${method}; leave it out`,
      )
    }
  }
  if (damping !== undefined && !(damping >= 0 && Number.isFinite(damping))) {
    throw rangeError('damping', 'a finite number of at least 0', damping)
  }
  checkWhole('seed', seed ?? 0, 0, 2 ** 32 - 1)
  checkWhole('alignment', alignment ?? 1, 1, 1000)
  checkWhole('redundancy', redundancy ?? REDUNDANCY, 2, 64)
  if (preprocess && passes > 0) {
    throw new TypeError(`preprocess: expected no passes beside it, got ${passes}; leave one out`)
  }
  if (sparsity !== undefined) checkSparsity(sparsity)
  const random = method === 'spfq'
  return {
    method,
    passes,
    damping: inverting ? (damping ?? DAMPING) : null,
    actOrder:
      actOrder ?? (inverting || (method === 'gpfq' && (options.radius?.rule ?? 'search') === 'search')),
    seed: random || randomPatches ? (seed ?? 0) : null,
    alignment: random ? (alignment ?? 1) : null,
    redundancy: method === 'frame' ? (redundancy ?? REDUNDANCY) : null,
    preprocess,
    sparsity: sparsity ?? null,
  }
}

function checkSparsity({ rule, value }: Sparsity): void {
  checkName('sparsity rule', rule, ['soft', 'hard', 'target'])
  if (rule === 'target' ? !(value >= 0 && value < 1) : !(value >= 0 && Number.isFinite(value))) {
    const allowed = rule === 'target' ? 'a share of zeros from 0 to below 1' : 'a finite λ of at least 0'
    throw rangeError(`sparsity ${rule}`, allowed, value)
  }
}

/** Scales as asked for, or the method's own rule. @throws TypeError for scales that the method cannot have */
export function resolveScales(
  { method, preprocess }: Recipe,
  { scalePer, radius }: { readonly scalePer?: ScalePer; readonly radius?: Radius },
): { readonly scalePer: ScalePer; readonly radius: Radius } {
  const own = preprocess
    ? 'preprocess'
    : method === 'beacon' || method === 'frame'
      ? `method ${method}`
      : null
  if (own === null) return { scalePer: scalePer ?? 'neuron', radius: radius ?? { rule: 'search' } }
  if (radius !== undefined && !(preprocess && radius.rule === 'max')) {
    throw new TypeError(
      `radius: expected ${preprocess ? 'max' : 'none'} beside ${own}, which has its own, got ${radius.rule}; leave it out`,
    )
  }
  if (scalePer !== undefined && scalePer !== 'neuron') {
    throw new TypeError(`scalePer: expected 'neuron' beside ${own}, got another scope; leave it out`)
  }
  return { scalePer: 'neuron', radius: { rule: 'max' } }
}

/** Whether an alphabet can do what the recipe asks. */
export function checkLevelsFor({ sparsity }: Recipe, place: string, levels: number): void {
  if (sparsity !== null && levels % 2 === 0) {
    throw rangeError(place, 'an odd number, for sparsity needs a zero in the alphabet', levels)
  }
}

/** Whether substitute.ts chooses the codes, the nearest ones: of the path, or of the weights. */
export const isPath = ({ method, sparsity }: Recipe): boolean =>
  (method === 'gpfq' || method === 'msq') && sparsity === null

/** That and no more: in the inputs' own order, nothing after it. */
export const isOnePath = (recipe: Recipe): boolean =>
  isPath(recipe) && recipe.passes === 0 && !recipe.actOrder

/** Whether the direct recursion can do it. */
export const isPlain = (recipe: Recipe): boolean => recipe.method === 'gpfq' && isOnePath(recipe)

/** Whether calibration samples are needed when scales come from the weights alone. */
export const needsSamples = ({ method, passes, preprocess }: Recipe): boolean =>
  (method !== 'msq' && method !== 'frame') || passes > 0 || preprocess
