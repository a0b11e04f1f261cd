/** Sizes, times, shares and decibels as text: a few digits with their unit. */
import type { Settings } from '../model/settings.js'
import type { QuantizeReport } from '../options.js'

/**
 * Bytes as text, in decimal units.
 * @param bytes a whole number
 * @example
 * formatBytes(1234567) // '1.2 MB'
 */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const [value, unit] =
    bytes < 1e6 ? [bytes / 1e3, 'kB'] : bytes < 1e9 ? [bytes / 1e6, 'MB'] : [bytes / 1e9, 'GB']
  return `${value < 100 ? value.toFixed(1) : Math.round(value)} ${unit}`
}

/**
 * What a run took of memory, and whose it is.
 * @param report of the run
 * @example
 * memoryText({ peakMemoryBytes: 88e6, processBytes: 511e6 })
 * // 'kernels and held tensors 88.0 MB; the whole process, with ONNX Runtime, 511 MB'
 */
export function memoryText({
  peakMemoryBytes,
  processBytes,
}: Pick<QuantizeReport, 'peakMemoryBytes' | 'processBytes'>): string {
  const own = `kernels and held tensors ${formatBytes(peakMemoryBytes)}`
  return processBytes === null
    ? `${own}; ONNX Runtime takes its own besides`
    : `${own}; the whole process, with ONNX Runtime, ${formatBytes(processBytes)}`
}

/**
 * Seconds as text, in ms, s or min.
 * @param seconds at least 0
 * @example
 * formatSeconds(0.25) // '250 ms'
 */
export function formatSeconds(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`
  return seconds < 100
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

/**
 * The time of one run as text, with three digits below a second.
 * @param seconds above 0
 * @example
 * formatRunTime(0.00123) // '1.23 ms'
 */
export function formatRunTime(seconds: number): string {
  return seconds < 0.9995 ? `${(1000 * seconds).toPrecision(3)} ms` : formatSeconds(seconds)
}

/**
 * How many times faster a run is, as text; differences below 5 % are noise.
 * @param before seconds
 * @param after seconds
 * @example
 * timesFaster(0.02, 0.01) // '2.0 times faster'
 */
export function timesFaster(before: number, after: number): string {
  const ratio = before / after
  if (ratio > 0.95 && ratio < 1.05) return 'as fast'
  return ratio > 1 ? `${ratio.toFixed(1)} times faster` : `${(1 / ratio).toFixed(1)} times slower`
}

/**
 * A share in percent.
 * @param share from 0 to 1
 * @param digits decimals
 * @example
 * formatPercent(0.5) // '50.00 %'
 */
export function formatPercent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)} %`
}

/**
 * Decibels as text.
 * @param db infinity for exact, null for not measured
 * @example
 * formatDecibels(32.14) // '32.1 dB'
 */
export function formatDecibels(db: number | null): string {
  if (db === null) return '–'
  return db === Number.POSITIVE_INFINITY ? 'exact' : `${db.toFixed(1)} dB`
}

/** Bits of a weight in tables: those of its code, or for method frame those of its codes and its share of the scale. */
export function bitsText(
  { levels, codeBits }: { readonly levels: number; readonly codeBits: number },
  { method }: Pick<Settings, 'method'>,
): string {
  return method === 'frame' ? codeBits.toFixed(2) : String(bitsFor(levels))
}

/**
 * The number of bits that a code needs.
 * @param levels values in the alphabet
 * @example
 * bitsFor(15) // 4
 */
export function bitsFor(levels: number): number {
  return Math.ceil(Math.log2(levels))
}
