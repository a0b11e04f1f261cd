/** The command line writes numbers as reports do, and calls a layer that lost nothing exact. */
import { formatDecibels as decibels } from '../report/numbers.js'

export { bitsText, formatBytes, formatPercent, formatSeconds } from '../report/numbers.js'

export function formatDecibels(db: number | null): string {
  return db === Number.POSITIVE_INFINITY ? 'exact' : decibels(db)
}
