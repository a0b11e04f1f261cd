/** Defaults of the form, and what they mean for the library and for its command line. */
import type { Radius, RunnerInput, ScalePer } from 'gpfq/onnx'
import type { PlanOptions, Preprocessing, Settings } from './job/protocol.ts'

export const DEFAULT_SETTINGS: Omit<Settings, 'threads'> = {
  method: 'gpfq',
  passes: 0,
  damping: null,
  actOrder: null,
  zeros: null,
  bits: 4,
  levels: null,
  levelsFor: [],
  scalePer: 'neuron',
  radius: { rule: 'search' },
  format: 'auto',
  patches: 32768,
  include: [],
  exclude: [],
  biasCorrection: false,
  foldBatchNorm: true,
}

/** As many as the command line takes unless told. */
export const DEFAULT_SAMPLES = 1024

export const DEFAULT_PREPROCESSING: Preprocessing = {
  scale: null,
  mean: [],
  std: [],
  layout: null,
  samples: DEFAULT_SAMPLES,
}

/** Symmetric alphabets that hold zero: 2^b − 1 of the 2^b codes. */
export function levelsOf({ bits, levels }: Pick<Settings, 'bits' | 'levels'>): number {
  return levels ?? 2 ** bits - 1
}

export function optionsOf(settings: Settings): PlanOptions {
  const { bits: _, levels: __, damping, actOrder, zeros, ...rest } = applicable(settings)
  return {
    ...rest,
    levels: levelsOf(settings),
    ...(damping === null ? {} : { damping }),
    ...(actOrder === null ? {} : { actOrder }),
    ...(zeros === null ? {} : { sparsity: { rule: 'target', value: zeros } }),
  }
}

/** Without what the chosen method has no use for: the form remembers it for when the method is changed back. */
function applicable(settings: Settings): Settings {
  const { method, damping, actOrder, zeros } = settings
  const inverts = method === 'gptq' || method === 'qronos'
  return {
    ...settings,
    damping: inverts ? damping : null,
    actOrder: method === 'msq' ? null : actOrder,
    zeros: method === 'gpfq' ? zeros : null,
  }
}

/** The same settings, every weight rounded by itself. */
export function roundingOf(settings: Settings): PlanOptions {
  const plain = {
    method: 'msq',
    passes: 0,
    damping: null,
    actOrder: null,
    zeros: null,
    biasCorrection: false,
  } as const
  return optionsOf({ ...settings, ...plain })
}

/** Whether the run is plain rounding itself, so that there is nothing to compare it with. */
export function isRounding({ method, passes }: Pick<Settings, 'method' | 'passes'>): boolean {
  return method === 'msq' && passes === 0
}

export function needsCalibration(settings: Settings): boolean {
  return !isRounding(settings) || settings.radius.rule === 'search' || settings.biasCorrection
}

/** Patterns with their bits as one writes them, conv1*=8. */
export function levelsForText(levelsFor: Settings['levelsFor']): readonly string[] {
  return levelsFor.map(({ pattern, levels }) => `${pattern}=${Math.ceil(Math.log2(levels))}`)
}

export function scalePerText(scalePer: ScalePer): string {
  return typeof scalePer === 'string' ? scalePer : `group:${scalePer.group}`
}

export function radiusText(radius: Radius): string {
  if ('factor' in radius) return `${radius.rule}:${radius.factor}`
  return 'value' in radius ? String(radius.value) : radius.rule
}

/** The input that an array file is for by its name, a.npy for a; null where there is but one, or none of that name. */
export function inputNamed(file: string, inputs: readonly RunnerInput[]): string | null {
  const stem = file.replace(/\.[^.]*(\.gz)?$/, '')
  return inputs.length > 1 && inputs.some(({ name }) => name === stem) ? stem : null
}

/** The command that does the same on a terminal. */
export function commandOf(
  model: string,
  calibration: readonly string[],
  chosen: Settings,
  { scale, mean, std, layout, samples }: Preprocessing,
): string {
  const d = DEFAULT_SETTINGS
  const settings = applicable(chosen)
  const parts = ['npx gpfq quantize', quote(model)]
  const add = (wanted: boolean, ...text: string[]) => {
    if (wanted) parts.push(text.join(' '))
  }
  add(calibration.length > 0, '--calib', ...calibration.map(quote))
  add(scale !== null, '--scale', String(scale))
  add(mean.length > 0, '--mean', mean.join(','))
  add(std.length > 0, '--std', std.join(','))
  add(layout !== null, '--layout', String(layout))
  add(samples !== DEFAULT_SAMPLES, '--samples', String(samples))
  if (settings.levels === null) add(true, '--bits', String(settings.bits))
  else add(true, '--levels', String(settings.levels))
  add(settings.method !== d.method, '--method', settings.method)
  add(settings.passes !== d.passes, '--passes', String(settings.passes))
  add(settings.damping !== null, '--damping', String(settings.damping))
  add(settings.actOrder !== null, settings.actOrder === true ? '--act-order' : '--no-act-order')
  add(settings.zeros !== null, '--sparsity', `target:${settings.zeros}`)
  for (const text of levelsForText(settings.levelsFor)) add(true, '--bits-for', quote(text))
  add(settings.scalePer !== d.scalePer, '--scale-per', scalePerText(settings.scalePer))
  add(settings.radius.rule !== d.radius.rule, '--radius', radiusText(settings.radius))
  add(settings.format !== d.format, '--format', settings.format)
  add(settings.patches !== d.patches, '--patches', String(settings.patches))
  for (const pattern of settings.include) add(true, '--include', quote(pattern))
  for (const pattern of settings.exclude) add(true, '--exclude', quote(pattern))
  add(settings.biasCorrection, '--bias-correction')
  add(!settings.foldBatchNorm, '--no-fold-bn')
  add(true, '-o', quote(outputName(model, settings)))
  return parts.join(' ')
}

/** digits.onnx becomes digits-4bit.onnx. */
export function outputName(model: string, { bits, levels }: Pick<Settings, 'bits' | 'levels'>): string {
  return `${model.replace(/\.onnx$/i, '')}-${levels === null ? `${bits}bit` : `${levels}levels`}.onnx`
}

/** A word of a POSIX shell. */
function quote(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) && !word.startsWith('-') ? word : `'${word.replaceAll("'", "'\\''")}'`
}
