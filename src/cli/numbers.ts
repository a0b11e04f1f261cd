/** Numbers are formatted as in reports. */
export {
  bitsText,
  formatBytes,
  formatDecibels,
  formatPercent,
  formatRunTime,
  formatSeconds,
  memoryText,
  timesFaster,
} from '../report/numbers.js'
