/** Tables as plain data (--json, with every repetition) and as Markdown on the terminal. */
import type { Timing } from './measure.js'

/** The printed text, with its measurement if there is one. */
export type Cell = string | { readonly text: string; readonly measured: Timing }

export type Row = Readonly<Record<string, Cell>>

export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly Row[]
}

export const table = (title: string, columns: readonly string[], rows: readonly Row[]): Table => ({
  title,
  columns,
  rows,
})

export function markdown({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const text = (cell: Cell = ''): string => (typeof cell === 'string' ? cell : cell.text)
  return [
    `### ${title}`,
    '',
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => text(row[column])))),
    '',
  ].join('\n')
}
