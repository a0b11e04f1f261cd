/** The headline numbers of a report, each with its title. The page and the report file show the same ones. */
import type { QuantizeReport } from '../options.js'
import { points, shareOf } from './accuracyPicture.js'
import type { ReportDocument } from './document.js'
import { errorText } from './errorPicture.js'
import { bitsText, formatBytes, formatPercent, formatRunTime, formatSeconds, timesFaster } from './numbers.js'

/** One number of the headline. */
export interface Fact {
  readonly title: string
  readonly value: string
  readonly more: string
}

/**
 * The name of the method in pictures.
 * @param report of a run
 * @example
 * methodName(report) // 'GPFQ'; of method msq 'Rounded'
 */
export function methodName({ settings }: Pick<QuantizeReport, 'settings'>): string {
  const { method } = settings
  return method === 'msq' ? 'Rounded' : String(method ?? 'gpfq').toUpperCase()
}

/**
 * The headline: size, bits of weights and activations, errors, accuracy and speed if they were measured, and time.
 * @param document the report, and the accuracy if there is one
 * @example
 * for (const { title, value, more } of headline(document)) console.log(title, value, more)
 */
export function headline({ report, accuracy }: ReportDocument): readonly Fact[] {
  const { bytesIn, bytesOut, layers, seconds, settings, speed, threads } = report
  const errors = layers.flatMap((layer) => layer.relativeError ?? []).sort((a, b) => a - b)
  const worst = layers.find((layer) => layer.relativeError === errors.at(-1))
  const facts: Fact[] = [
    {
      title: 'Size',
      value: formatBytes(bytesOut),
      more: `was ${formatBytes(bytesIn)}, ${timesSmaller(bytesIn, bytesOut)}`,
    },
    { title: 'Weights', value: spreadOfBits(report), more: `${layers.length} layers quantized` },
  ]
  if (settings.activations !== null) {
    const integers = layers.filter(({ kernel }) => kernel === 'int8')
    facts.push({
      title: 'Activations',
      value: `${settings.activations.bits} bits`,
      more: `${integers.length} of ${layers.length} layers run on integers`,
    })
  }
  if (errors.length > 0)
    facts.push({
      title: 'Typical layer error',
      value: errorText(median(errors)),
      more: `at most ${errorText(errors.at(-1) ?? 0)}, in ${worst?.name}`,
    })
  if (accuracy !== undefined)
    facts.push({
      title: 'top1' in accuracy.quantized ? 'Right answers' : 'Next token right',
      value: formatPercent(shareOf(accuracy.quantized), 1),
      more: `float ${formatPercent(shareOf(accuracy.float), 1)}, change ${points(shareOf(accuracy.quantized) - shareOf(accuracy.float))}`,
    })
  if (speed !== null)
    facts.push({
      title: 'Speed',
      value: timesFaster(speed.floatSeconds, speed.quantizedSeconds),
      more: `${formatRunTime(speed.quantizedSeconds)} a run, was ${formatRunTime(speed.floatSeconds)}`,
    })
  facts.push({
    title: 'Time',
    value: formatSeconds(seconds.total),
    more: threads === 1 ? 'one thread' : `${threads} threads`,
  })
  return facts
}

/**
 * How many times smaller a file is, as text.
 * @param before bytes
 * @param after bytes
 * @example
 * timesSmaller(8e6, 1e6) // '8.0 times smaller'
 */
export function timesSmaller(before: number, after: number): string {
  return `${(before / Math.max(1, after)).toFixed(1)} times smaller`
}

function spreadOfBits({ layers, settings }: QuantizeReport): string {
  const bits = [...new Set(layers.map((layer) => bitsText(layer, settings)))]
  bits.sort((a, b) => Number(a) - Number(b))
  return bits.length === 1
    ? `${bits[0]} ${bits[0] === '1' ? 'bit' : 'bits'}`
    : `${bits[0]} to ${bits.at(-1)} bits`
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
