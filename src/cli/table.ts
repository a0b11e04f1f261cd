/**
 * Tables for a terminal: columns as wide as their contents, numbers to the right, one column of names that gives
 * way (cut in the middle) where the terminal is narrow, and bars that show values against the largest of them.
 */

export interface TableColumn {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Cut this column first if the table is too wide. */
  readonly shrinks?: boolean
}

const GAP = '  '
const NARROWEST = 12

/** Lines of a table: a heading, a rule, the rows. */
export function formatTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  width: number,
): readonly string[] {
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)),
  )
  const excess = widths.reduce((sum, w) => sum + w, 0) + GAP.length * (columns.length - 1) - width
  const shrinking = columns.findIndex((column) => column.shrinks)
  if (excess > 0 && shrinking >= 0) widths[shrinking] = Math.max(NARROWEST, (widths[shrinking] ?? 0) - excess)
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, i) => {
        const cell = cutMiddle(cells[i] ?? '', widths[i] ?? 0)
        return align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)
      })
      .join(GAP)
      .trimEnd()
  return [
    line(columns.map(({ title }) => title)),
    widths.map((w) => '─'.repeat(w)).join(GAP),
    ...rows.map(line),
  ]
}

/** `text` in at most `length` characters, its middle replaced by an ellipsis: names differ at their ends. */
export function cutMiddle(text: string, length: number): string {
  if (text.length <= length) return text
  const tail = Math.ceil((length - 1) / 2)
  return `${text.slice(0, length - 1 - tail)}…${text.slice(text.length - tail)}`
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** A bar of up to `length` characters, drawn in eighths. */
export function bar(share: number, length: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * length * 8)
  return '█'.repeat(eighths >> 3) + (EIGHTHS[eighths & 7] ?? '')
}
