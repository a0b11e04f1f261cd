/**
 * Tables for a terminal. Columns are as wide as their contents. If the terminal is too narrow, optional columns are left
 * out, the last one first; then names are cut in the middle. Cells are escaped. Bars show shares.
 */
import { printable } from './terminal.js'

export interface TableColumn {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Left out if the table would be too wide. */
  readonly optional?: boolean
  /** Cut if the table is still too wide. */
  readonly shrinks?: boolean
}

const GAP = '  '
const NARROWEST = 16

/**
 * The lines of a table: a heading, a rule, the rows.
 * @param width of the terminal, in characters
 */
export function formatTable(
  columns: readonly TableColumn[],
  cells: readonly (readonly string[])[],
  width: number,
): readonly string[] {
  const rows = cells.map((row) => row.map(printable))
  const widthOf = (i: number) =>
    Math.max(columns[i]?.title.length ?? 0, ...rows.map((row) => row[i]?.length ?? 0))
  let shown = columns.map((column, i) => ({ column, i, width: widthOf(i) }))
  const excess = () => shown.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length) - width
  while (excess() > 0) {
    const dropped = shown.findLast(({ column }) => column.optional)
    if (dropped === undefined) break
    shown = shown.filter((entry) => entry !== dropped)
  }
  const shrinking = shown.find(({ column }) => column.shrinks)
  if (shrinking !== undefined) shrinking.width = Math.max(NARROWEST, shrinking.width - Math.max(0, excess()))
  const line = (cells: readonly string[]) =>
    shown
      .map(({ column, i, width }) => {
        const cell = column.shrinks ? cutMiddle(cells[i] ?? '', width) : (cells[i] ?? '')
        return column.align === 'right' ? cell.padStart(width) : cell.padEnd(width)
      })
      .join(GAP)
      .trimEnd()
  const rule = shown.map(({ width }) => '─'.repeat(width)).join(GAP)
  return [line(columns.map(({ title }) => title)), rule, ...rows.map(line)]
}

/** `text` in at most `length` characters. An ellipsis replaces its middle, because names differ at their ends. */
export function cutMiddle(text: string, length: number): string {
  if (text.length <= length) return text
  const tail = Math.ceil((length - 1) / 2)
  return `${text.slice(0, length - 1 - tail)}…${text.slice(text.length - tail)}`
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** A bar of `share` times `length` characters, in eighths of a character. */
export function bar(share: number, length: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * length * 8)
  return '█'.repeat(eighths >> 3) + (EIGHTHS[eighths & 7] ?? '')
}
