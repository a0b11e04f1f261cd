/** `--report x.html`: the page of src/report, with the numbers that stdout has. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()

it('writes a page for people when the report’s name ends in .html', async () => {
  const { code, stdout } = await gpfq([
    'quantize',
    `${DIGITS}digits.onnx`,
    ...['--calib', `${DIGITS}calibration.npz`, '--scale', '255', '--samples', '64', '--threads', '1'],
    ...['--bits', '2', '-o', at('two.onnx'), '--report', at('two.html'), '--json'],
  ])
  expect(code).toBe(0)
  const page = readFileSync(at('two.html'), 'utf8')
  expect(page).toMatch(/^<!doctype html>/)
  expect(page).toContain('<h1>two.onnx</h1>')
  expect(page).toContain('Quantized from digits.onnx')
  expect(page).not.toContain(DIGITS)
  const { layers } = JSON.parse(stdout) as { layers: { name: string; relativeError: number }[] }
  for (const { name, relativeError } of layers)
    expect(page).toContain(
      `<th scope="row">${name}</th><td class="number own">${(100 * relativeError).toPrecision(3)} %`,
    )
})

it('says what a weight of frame takes, in the table, in the plan and on the page', async () => {
  const own = ['quantize', `${DIGITS}digits.onnx`, '--method', 'frame', '--levels', '4', '--threads', '1']
  const { code, stdout } = await gpfq([...own, '-o', at('f.onnx'), '--report', at('f.html')])
  expect(code).toBe(0)
  // 25 inputs fill two runs of 16: 32 · 4 coefficients of 2 bits, and a scale of 32.
  const bits = ((32 * 4 * 2 + 32) / 25).toFixed(2)
  expect(stdout).toMatch(new RegExp(`conv1 +25×8 +${bits} +float`))
  expect(readFileSync(at('f.html'), 'utf8')).toContain(`<dd>${bits} bits a weight</dd>`)
  const plan = await gpfq([...own, '--dry-run'])
  expect(plan.stdout).toMatch(new RegExp(`conv1 +Conv +25×8 +${bits} +float`))
})
