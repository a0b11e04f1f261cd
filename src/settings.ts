/**
 * Defaults and checks of what a caller may ask for. The defaults are the combination that does best on the models of
 * docs/ACCURACY.md: 15 levels, one scale a neuron, found by output error.
 */
import { checkLevels, checkRadius, checkScalePer } from './methods/alphabet.js'
import { checkLevelsFor, needsSamples, type Recipe, resolveRecipe } from './methods/recipe.js'
import type { Format } from './onnx/layer.js'
import type { QuantizeModelOptions, Radius, ScalePer } from './options.js'

export interface Settings extends Recipe {
  readonly levels: number
  readonly levelsFor: readonly { readonly pattern: string; readonly levels: number }[]
  readonly scalePer: ScalePer
  readonly radius: Radius
  readonly format: Format | 'auto'
  readonly patches: number
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly biasCorrection: boolean
  readonly foldBatchNorm: boolean
}

type SettingsOptions = Omit<QuantizeModelOptions, 'runner' | 'calibration'>

export function resolveSettings(options: SettingsOptions): Settings {
  const settings: Settings = {
    ...resolveRecipe(options),
    levels: options.levels ?? 15,
    levelsFor: options.levelsFor ?? [],
    scalePer: options.scalePer ?? 'neuron',
    radius: options.radius ?? { rule: 'search' },
    format: options.format ?? 'auto',
    patches: options.patches ?? 32768,
    include: options.include ?? [],
    exclude: options.exclude ?? [],
    biasCorrection: options.biasCorrection ?? false,
    foldBatchNorm: options.foldBatchNorm ?? true,
  }
  checkLevels('levels', settings.levels)
  checkLevelsFor(settings, 'levels', settings.levels)
  for (const { pattern, levels } of settings.levelsFor) {
    checkLevels(`levels for '${pattern}'`, levels)
    checkLevelsFor(settings, `levels for '${pattern}'`, levels)
  }
  checkPositive('patches', settings.patches, 0)
  checkScalePer(settings.scalePer)
  checkRadius(settings.radius)
  return settings
}

/** Whether these settings can do without calibration data. */
export const needsCalibration = (settings: Settings): boolean =>
  needsSamples(settings) || settings.radius.rule === 'search' || settings.biasCorrection

function checkPositive(place: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`${place}: expected an integer of at least ${least}, got ${value}`)
  }
}
