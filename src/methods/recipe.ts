/**
 * How layers are quantized, as plain data: the method and everything else that changes the codes, with defaults filled in
 * and combinations checked against the tables of methods.ts. A run has one recipe. Scales and levels belong to the request
 * of each layer (solution.ts).
 */

import { checkName, checkWhole, rangeError, typeError } from '../checks.js'
import type { AnyMethodOptions, Method, MethodOptions, Radius, ScalePer, Sparsity } from '../options.js'
import {
  defaultPasses,
  METHODS,
  methodEntry,
  methodOf,
  methodsWith,
  OPTION_TABLE,
  OPTIONS,
  type OptionEntry,
} from './methods.js'

export { METHODS }

/** A method with all its options; null or false for options of other methods. */
export interface Recipe {
  readonly method: Method
  /** Passes of coordinate descent on the codes. */
  readonly passes: number
  /** λ in units of the mean of diag H, for gptq and qronos of what they factor, else of H and G; null for frame. */
  readonly damping: number | null
  /** Takes the inputs in descending order of H_tt instead of the order of the layer. */
  readonly actOrder: boolean
  /** Seed of the random numbers of spfq and of random patches; null where there are none. */
  readonly seed: number | null
  /** Order of spfq's data alignment; null for other methods. */
  readonly alignment: number | null
  /** Coefficients a weight of frame; null for other methods. */
  readonly redundancy: number | null
  /** Makes the vertex walk before msq. */
  readonly preprocess: boolean
  /** Thresholds of gpfq; null for none and for other methods. */
  readonly sparsity: Sparsity | null
}

/** The recipe of plain greedy path following. */
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

/**
 * Fills in the defaults and checks the options against the tables of methods.ts.
 * @param options options as a caller gives them; the radius decides the default order of the inputs for gpfq
 * @param randomPatches whether patches are drawn at random; then every method has a seed
 * @throws RangeError for unknown names and for values, TypeError for options that the method does not have
 */
export function resolveRecipe(
  options: AnyMethodOptions & { readonly radius?: Radius },
  randomPatches = false,
): Recipe {
  const { preset, actOrder, preprocess = false } = options
  const method = methodOf(options)
  checkName('preset', preset ?? 'best', ['best'])
  checkName('method', method, METHODS)
  checkOwnOptions(options, method, randomPatches)
  checkNumbers(options)
  if (options.sparsity) checkSparsity(options.sparsity)
  const passes = options.passes ?? defaultPasses(method, preset)
  if (preprocess && passes > 0) {
    throw typeError({
      place: 'preprocess',
      expected: 'no passes together with it',
      got: String(passes),
      hint: 'leave one out',
    })
  }
  const defaults = methodEntry(method).options
  const searched = (options.radius?.rule ?? 'search') === 'search'
  const values = OPTIONS.map((name) => [name, options[name] ?? defaults[name] ?? GPFQ[name]])
  const recipe: Recipe = { method, ...Object.fromEntries(values), passes }
  return {
    ...recipe,
    actOrder: actOrder ?? (defaults.actOrder === 'searched' ? searched : recipe.actOrder),
    seed: recipe.seed ?? (randomPatches ? 0 : null),
  }
}

/**
 * Checks options that no compiler has checked, for instance out of a form or a file. After it they have the type of
 * MethodOptions.
 * @param options a method with its options, and perhaps a radius
 * @throws RangeError for names and values, TypeError for options that do not go with the method
 * @example
 * const options: AnyMethodOptions = JSON.parse(text)
 * checkMethodOptions(options)
 * await quantizer.quantizeLayer(problem, options)
 */
export function checkMethodOptions<T extends AnyMethodOptions & { readonly radius?: Radius }>(
  options: T,
): asserts options is T & MethodOptions {
  resolveRecipe(options)
}

/** Refuses options of other methods. Every method allows false and zero passes, because they change nothing. */
function checkOwnOptions(options: AnyMethodOptions, method: Method, randomPatches: boolean): void {
  const refuse = (place: string, methods: readonly Method[]): never => {
    const expected = `a method that has it (${methods.join(', ')})`
    throw typeError({ place, expected, got: method, hint: 'leave it out' })
  }
  for (const name of OPTIONS) {
    const value = options[name]
    if (value === undefined || value === false || (name === 'passes' && value === 0)) continue
    if (name === 'seed' && randomPatches) continue
    if (!(name in methodEntry(method).options)) refuse(name, methodsWith(name))
  }
  const coding = METHODS.filter((each) => methodEntry(each).codesOfWeights)
  if (options.preset !== undefined && !coding.includes(method)) refuse('preset', coding)
}

function checkNumbers(options: AnyMethodOptions): void {
  for (const name of OPTIONS) {
    const value = options[name]
    const entry: OptionEntry = OPTION_TABLE[name]
    if (value === undefined) continue
    if (entry.kind === 'whole') checkWhole(name, value, entry.least, entry.most)
    if (entry.kind === 'number') checkNumber(name, value, entry.least)
  }
}

function checkSparsity({ rule, value }: Sparsity): void {
  checkName('sparsity rule', rule, ['soft', 'hard', 'target'])
  checkNumber(`sparsity ${rule}`, value, 0)
  if (rule === 'target' && value >= 1) throw rangeError('sparsity target', 'a share of zeros below 1', value)
}

function checkNumber(place: string, value: unknown, least: number): void {
  if (!(typeof value === 'number' && value >= least && value < Number.POSITIVE_INFINITY)) {
    throw rangeError(place, `a finite number of at least ${least}`, value)
  }
}

/**
 * The scope and rule of the scales: those of the caller, or the defaults, one scale a neuron with a searched radius. A
 * method that finds its own scales has fixed ones.
 * @throws TypeError for a scope or rule that the method cannot have
 */
export function resolveScales(
  { method, preprocess }: Recipe,
  { scalePer, radius }: { readonly scalePer?: ScalePer; readonly radius?: Radius },
): { readonly scalePer: ScalePer; readonly radius: Radius } {
  const own = preprocess ? 'preprocess' : methodEntry(method).ownScales ? `method ${method}` : null
  if (own === null) return { scalePer: scalePer ?? 'neuron', radius: radius ?? { rule: 'search' } }
  const refused = (place: string, expected: string, got: string): TypeError =>
    typeError({ place, expected, got, hint: 'leave it out' })
  if (radius !== undefined && !(preprocess && radius.rule === 'max')) {
    const allowed = preprocess ? 'max' : 'none'
    throw refused('radius', `${allowed} with ${own}, which sets the radius itself`, String(radius.rule))
  }
  if (scalePer !== undefined && scalePer !== 'neuron') {
    throw refused('scalePer', `'neuron' with ${own}`, 'another scope')
  }
  return { scalePer: 'neuron', radius: { rule: 'max' } }
}

/**
 * Checks that the alphabet includes zero where the recipe needs it.
 * @param levels number of values in the alphabet
 * @throws RangeError for an even number of levels with sparsity
 */
export function checkLevelsFor({ sparsity }: Recipe, place: string, levels: number): void {
  if (sparsity !== null && levels % 2 === 0) {
    throw rangeError(place, 'an odd number, because sparsity needs zero in the alphabet', levels)
  }
}

/** Whether substitute.ts chooses the codes: the values nearest to the path (gpfq), or to the weights (msq). */
export const isPath = ({ method, sparsity }: Recipe): boolean =>
  (method === 'gpfq' || method === 'msq') && sparsity === null

/** Whether isPath holds, the inputs keep the order of the layer, and no passes follow. */
export const isOnePath = (recipe: Recipe): boolean =>
  isPath(recipe) && recipe.passes === 0 && !recipe.actOrder

/** Whether calibration samples are needed when scales come from the weights alone. */
export const needsSamples = ({ method, passes, preprocess }: Recipe): boolean =>
  methodEntry(method).needsSamples || passes > 0 || preprocess
