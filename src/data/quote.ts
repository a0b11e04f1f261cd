/** What errors quote of files: never more than a line, because a header or a name can be as long as its file. */

const LONGEST = 80
const MOST_NAMES = 12

/** The beginning of a text. */
export function cut(text: string, length = LONGEST): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`
}

/** Some of the names, and how many there are besides. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).map((name) => cut(name))
  const others = names.length - shown.length
  return `${shown.join(', ')}${others > 0 ? ` and ${others} more` : ''}`
}

/** A shape as text. */
export function shapeText(dims: readonly number[]): string {
  return `(${cut(dims.join(', '))})`
}
