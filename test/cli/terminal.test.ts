import { describe, expect, it } from 'vitest'
import { formatTable } from '#src/cli/table.js'
import { printable } from '#src/cli/terminal.js'

describe('printable', () => {
  it('escapes what moves the cursor, breaks the line or reorders the text', () => {
    expect(printable('a\u001b[2Kb\u0007')).toBe('a\\u{1b}[2Kb\\u{7}')
    expect(printable('a\r\nb\tc\u0085\u009b1m')).toBe('a\\u{d}\\u{a}b\\u{9}c\\u{85}\\u{9b}1m')
    expect(printable('a\u2028b\u2029c')).toBe('a\\u{2028}b\\u{2029}c')
    for (const mark of '\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069')
      expect(printable(`x${mark}y`)).toBe(`x\\u{${mark.codePointAt(0)?.toString(16)}}y`)
  })

  it('leaves names of all scripts as they are', () => {
    const name = '/layer1/Größe 層 שלום 🙂 e\u0301‖Y − Ỹ‖'
    expect(printable(name)).toBe(name)
  })

  it('is applied to the cells of a table, before their widths are taken', () => {
    const [, rule, row] = formatTable([{ title: 'layer' }, { title: 'bits' }], [['a\u001bb', '4']], 80)
    expect(row).toBe('a\\u{1b}b  4')
    expect(rule).toBe('────────  ────') // eight characters
  })
})
