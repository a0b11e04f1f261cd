/**
 * What the form offers, its defaults, and the options of the library that follow. Which option a method has comes from
 * the library's table of methods. The form keeps values of other methods, for when the method is changed back.
 */
import {
  type AnyMethodOptions,
  checkMethodOptions,
  defaultPasses,
  METHODS,
  type Method,
  methodEntry,
  methodOf,
  type PlanModelOptions,
} from 'gpfq/onnx'
import type { PageSettings, Preprocessing } from './job/protocol.ts'

export const DEFAULT_SETTINGS: Omit<PageSettings, 'threads'> = {
  method: 'gpfq',
  passes: null,
  damping: null,
  actOrder: null,
  zeros: null,
  bits: 4,
  levels: null,
  targetPercent: null,
  levelsFor: [],
  scalePer: 'neuron',
  radius: { rule: 'search' },
  format: 'auto',
  patches: 32768,
  include: [],
  exclude: [],
  integers: false,
  biasCorrection: false,
  foldBatchNorm: true,
  gpu: false,
}

/** The default of the command line, too. */
export const DEFAULT_SAMPLES = 1024

export const DEFAULT_PREPROCESSING: Preprocessing = {
  scale: null,
  mean: [],
  std: [],
  layout: null,
  samples: DEFAULT_SAMPLES,
}

/** The methods that make a file smaller. */
export const PAGE_METHODS: readonly Method[] = METHODS.filter((method) => methodEntry(method).codesOfWeights)

/** The method and the preset as the library has them. */
export function methodChoice({
  method,
}: Pick<PageSettings, 'method'>): Pick<AnyMethodOptions, 'method' | 'preset'> {
  return method === 'best' ? { preset: 'best' } : { method }
}

/** The library's entry of the method that runs. */
export const entryOf = (settings: Pick<PageSettings, 'method'>) =>
  methodEntry(methodOf(methodChoice(settings)))

/** Passes of the chosen method where the visitor names none. */
export function usualPasses(settings: Pick<PageSettings, 'method'>): number {
  const choice = methodChoice(settings)
  return defaultPasses(methodOf(choice), choice.preset)
}

/** Symmetric alphabets that hold zero: 2^b − 1 of the 2^b codes. */
export function levelsOf({ bits, levels }: Pick<PageSettings, 'bits' | 'levels'>): number {
  return levels ?? 2 ** bits - 1
}

/** The settings without those that the chosen method does not have. */
export function applicable(settings: PageSettings): PageSettings {
  const { options, ownScales } = entryOf(settings)
  return {
    ...settings,
    passes: 'passes' in options ? settings.passes : null,
    damping: 'damping' in options ? settings.damping : null,
    actOrder: 'actOrder' in options ? settings.actOrder : null,
    zeros: 'sparsity' in options ? settings.zeros : null,
    ...(ownScales && { scalePer: DEFAULT_SETTINGS.scalePer, radius: DEFAULT_SETTINGS.radius }),
    integers: settings.integers && canHaveIntegers(settings),
  }
}

/** Whether layers could run on integers: a neuron then has one scale, and codes are stored as they are. */
export function canHaveIntegers(settings: PageSettings): boolean {
  const { scalePer, format } = settings
  return typeof scalePer === 'string' && format !== 'nbits' && format !== 'float'
}

/**
 * The options of planModel.
 * @throws RangeError for values that the library refuses
 */
export function optionsOf(settings: PageSettings): PlanModelOptions {
  const { threads: _, gpu: __, method, bits, levels, targetPercent, ...most } = applicable(settings)
  const { passes, damping, actOrder, zeros, scalePer, radius, integers, ...rest } = most
  const options = {
    ...rest,
    ...methodChoice({ method }),
    ...(targetPercent === null
      ? { levels: levelsOf({ bits, levels }) }
      : { targetSize: targetPercent / 100 }),
    ...(entryOf(settings).ownScales ? {} : { scalePer, radius }),
    ...(integers ? { activations: { bits: 8 as const } } : {}),
    ...(passes === null ? {} : { passes }),
    ...(damping === null ? {} : { damping }),
    ...(actOrder === null ? {} : { actOrder }),
    ...(zeros === null ? {} : { sparsity: { rule: 'target' as const, value: zeros } }),
  }
  checkMethodOptions(options)
  return options
}

/** The same settings with every weight rounded by itself. */
export function roundingOf(settings: PageSettings): PlanModelOptions {
  return optionsOf({ ...settings, method: 'msq', passes: null, biasCorrection: false })
}

/** Whether the run rounds every weight by itself, so that there is nothing to compare it with. */
export function isRounding({ method, passes }: Pick<PageSettings, 'method' | 'passes'>): boolean {
  return method === 'msq' && (passes ?? 0) === 0
}

/** Whether a run with these settings needs calibration data. */
export function needsCalibration(settings: PageSettings): boolean {
  const { needsSamples, ownScales } = entryOf(settings)
  const { passes, radius, biasCorrection, targetPercent, integers } = applicable(settings)
  return (
    needsSamples ||
    (passes ?? 0) > 0 ||
    (!ownScales && radius.rule === 'search') ||
    biasCorrection ||
    integers ||
    targetPercent !== null
  )
}

/** Patterns with their bits as they are typed, conv1*=8. */
export function levelsForText(levelsFor: PageSettings['levelsFor']): readonly string[] {
  return levelsFor.map(({ pattern, levels }) => `${pattern}=${Math.ceil(Math.log2(levels))}`)
}
