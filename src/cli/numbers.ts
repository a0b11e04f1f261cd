/** The command line writes numbers as reports do. */
export {
  bitsFor,
  bitsText,
  formatBytes,
  formatDecibels,
  formatPercent,
  formatSeconds,
} from '../report/numbers.js'
