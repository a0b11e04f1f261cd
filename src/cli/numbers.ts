/** The command line writes numbers as reports do. */
export { bitsFor, formatBytes, formatDecibels, formatPercent, formatSeconds } from '../report/numbers.js'
