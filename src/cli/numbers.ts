/** Numbers are formatted as in reports. */
export {
  bitsText,
  formatBytes,
  formatDecibels,
  formatPercent,
  formatSeconds,
} from '../report/numbers.js'
