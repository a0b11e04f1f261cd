import { describe, expect, it } from 'vitest'
import { bar, cutMiddle, formatTable } from '#src/cli/table.js'

describe('formatTable', () => {
  const columns = [
    { title: 'layer', shrinks: true },
    { title: 'bits', align: 'right' },
    { title: 'why', optional: true },
  ] as const
  const rows = [['/layer1/layer1.0/conv1', '4', 'because']]

  it('aligns', () => {
    expect(formatTable(columns, rows, 80)).toEqual([
      'layer                   bits  why',
      '──────────────────────  ────  ───────',
      '/layer1/layer1.0/conv1     4  because',
    ])
  })

  it('drops what is optional first, then cuts names in the middle', () => {
    expect(formatTable(columns, rows, 30)[2]).toBe('/layer1/layer1.0/conv1     4')
    for (const line of formatTable(columns, rows, 24)) expect(line.length).toBeLessThanOrEqual(24)
  })
})

it('cutMiddle keeps both ends', () => {
  expect(cutMiddle('abcdefghij', 5)).toBe('ab…ij')
  expect(cutMiddle('abc', 5)).toBe('abc')
})

it('bar draws in eighths', () => {
  expect(bar(1, 3)).toBe('███')
  expect(bar(0.5, 1)).toBe('▌')
  expect(bar(0, 3)).toBe('')
  expect(bar(7, 2)).toBe('██')
})
