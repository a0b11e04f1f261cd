/**
 * The tables of a finished and of a planned quantization, as lines for a terminal. Errors are relative, since an error
 * without a scale says nothing. Names out of the model are escaped.
 */

import type { OutputDifference } from '../model/outputDifference.js'
import { describeNote } from '../notes.js'
import type { LayerReport, ModelPlan, PlanLayer, QuantizeReport } from '../options.js'
import { agreementText, agreementWords, sqnrText } from '../report/outputs.js'
import { floatLines } from './floats.js'
import {
  bitsText,
  formatBytes,
  formatDecibels,
  formatPercent,
  formatRunTime,
  formatSeconds,
  memoryText,
  timesFaster,
} from './numbers.js'
import { shapeOf } from './progress.js'
import { bar, formatTable } from './table.js'
import { printable, type Terminal } from './terminal.js'
import { kebab } from './values.js'

const BAR_LENGTH = 12

/** Layers with more than this many times the median error are named at the end. */
const CONSPICUOUS = 3

/** Float tensors below this share of all float bytes are summed up, and skipped nodes beyond these are counted. */
const LEAST_LISTED = 0.01
const MOST_NAMES = 5

/** The table of a finished quantization, and the lines below it. */
export function reportLines(report: QuantizeReport, terminal: Terminal): readonly string[] {
  const errors = report.layers.map((layer) => layer.relativeError ?? 0)
  const largest = Math.max(...errors, Number.MIN_VALUE)
  const rows = report.layers.map((layer) => [
    layer.name,
    shapeOf(layer),
    bitsText(layer, report.settings),
    layer.format,
    layer.kernel,
    layer.relativeError === null ? '–' : formatPercent(layer.relativeError),
    bar((layer.relativeError ?? 0) / largest, BAR_LENGTH),
    formatDecibels(layer.sqnrDb),
    formatSeconds(layer.seconds),
    sizes(layer),
  ])
  const table = formatTable(
    [
      { title: 'layer', shrinks: true },
      { title: 'shape', align: 'right' },
      { title: 'bits', align: 'right' },
      { title: 'format', optional: true },
      { title: 'kernel', optional: true },
      { title: 'error', align: 'right' },
      { title: '', optional: true },
      { title: 'SQNR', align: 'right' },
      { title: 'time', align: 'right', optional: true },
      { title: 'weight size', align: 'right' },
    ],
    rows,
    terminal.columns,
  )
  const ratio = report.bytesIn / Math.max(1, report.bytesOut)
  const { seconds } = report
  return [
    ...table,
    '',
    'shape: inputs×neurons; error: ‖Y − Ỹ‖ / ‖Y‖ of the layer’s outputs, float network against quantized so far; SQNR: −20·log10 of it',
    ...formatLines(report.layers),
    ...(report.settings.activations === null ? [] : kernelLines(report.layers)),
    ...roundedLines(report.layers),
    ...skippedLines(report.skipped),
    ...floatLines(report.floats, LEAST_LISTED),
    ...notesLines(report.notes.map(describeNote)),
    ...conspicuousLines(report.layers),
    ...heldOutLines(report),
    terminal.paint(
      'bold',
      `${formatBytes(report.bytesIn)} → ${formatBytes(report.bytesOut)} (${ratio.toFixed(1)} times smaller) in ${formatSeconds(seconds.total)}`,
      'stdout',
    ),
    ...speedLines(report),
    `load ${formatSeconds(seconds.load)}, calibration ${formatSeconds(seconds.calibration)}, quantization ${formatSeconds(seconds.quantization)}, verification ${formatSeconds(seconds.verify)}; ${report.threads} threads`,
    `memory: ${memoryText(report)}`,
  ]
}

/** Outputs of the network on samples that are kept out of calibration, beside those of plain rounding. */
function heldOutLines({ heldOut }: QuantizeReport): readonly string[] {
  if (heldOut === null) return []
  const { samples, outputs } = heldOut
  const compared = outputs.some(({ rounding }) => rounding !== null)
  const beside = compared ? '; in brackets: the same with every weight rounded' : ''
  return [
    `on ${samples} samples kept out of calibration${beside}`,
    ...outputs.map((difference) => {
      const { output, rounding } = difference
      const both = (text: (of: OutputDifference) => string): string =>
        rounding === null ? text(difference) : `${text(difference)} (${text(rounding)})`
      return printable(
        `  ${output}: SQNR ${both(sqnrText)}, ${agreementWords(difference)} ${both(agreementText)}`,
      )
    }),
  ]
}

/** The speed of the written model, where some of it runs on integers. */
function speedLines({ speed, runner }: QuantizeReport): readonly string[] {
  if (speed === null) return []
  const { floatSeconds, quantizedSeconds, runs, samples } = speed
  const times = timesFaster(floatSeconds, quantizedSeconds)
  const batch = samples === 1 ? 'a sample' : `for ${samples} samples`
  return [
    `${times} here: ${formatRunTime(quantizedSeconds)} ${batch}, float ${formatRunTime(floatSeconds)}; shortest of ${runs} runs in turn, ${runner}`,
  ]
}

/** How mixed precision used its budget, and the error of other budgets. */
export function precisionLines({ precision, layers }: QuantizeReport): readonly string[] {
  if (precision === null) return []
  const { unit, target, reached, error, curve } = precision
  const show = (at: number): string => (unit === 'size' ? formatPercent(at) : `${at.toFixed(2)} bits`)
  const counts = new Map<number, number>()
  for (const { levels } of layers) counts.set(levels, (counts.get(levels) ?? 0) + 1)
  const spread = [...counts].sort(([a], [b]) => a - b).map(([levels, count]) => `${count} × ${levels}`)
  const shown = curve.filter((_, i) => i % Math.ceil(curve.length / 10) === 0 || i === curve.length - 1)
  return [
    `mixed precision: ${show(reached)} of ${show(target)} allowed, summed squared error ${error.toPrecision(3)}; layers × levels: ${spread.join(', ')}`,
    `  other budgets: ${shown.map((point) => `${show(point.at)} → ${point.error.toPrecision(2)}`).join(', ')}`,
    '',
  ]
}

/** The table of a planned quantization, and the lines below it. */
export function planLines(plan: ModelPlan, terminal: Terminal): readonly string[] {
  const rows = plan.layers.map((layer) => [
    layer.name,
    layer.op,
    shapeOf(layer),
    bitsText(layer, plan.settings),
    layer.format,
    layer.kernel,
    memoryOf(layer),
    sizes(layer),
  ])
  const table = formatTable(
    [
      { title: 'layer', shrinks: true },
      { title: 'op' },
      { title: 'shape', align: 'right' },
      { title: 'bits', align: 'right' },
      { title: 'format' },
      { title: 'kernel' },
      { title: 'memory', align: 'right', optional: true },
      { title: 'weight size', align: 'right' },
    ],
    rows,
    terminal.columns,
  )
  const before = plan.layers.reduce((sum, layer) => sum + layer.bytesIn, 0)
  const after = plan.layers.reduce((sum, layer) => sum + layer.bytesOut, 0)
  const folded = plan.foldedBatchNorms.length
  return [
    ...table,
    '',
    ...(folded === 0 ? [] : [`${folded} BatchNormalization nodes are folded into the weights before them`]),
    ...formatLines(plan.layers),
    ...(plan.settings.activations === null ? [] : kernelLines(plan.layers)),
    ...roundedLines(plan.layers),
    ...skippedLines(plan.skipped),
    ...floatLines(plan.floats, LEAST_LISTED),
    ...notesLines([...plan.notes.map(describeNote), ...budgetNotes(plan)]),
    terminal.paint('bold', `weights ${formatBytes(before)} → ${formatBytes(after)}`, 'stdout'),
  ]
}

/** What a layer takes of the kernels' memory, and in how many ranges of neurons it is solved where there are several. */
function memoryOf({ memoryBytes, parts }: PlanLayer): string {
  return `${formatBytes(memoryBytes)}${parts === 1 ? '' : ` in ${parts} parts`}`
}

/** A note for plans of mixed precision, whose levels are chosen with the samples. */
function budgetNotes({ settings }: ModelPlan): readonly string[] {
  const option = (['targetSize', 'targetBits'] as const).find((name) => settings[name] !== null)
  return option === undefined
    ? []
    : [`--${kebab(option)} chooses levels in the run; the plan shows those that it starts from`]
}

/** The layers that stay float, by the reason. */
export function skippedLines(
  skipped: readonly { readonly name: string; readonly reason: string }[],
): string[] {
  const groups = new Map<string, string[]>()
  for (const { name, reason } of skipped) {
    const names = groups.get(reason)
    if (names === undefined) groups.set(reason, [name])
    else names.push(name)
  }
  const lines = [...groups].map(([reason, names]) => {
    const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''
    return printable(`  ${names.slice(0, MOST_NAMES).join(', ')}${more}: ${reason}`)
  })
  return lines.length === 0 ? [] : ['left as they are:', ...lines]
}

/** Each format that occurs, on integers and on floats, with the reason for the first of its layers. */
function formatLines(layers: readonly Pick<LayerReport, 'format' | 'formatReason' | 'kernel'>[]): string[] {
  const keyOf = ({ format, kernel }: (typeof layers)[number]) => `${format} ${kernel}`
  return [...new Set(layers.map(keyOf))].map((key) => {
    const own = layers.filter((layer) => keyOf(layer) === key)
    return printable(`${own[0]?.format} (${own.length} of ${layers.length} layers): ${own[0]?.formatReason}`)
  })
}

/** Why layers run on integers or on floats, with the layers of each reason. */
export function kernelLines(
  layers: readonly Pick<LayerReport, 'name' | 'kernel' | 'kernelReason'>[],
): string[] {
  return reasonLines(layers, ({ kernel, kernelReason }) => `${kernel}: ${kernelReason}`)
}

/** Why weights are rounded, with the layers of each reason. */
export function roundedLines(layers: readonly Pick<LayerReport, 'name' | 'rounded'>[]): string[] {
  return reasonLines(layers, ({ rounded }) => (rounded === null ? null : `rounded: ${rounded}`))
}

function reasonLines<T extends Pick<LayerReport, 'name'>>(
  layers: readonly T[],
  reasonOf: (layer: T) => string | null,
): string[] {
  const groups = new Map<string, string[]>()
  for (const layer of layers) {
    const reason = reasonOf(layer)
    if (reason === null) continue
    const names = groups.get(reason)
    if (names === undefined) groups.set(reason, [layer.name])
    else names.push(layer.name)
  }
  return [...groups].map(([reason, names]) =>
    printable(`${reason} (${names.length === layers.length ? 'all layers' : names.join(', ')})`),
  )
}

function notesLines(notes: readonly string[]): string[] {
  return notes.map((note) => `note: ${printable(note)}`)
}

/** The layers with far larger errors than the others, and options that give them more bits. */
function conspicuousLines(layers: readonly LayerReport[]): string[] {
  const errors = layers.flatMap((layer) => layer.relativeError ?? []).sort((a, b) => a - b)
  const median = errors[errors.length >> 1] ?? 0
  const worst = layers.filter((layer) => (layer.relativeError ?? 0) > CONSPICUOUS * median)
  if (errors.length < 4 || worst.length === 0) return []
  const options = worst.slice(0, 3).map((layer) => `--bits-for ${quoted(`${layer.name}=8`)}`)
  return [`${worst.length} layers lose more than ${CONSPICUOUS} times the median; try ${options.join(' ')}`]
}

/** A word of a POSIX shell. */
function quoted(word: string): string {
  return `'${printable(word).replaceAll("'", "'\\''")}'`
}

function sizes(layer: { readonly bytesIn: number; readonly bytesOut: number }): string {
  return `${formatBytes(layer.bytesIn)} → ${formatBytes(layer.bytesOut)}`
}
