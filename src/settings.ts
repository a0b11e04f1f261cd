/**
 * Defaults and checks of what a caller may ask for. The defaults are the combination that does best on the models of
 * docs/ACCURACY.md: 15 levels, one scale a neuron, found by output error.
 */
import { checkLevels } from './methods/alphabet.js'
import type { Format } from './onnx/layer.js'
import type { Method, QuantizeModelOptions, Radius, ScalePer } from './options.js'

export interface Settings {
  readonly method: Method
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
    method: options.method ?? 'gpfq',
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
  for (const { pattern, levels } of settings.levelsFor) checkLevels(`levels for '${pattern}'`, levels)
  checkPositive('patches', settings.patches, 0)
  if (typeof settings.scalePer === 'object') checkPositive('scalePer: group', settings.scalePer.group, 1)
  checkRadius(settings.radius)
  return settings
}

/** Whether these settings can do without calibration data. */
export const needsCalibration = ({ method, radius, biasCorrection }: Settings): boolean =>
  method !== 'msq' || radius.rule === 'search' || biasCorrection

function checkPositive(place: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`${place}: expected an integer of at least ${least}, got ${value}`)
  }
}

export function checkRadius(radius: Radius): void {
  const number = 'factor' in radius ? radius.factor : 'value' in radius ? radius.value : 1
  if (!Number.isFinite(number) || number <= 0) {
    throw new RangeError(`radius ${radius.rule}: expected a finite number above 0, got ${number}`)
  }
}
