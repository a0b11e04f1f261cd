/**
 * Defaults and checks of what a caller may ask for. The defaults are the combination that does best on the models of
 * docs/ACCURACY.md: 15 levels, one scale a neuron, found by output error.
 */
import { checkName, checkWhole, rangeError } from '../checks.js'
import { checkLevels, checkRadius, checkScalePer } from '../methods/alphabet.js'
import { checkLevelsFor, needsSamples, type Recipe, resolveRecipe, resolveScales } from '../methods/recipe.js'
import { FORMATS, type Format } from '../onnx/layer.js'
import type { QuantizeModelOptions, Radius, ScalePer } from '../options.js'

export interface Settings extends Recipe {
  readonly levels: number
  readonly levelsFor: readonly { readonly pattern: string; readonly levels: number }[]
  readonly targetSize: number | null
  readonly targetBits: number | null
  readonly scalePer: ScalePer
  readonly radius: Radius
  readonly format: Format | 'auto'
  readonly patches: number
  readonly randomPatches: number | null
  readonly perChannel: boolean
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly biasCorrection: boolean
  readonly foldBatchNorm: boolean
}

type SettingsOptions = Omit<QuantizeModelOptions, 'runner' | 'calibration'>

export function resolveSettings(options: SettingsOptions): Settings {
  const recipe = resolveRecipe(options, options.randomPatches !== undefined)
  const settings: Settings = {
    ...recipe,
    ...resolveScales(recipe, options),
    levels: options.levels ?? 15,
    levelsFor: options.levelsFor ?? [],
    targetSize: options.targetSize ?? null,
    targetBits: options.targetBits ?? null,
    format: recipe.method === 'frame' ? frameFormat(options.format) : (options.format ?? 'auto'),
    patches: options.patches ?? 32768,
    randomPatches: options.randomPatches ?? null,
    perChannel: options.perChannel ?? false,
    include: options.include ?? [],
    exclude: options.exclude ?? [],
    biasCorrection: options.biasCorrection ?? false,
    foldBatchNorm: options.foldBatchNorm ?? true,
  }
  checkLevels('levels', settings.levels)
  checkLevelsFor(settings, 'levels', settings.levels)
  checkTargets(options, settings)
  checkConvolutions(settings, options)
  for (const { pattern, levels } of settings.levelsFor) {
    checkLevels(`levels for '${pattern}'`, levels)
    checkLevelsFor(settings, `levels for '${pattern}'`, levels)
  }
  checkWhole('patches', settings.patches, 0)
  checkName('format', settings.format, FORMATS)
  checkScalePer(settings.scalePer)
  checkRadius(settings.radius)
  return settings
}

/** Frame quantization gives reals: no form of codes can hold them. */
function frameFormat(format: Format | 'auto' = 'auto'): Format {
  if (format === 'auto' || format === 'float') return 'float'
  throw new TypeError(
    `format: expected float (or none) beside method frame, whose values are reals, got ${format}; leave it out`,
  )
}

function checkConvolutions({ perChannel, scalePer, method }: Settings, options: SettingsOptions): void {
  const { patches, randomPatches } = options
  if (randomPatches !== undefined) {
    if (!(randomPatches > 0 && randomPatches <= 1)) {
      throw rangeError('randomPatches', 'a share above 0 and up to 1', randomPatches)
    }
    if (patches !== undefined) {
      throw new TypeError(
        'randomPatches: expected no patches beside it, got both; they are two ways to sample',
      )
    }
  }
  if (perChannel && typeof scalePer === 'object') {
    throw new TypeError('perChannel: expected scales per layer or neuron, got groups of inputs')
  }
  if (perChannel && (method === 'beacon' || method === 'frame')) {
    throw new TypeError(
      `perChannel: expected a method that is given its scales, got ${method}, which would find one for each channel`,
    )
  }
}

function checkTargets(
  { targetSize, targetBits, levels }: SettingsOptions,
  { preprocess, method }: Settings,
): void {
  const given = Object.entries({ targetSize, targetBits, levels }).filter(([, value]) => value !== undefined)
  if (given.length > 1 && given[0]![0] !== 'levels') {
    throw new TypeError(
      `${given[0]![0]}: expected no ${given[1]![0]} beside it, got both; levelsFor fixes the levels of single layers`,
    )
  }
  if (preprocess && given.some(([name]) => name !== 'levels')) {
    throw new TypeError(
      `${given[0]![0]}: expected no preprocess beside it, got both; levels are weighed by errors from H, which the vertex walk does not form`,
    )
  }
  if (method === 'frame' && given.some(([name]) => name !== 'levels')) {
    throw new TypeError(
      `${given[0]![0]}: expected a method of codes of weights, got frame, whose file holds float32 values`,
    )
  }
  if (targetSize !== undefined && !(targetSize > 0 && targetSize <= 1)) {
    throw rangeError('targetSize', 'a share above 0 and up to 1', targetSize)
  }
  if (targetBits !== undefined && !(targetBits >= 2 && targetBits <= 8)) {
    throw rangeError('targetBits', 'a number from 2 to 8', targetBits)
  }
}

/** Whether these settings can do without calibration data. */
export const needsCalibration = (settings: Settings): boolean =>
  needsSamples(settings) ||
  settings.targetSize !== null ||
  settings.targetBits !== null ||
  settings.radius.rule === 'search' ||
  settings.biasCorrection
