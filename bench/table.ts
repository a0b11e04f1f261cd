/** Tables as plain data (--json) and as Markdown on the terminal. */
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly Readonly<Record<string, string>>[]
}

export const table = (
  title: string,
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string>>[],
): Table => ({ title, columns, rows })

export function markdown({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    `### ${title}`,
    '',
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => row[column] ?? ''))),
    '',
  ].join('\n')
}
