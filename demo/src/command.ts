/** The names of files on the page, and the command that does the same on a terminal. */
import type { Radius, RunnerInput, ScalePer } from 'gpfq/onnx'
import type { PageSettings, Preprocessing } from './job/protocol.ts'
import { applicable, DEFAULT_SAMPLES, DEFAULT_SETTINGS, levelsForText } from './pageSettings.ts'

/** The input that an array file is for by its name, a.npy for a; null where there is but one, or none of that name. */
export function inputNamed(file: string, inputs: readonly RunnerInput[]): string | null {
  const stem = file.replace(/\.[^.]*(\.gz)?$/, '')
  return inputs.length > 1 && inputs.some(({ name }) => name === stem) ? stem : null
}

/** digits.onnx becomes digits-4bit.onnx. */
export function outputName(
  model: string,
  { bits, levels, targetPercent }: Pick<PageSettings, 'bits' | 'levels' | 'targetPercent'>,
): string {
  const size =
    targetPercent !== null ? `${targetPercent}percent` : levels !== null ? `${levels}levels` : `${bits}bit`
  return `${model.replace(/\.onnx$/i, '')}-${size}.onnx`
}

/** @returns a command for a POSIX shell */
export function commandOf(
  model: string,
  calibration: readonly string[],
  chosen: PageSettings,
  preprocessing: Preprocessing,
): string {
  const settings = applicable(chosen)
  return [
    'gpfq quantize',
    quote(model),
    ...dataOptions(calibration, preprocessing),
    ...methodOptions(settings),
    ...layerOptions(settings),
    ...['-o', quote(outputName(model, settings))],
  ].join(' ')
}

/** The words of an option, if it is wanted. */
const option = (wanted: boolean, ...words: readonly string[]): readonly string[] => (wanted ? words : [])

function dataOptions(
  calibration: readonly string[],
  { scale, mean, std, layout, samples }: Preprocessing,
): readonly string[] {
  return [
    ...option(calibration.length > 0, '--calib', ...calibration.map(quote)),
    ...option(scale !== null, '--scale', String(scale)),
    ...option(mean.length > 0, '--mean', mean.join(',')),
    ...option(std.length > 0, '--std', std.join(',')),
    ...option(layout !== null, '--layout', String(layout)),
    ...option(samples !== DEFAULT_SAMPLES, '--samples', String(samples)),
  ]
}

function methodOptions(settings: PageSettings): readonly string[] {
  const { method, bits, levels, targetPercent, passes, damping, actOrder, zeros } = settings
  const size =
    targetPercent !== null
      ? ['--target-size', String(targetPercent / 100)]
      : levels !== null
        ? ['--levels', String(levels)]
        : ['--bits', String(bits)]
  return [
    ...size,
    ...option(method === 'best', '--preset', 'best'),
    ...option(method !== 'best' && method !== DEFAULT_SETTINGS.method, '--method', method),
    ...option(passes !== null, '--passes', String(passes)),
    ...option(damping !== null, '--damping', String(damping)),
    ...option(actOrder !== null, actOrder === true ? '--act-order' : '--no-act-order'),
    ...option(zeros !== null, '--sparsity', `target:${zeros}`),
  ]
}

function layerOptions(settings: PageSettings): readonly string[] {
  const { scalePer, radius, format, patches, include, exclude } = settings
  const d = DEFAULT_SETTINGS
  return [
    ...levelsForText(settings.levelsFor).flatMap((text) => ['--bits-for', quote(text)]),
    ...option(scalePer !== d.scalePer, '--scale-per', scalePerText(scalePer)),
    ...option(radius.rule !== d.radius.rule, '--radius', radiusText(radius)),
    ...option(format !== d.format, '--format', format),
    ...option(patches !== d.patches, '--patches', String(patches)),
    ...include.flatMap((pattern) => ['--include', quote(pattern)]),
    ...exclude.flatMap((pattern) => ['--exclude', quote(pattern)]),
    ...option(settings.integers, '--activations', '8'),
    ...option(settings.biasCorrection, '--bias-correction'),
    ...option(!settings.foldBatchNorm, '--no-fold-bn'),
  ]
}

function scalePerText(scalePer: ScalePer): string {
  return typeof scalePer === 'string' ? scalePer : `group:${scalePer.group}`
}

function radiusText(radius: Radius): string {
  if ('factor' in radius) return `${radius.rule}:${radius.factor}`
  return 'value' in radius ? String(radius.value) : radius.rule
}

/** A word of a POSIX shell. */
function quote(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) && !word.startsWith('-') ? word : `'${word.replaceAll("'", "'\\''")}'`
}
