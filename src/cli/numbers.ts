/** The command line writes numbers as reports do. */
export {
  bitsText,
  formatBytes,
  formatDecibels,
  formatPercent,
  formatSeconds,
} from '../report/numbers.js'
