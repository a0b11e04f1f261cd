/**
 * Defaults and checks of the options of a model. The default scales are those that do best on the models of
 * docs/ACCURACY.md: one scale a neuron, found by output error. The default of 15 levels is 4 bits.
 */
import { checkName, checkWhole, rangeError, typeError } from '../checks.js'
import { checkLevels, checkRadius, checkScalePer } from '../methods/alphabet.js'
import { methodEntry } from '../methods/methods.js'
import {
  checkLevelsFor,
  METHODS,
  needsSamples,
  type Recipe,
  resolveRecipe,
  resolveScales,
} from '../methods/recipe.js'
import { FORMATS, type Format } from '../onnx/layer.js'
import type {
  ActivationOptions,
  AnyPlanOptions,
  PlanModelOptions,
  Radius,
  SampleWeights,
  ScalePer,
} from '../options.js'
import { activationsOf, checkActivations } from './activationSettings.js'
import { checkOptions, checkPatterns, checkRules } from './arguments.js'

/** Every option of a run with its default filled in; plans and reports hold it. QuantizeModelOptions says what each does. */
export interface Settings extends Recipe {
  /** Values in the alphabet, 2 to 256. With a target, the plan before the choice has these levels. */
  readonly levels: number
  readonly levelsFor: readonly { readonly pattern: string; readonly levels: number }[]
  /** Null without this target. */
  readonly targetSize: number | null
  /** Null without this target. */
  readonly targetBits: number | null
  readonly scalePer: ScalePer
  readonly radius: Radius
  readonly format: Format | 'auto'
  /** Most sample rows of a convolution, 0 for all. It has no effect with randomPatches. */
  readonly patches: number
  /** Share of patches that are drawn at random; null where patches are spread evenly. */
  readonly randomPatches: number | null
  readonly sampleWeights: SampleWeights
  readonly perChannel: boolean
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Null: weights only. */
  readonly activations: Required<ActivationOptions> | null
  readonly biasCorrection: boolean
  readonly foldBatchNorm: boolean
  /** Samples that are kept out of calibration; null for an eighth. */
  readonly holdout: number | null
  /** Null without a limit. */
  readonly memory: number | null
}

/** Default of the most sample rows of a convolution. */
const PATCHES = 32768

/** How sample rows count. */
export const SAMPLE_WEIGHTS: readonly SampleWeights[] = ['none', 'norm']

/** Default of the levels: 4 bits. */
const LEVELS = 15

/**
 * Fills in the defaults and checks the options of a model.
 * @throws RangeError for unknown names and for values, TypeError for options that exclude each other
 */
export function resolveSettings(options: AnyPlanOptions): Settings {
  checkOptions(options)
  const recipe = resolveRecipe(options, options.randomPatches !== undefined)
  const settings: Settings = {
    ...recipe,
    ...resolveScales(recipe, options),
    levels: options.levels ?? LEVELS,
    levelsFor: options.levelsFor ?? [],
    targetSize: options.targetSize ?? null,
    targetBits: options.targetBits ?? null,
    format: methodEntry(recipe.method).codesOfWeights ? (options.format ?? 'auto') : realsFormat(options),
    patches: options.patches ?? PATCHES,
    randomPatches: options.randomPatches ?? null,
    sampleWeights: options.sampleWeights ?? 'none',
    perChannel: options.perChannel ?? false,
    include: options.include ?? [],
    exclude: options.exclude ?? [],
    activations: activationsOf(options),
    biasCorrection: options.biasCorrection ?? false,
    foldBatchNorm: options.foldBatchNorm ?? true,
    holdout: options.holdout ?? null,
    memory: options.memory ?? null,
  }
  checkPatterns('include', settings.include)
  checkPatterns('exclude', settings.exclude)
  checkRules('levelsFor', settings.levelsFor)
  checkLevels('levels', settings.levels)
  checkLevelsFor(settings, 'levels', settings.levels)
  checkTargets(options, settings)
  checkConvolutions(settings, options)
  for (const { pattern, levels } of settings.levelsFor) {
    checkLevels(`levelsFor '${pattern}'`, levels)
    checkLevelsFor(settings, `levelsFor '${pattern}'`, levels)
  }
  checkWhole('patches', settings.patches, 0)
  if (settings.holdout !== null) checkWhole('holdout', settings.holdout, 0)
  if (settings.memory !== null) checkWhole('memory', settings.memory, 1)
  checkName('format', settings.format, FORMATS)
  checkName('sampleWeights', settings.sampleWeights, SAMPLE_WEIGHTS)
  checkActivations(settings)
  checkScalePer(settings.scalePer)
  checkRadius(settings.radius)
  return settings
}

/**
 * Checks options of a model that the compiler has not checked, for instance those of a command line.
 * @throws as resolveSettings
 */
export function checkPlanOptions<T extends AnyPlanOptions>(
  options: T,
): asserts options is T & PlanModelOptions {
  resolveSettings(options)
}

/**
 * Checks the settings of a plan, which may come from a file: they must be what options that say the same resolve to.
 * @returns the name of the first setting that no options give, and what they give instead; null where all are right
 * @throws as resolveSettings
 */
export function wrongSetting(
  settings: Settings,
): { readonly name: string; readonly expected: unknown } | null {
  const { method, randomPatches } = settings
  const implied = [
    ...(METHODS.includes(method) && methodEntry(method).ownScales ? ['radius', 'scalePer'] : []),
    ...(randomPatches === null ? [] : ['patches']),
    ...(settings.targetSize === null && settings.targetBits === null ? [] : ['levels']),
  ]
  const named = Object.entries(settings).filter(([name, value]) => value !== null && !implied.includes(name))
  const resolved = new Map<string, unknown>(Object.entries(resolveSettings(Object.fromEntries(named))))
  for (const [name, value] of Object.entries(settings)) {
    const expected = resolved.get(name)
    if (JSON.stringify(value) !== JSON.stringify(expected)) return { name, expected }
  }
  const missing = [...resolved.keys()].find((name) => !(name in settings))
  return missing === undefined ? null : { name: missing, expected: resolved.get(missing) }
}

/** The format of a method whose values are real numbers: only float can hold them. */
function realsFormat({ format = 'auto', method }: AnyPlanOptions): Format {
  if (format === 'auto' || format === 'float') return 'float'
  const expected = `float (or none) with method ${method}, whose values are real numbers`
  throw typeError({ place: 'format', expected, got: format, hint: 'leave it out' })
}

function checkConvolutions({ perChannel, scalePer, method }: Settings, options: AnyPlanOptions): void {
  const { patches, randomPatches } = options
  if (randomPatches !== undefined) {
    if (!(randomPatches > 0 && randomPatches <= 1)) {
      throw rangeError('randomPatches', 'a share above 0 and up to 1', randomPatches)
    }
    if (patches !== undefined) {
      throw typeError({
        place: 'randomPatches',
        expected: 'no patches together with it',
        got: String(patches),
        hint: 'they are two ways to sample',
      })
    }
  }
  if (!perChannel) return
  if (typeof scalePer === 'object') {
    const expected = 'scales per layer or neuron'
    throw typeError({ place: 'perChannel', expected, got: `groups of ${scalePer.group} inputs` })
  }
  if (methodEntry(method).ownScales) {
    throw typeError({
      place: 'perChannel',
      expected: 'a method that is given its scales',
      got: `${method}, which would find one for each channel`,
    })
  }
}

function checkTargets(
  { targetSize, targetBits, levels }: AnyPlanOptions,
  { preprocess, method }: Settings,
): void {
  const targets = Object.entries({ targetSize, targetBits }).filter(([, value]) => value !== undefined)
  const [place] = targets[0] ?? []
  if (place === undefined) return
  const [other, value] = targets[1] ?? ['levels', levels]
  if (value !== undefined) {
    const hint = 'levelsFor fixes the levels of single layers'
    throw typeError({ place, expected: `no ${other} together with it`, got: String(value), hint })
  }
  if (preprocess) {
    throw typeError({
      place,
      problem: 'does not go with preprocess',
      hint: 'levels are chosen by errors from H, which the vertex walk does not compute',
    })
  }
  if (!methodEntry(method).codesOfWeights) {
    const got = `${method}, whose file holds float32 values`
    throw typeError({ place, expected: 'a method of codes of weights', got })
  }
  if (targetSize !== undefined && !(targetSize > 0 && targetSize <= 1)) {
    throw rangeError('targetSize', 'a share above 0 and up to 1', targetSize)
  }
  if (targetBits !== undefined && !(targetBits >= 2 && targetBits <= 8)) {
    throw rangeError('targetBits', 'a number from 2 to 8', targetBits)
  }
}

/** Whether a run with these settings needs calibration data. */
export const needsCalibration = (settings: Settings): boolean =>
  needsSamples(settings) ||
  settings.targetSize !== null ||
  settings.targetBits !== null ||
  settings.radius.rule === 'search' ||
  settings.activations !== null ||
  settings.biasCorrection
