/** The built-in example, from one click to the files, which must agree with the numbers on the page. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadFeeds, loadLabels } from 'gpfq/data'
import { createOrtWebRunner, evaluate, openModel } from 'gpfq/onnx'
import { download, expect, openExample, quantize, results, test } from './person.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const DATA = join(root, 'demo-data')

test('shows the layers and the size before anything runs, and both follow the bits', async ({ page }) => {
  await openExample(page)
  const table = page.getByRole('table')
  await expect(table.getByRole('row')).toHaveCount(5)
  await expect(table.getByRole('row', { name: /dense1/ })).toContainText('Gemm 784 × 64')
  await expect(page.getByText('2 BatchNormalization nodes are folded')).toBeVisible()
  await expect(page.getByText(/about 29\.\d kB/)).toBeVisible()
  await page.getByRole('radio', { name: '2', exact: true }).check()
  await expect(page.getByText(/about 13\.\d kB/)).toBeVisible()
  await expect(table.getByRole('row', { name: /dense1/ })).toContainText('3 values')
  expect(page.workers().length).toBeLessThanOrEqual(1)
})

test('becomes a model that ONNX Runtime loads and that is as good as the page said', async ({ page }) => {
  await openExample(page)
  const found = await quantize(page)
  const shown = await found.getByRole('row', { name: /^GPFQ/ }).textContent()
  const { name, bytes } = await download(page, 'Download the model')
  expect(name).toBe('digits-4bit.onnx')
  expect(bytes.length).toBeLessThan(32_000)

  const source = async (file: string) => ({
    name: file,
    files: [{ name: file, bytes: async () => new Uint8Array(await readFile(join(DATA, file))) }],
  })
  const feeds = await loadFeeds([await source('test.npz')], (await openModel(bytes)).inputs, { scale: 255 })
  const labels = await loadLabels({ ...(await source('test.npz')), input: 'label' })
  const runner = await createOrtWebRunner()
  const model = new Uint8Array(bytes)
  const evaluation = await evaluate({ runner, model, feeds, samples: feeds.samples, labels })
  if (!('top1' in evaluation)) throw new Error('expected classes')
  expect(evaluation.top1).toBeGreaterThan(0.975)
  expect(shown).toContain(`${(100 * evaluation.top1).toFixed(1)} %`)
})

test('shows accuracy, errors beside rounding, weights on their alphabet, and answers', async ({ page }) => {
  await openExample(page)
  await page.getByRole('radio', { name: '2', exact: true }).check()
  const found = await quantize(page)
  for (const row of ['Float, as it came', 'Rounded', 'GPFQ'])
    await expect(found.getByRole('row', { name: new RegExp(`^${row} [\\d.]+ %`) })).toBeVisible()
  const errors = found.locator('.errors tbody tr')
  await expect(errors).toHaveCount(4)
  const percents = (await errors.locator('.number').allTextContents()).map(Number.parseFloat)
  for (let i = 0; i < percents.length; i += 2) expect(percents[i]).toBeLessThan(percents[i + 1] ?? 0)
  await found.getByRole('combobox', { name: 'Layer' }).selectOption('dense1')
  const size = await found.locator('.facts > div').filter({ hasText: 'Size' }).locator('dd').textContent()
  const row = page.getByRole('region', { name: 'Layers' }).getByRole('row', { name: /dense1/ })
  await expect(row).toContainText(size ?? '')
  await expect(found.getByRole('img', { name: /50176 weights of dense1 with the 3 values/ })).toBeVisible()
  await expect(found.locator('.answers li')).toHaveCount(12)
  await expect(found.getByRole('img', { name: /^Sample \d+, labelled \d$/ }).first()).toBeVisible()
})

test('gives a report as JSON and as a page of its own with the same numbers', async ({ page, context }) => {
  await openExample(page)
  await quantize(page)
  const json = await download(page, 'Report as JSON')
  expect(json.name).toBe('digits-4bit.json')
  const report = JSON.parse(json.bytes.toString()) as {
    layers: { name: string; relativeError: number }[]
    rounded: { layers: unknown[] }
    accuracy: { float: { top1: number } }
  }
  expect(report.layers.map(({ name }) => name)).toEqual(['conv1', 'conv2', 'dense1', 'dense2'])
  expect(report.rounded.layers).toHaveLength(4)
  expect(report.accuracy.float.top1).toBe(0.985)

  const html = await download(page, 'Report')
  expect(html.name).toBe('digits-4bit.html')
  const file = join(await mkdtemp(join(tmpdir(), 'gpfq-')), html.name)
  await writeFile(file, html.bytes)
  const reader = await context.newPage()
  const asked: string[] = []
  reader.on('request', (request) => asked.push(request.url()))
  await reader.goto(`file://${file}`)
  await expect(reader.getByRole('heading', { level: 1 })).toHaveText('digits-4bit.onnx')
  const shown = await reader.locator('.errors tbody tr').first().locator('.own').first().textContent()
  expect(Number.parseFloat(shown ?? '')).toBeCloseTo(100 * (report.layers[0]?.relativeError ?? 0), 1)
  expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([`file://${file}`])
})

test('the command that is copied is one that the command line takes, with the same outcome', async ({
  page,
  context,
}) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await openExample(page)
  await page.getByText('More settings').click()
  await page.getByLabel('One scale per').selectOption('group')
  await page.getByLabel('Leave out layers named').fill('dense2')
  await page.getByLabel('Other bits for layers named').fill('conv1=8')
  await page.getByLabel('Share of zeros').fill('0.4')
  await page.getByLabel('Correct biases').check()
  await page.getByText('Copy as a command').click()
  await page.getByRole('button', { name: 'Copy', exact: true }).click()
  await expect(page.getByRole('button', { name: 'Copied' })).toBeVisible()
  const command = await page.evaluate(() => navigator.clipboard.readText())
  expect(command).toBe(
    'gpfq quantize digits.onnx --calib calibration.npz --scale 255 --bits 4 --sparsity target:0.4 --bits-for conv1=8 --scale-per group:32 --exclude dense2 --bias-correction -o digits-4bit.onnx',
  )
  const args = command.split(' ').slice(1)
  const plan = execFileSync(
    'node',
    [join(root, 'dist/src/cli/main.js'), ...args, '--dry-run', '--json', '--quiet'],
    {
      cwd: DATA,
      encoding: 'utf8',
    },
  )
  const { layers } = JSON.parse(plan) as { layers: { name: string; levels: number }[] }
  expect(layers.map(({ name, levels }) => `${name} ${levels}`)).toEqual([
    'conv1 255',
    'conv2 15',
    'dense1 15',
  ])
  await expect(page.getByRole('table').getByRole('row')).toHaveCount(4)
})

test('every method runs, and what is chosen for one does not disturb another', async ({ page }) => {
  await openExample(page)
  await page.getByText('More settings').click()
  await page.getByLabel('Order of inputs').selectOption('strongest first')
  await page.getByLabel('Round as well').uncheck()
  for (const method of [/^Rounding/, /^GPTQ/, /^Qronos/, /^Stochastic/, /^Best/, /^Beacon/]) {
    await page.getByRole('radio', { name: method }).check()
    await expect(page.getByLabel('Largest value by')).toHaveCount(method.test('Beacon') ? 0 : 1)
    await page.getByRole('button', { name: /^Quantize/ }).click()
    await expect(page.getByRole('button', { name: 'Cancel' })).toBeHidden({ timeout: 60_000 })
    await expect(page.getByRole('alert')).toBeHidden()
    await expect(results(page)).toBeVisible()
  }
})
