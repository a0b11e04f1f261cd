import { expect, it } from 'vitest'
import { gpfq } from './run.js'

it('gpfq demo shows that path following beats rounding at 3 levels', async () => {
  const { code, stdout, stderr } = await gpfq(['demo', '--json', '--quiet'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { rows } = JSON.parse(stdout) as {
    rows: { name: string; levels: number | null; top1: number; bytes: number }[]
  }
  const top1 = (name: string, levels: number | null) =>
    rows.find((row) => row.name.startsWith(name) && row.levels === levels)?.top1 ?? 0
  expect(top1('float', null)).toBeGreaterThan(0.97)
  expect(top1('gpfq', 15)).toBeGreaterThan(top1('float', null) - 0.01)
  expect(top1('gpfq', 3)).toBeGreaterThan(top1('rounded', 3) + 0.1)
  expect(top1('gpfq', 3)).toBeGreaterThan(0.93)
})
