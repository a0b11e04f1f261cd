/** Activations of 8 bits: from the check box to the file, what the result says of it, and the same on a terminal. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from '@playwright/test'
import { residualNetwork } from '../../test/conformance/networks.js'
import { noise, npy } from './files.ts'
import { chooseFiles, download, expect, openExample, quantize, results, test, upload } from './person.ts'

const BOX = /^Quantize activations to 8 bits too/
const COMMAND = 'gpfq quantize residual.onnx --calib x.npy --bits 4 --activations 8 -o residual-4bit.onnx'

const model = residualNetwork()
const samples = npy([64, 3, 10, 10], noise(64 * 300, 5))

async function openNetwork(page: Page): Promise<void> {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('residual.onnx', model)])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', samples)])
  await expect(page.getByText('64 samples')).toBeVisible()
  await page.getByText('More settings').click()
}

test('layers run on integers, and the result says which, why, and how fast', async ({ page }) => {
  await openNetwork(page)
  const layers = page.getByRole('region', { name: 'Layers' })
  await expect(layers).toContainText('Biases and everything else stay float.')
  await page.getByLabel(BOX).check()
  await expect(layers).toContainText(
    '3 of them will run on integers, and their inputs are rounded to 8 bits.',
  )
  await expect(layers.getByRole('row', { name: /^c1/ })).toContainText('15 values, packed, on integers')
  await page.getByText('Why stored like this?').click()
  const why = layers.getByRole('listitem')
  await expect(why.filter({ hasText: 'c0 on floats' })).toContainText(
    'pay from 32 input channels on; it has 3',
  )
  await expect(why.filter({ hasText: 'c1 on integers' })).toContainText(
    'times as fast with 32 input channels',
  )

  const found = await quantize(page)
  const tile = (title: string) => found.locator('.tiles > div').filter({ hasText: title })
  await expect(tile('Activations')).toContainText('8 bits3 of 5 layers run on integers')
  await expect(tile('Speed')).toContainText(/(times faster|times slower|as fast).* a run, was /)
  await expect(found.getByRole('heading', { name: 'Speed' })).toBeVisible()
  await expect(found.getByRole('row', { name: /^GPFQ .*(times faster|times slower|as fast)/ })).toBeVisible()
  await expect(found).toContainText('On 1 sample at a time, in turn')
  await expect(found).toContainText('some of its layers run on integers')
  await found.getByRole('combobox', { name: 'Layer' }).selectOption('c2')
  await expect(found.locator('.facts')).toContainText('Runs onintegers: integer convolutions of 3×3')
  await expect(found.locator('.facts')).toContainText('Range of its inputsstatic: fixed by calibration')
  await found.getByRole('combobox', { name: 'Layer' }).selectOption('g')
  await expect(found.locator('.facts')).toContainText('Runs onfloats: ')
  await expect(found.locator('.facts')).not.toContainText('Range of its inputs')

  const html = (await download(page, 'Report')).bytes.toString()
  for (const words of ['<h2>Speed</h2>', 'static: fixed by calibration', '3 of 5 layers run on integers'])
    expect(html).toContain(words)
})

test('the command that is copied writes the same file', async ({ page }) => {
  await openNetwork(page)
  await page.getByLabel(BOX).check()
  await page.getByText('Copy as a command').click()
  await expect(page.getByText(COMMAND)).toBeVisible()
  await quantize(page)
  const { name, bytes } = await download(page, 'Download the model')
  expect(name).toBe('residual-4bit.onnx')
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-'))
  await writeFile(join(folder, 'residual.onnx'), model)
  await writeFile(join(folder, 'x.npy'), samples)
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
  execFileSync('node', [main, ...COMMAND.split(' ').slice(1), '--quiet'], { cwd: folder })
  expect((await readFile(join(folder, name))).equals(bytes)).toBe(true)
})

test('the box is there where integers are possible, and without them nothing is timed', async ({ page }) => {
  await openExample(page)
  await page.getByText('More settings').click()
  await page.getByLabel(BOX).check()
  const layers = page.getByRole('region', { name: 'Layers' })
  await expect(layers).toContainText('No layer runs on integers, so everything else stays float.')
  await page.getByLabel('Stored as').selectOption('nbits')
  await expect(page.getByLabel(BOX)).toHaveCount(0)
  await expect(layers).toContainText('Biases and everything else stay float.')
  await page.getByLabel('Stored as').selectOption('auto')
  await expect(page.getByLabel(BOX)).toBeChecked()
  await page.getByLabel('One scale per').selectOption('group')
  await expect(page.getByLabel(BOX)).toHaveCount(0)
  await page.getByLabel('One scale per').selectOption('neuron')
  await page.getByLabel('Round as well').uncheck()
  await quantize(page)
  await expect(results(page)).toContainText('0 of 4 layers run on integers')
  await expect(results(page).getByRole('heading', { name: 'Speed' })).toHaveCount(0)
})
