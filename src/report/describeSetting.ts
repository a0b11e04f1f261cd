/** Settings as text, for the command line and for the end of a report. */

/** The value of an option as it is typed on a command line, for instance `median:3`. */
export function describeSetting(value: unknown): string {
  if (value === undefined || value === null) return '–'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(describeSetting).join(', ')
  if (typeof value !== 'object') return String(value)
  if ('rule' in value) {
    if ('percentile' in value) return `${value.rule}:${value.percentile}`
    if ('value' in value) return value.rule === 'value' ? String(value.value) : `${value.rule}:${value.value}`
    return 'factor' in value ? `${value.rule}:${value.factor}` : String(value.rule)
  }
  if ('group' in value) return `group:${value.group}`
  if ('pattern' in value && 'kernel' in value) return `${value.pattern}=${value.kernel}`
  if ('pattern' in value && 'levels' in value) return `${value.pattern}=${value.levels} levels`
  return Object.entries(value)
    .map(([key, part]) => `${key} ${describeSetting(part)}`)
    .join(', ')
}
