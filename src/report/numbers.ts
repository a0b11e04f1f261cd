/** Sizes, times, shares and decibels as text: a few digits with their unit. */
import type { Settings } from '../model/settings.js'

/** Bytes in decimal units, for instance `1.2 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const [value, unit] =
    bytes < 1e6 ? [bytes / 1e3, 'kB'] : bytes < 1e9 ? [bytes / 1e6, 'MB'] : [bytes / 1e9, 'GB']
  return `${value < 100 ? value.toFixed(1) : Math.round(value)} ${unit}`
}

/** Seconds as ms, s or min. */
export function formatSeconds(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  return seconds < 100
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

/**
 * A share in percent.
 * @param digits decimals
 */
export function formatPercent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)} %`
}

/** Decibels; `exact` for infinity, a dash for null. */
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

/** The number of bits that a code out of `levels` needs. */
export function bitsFor(levels: number): number {
  return Math.ceil(Math.log2(levels))
}
