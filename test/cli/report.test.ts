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
