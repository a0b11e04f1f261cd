/** Makes the pictures of README and docs (npm run screenshots). It tests nothing, but uses the steps of the tests. */
import { mkdir, writeFile } from 'node:fs/promises'
import type { Locator, Page } from '@playwright/test'
import { bytesOf, denseModel, noise, npy } from './files.ts'
import { chooseFiles, expect, openExample, quantize, test, upload } from './person.ts'
import { smallPng } from './smallPng.ts'

const FOLDER = new URL('../../docs/screenshots/', import.meta.url)

async function save(target: Page | Locator, name: string): Promise<void> {
  const png =
    'goto' in target
      ? await target.screenshot({ fullPage: true, animations: 'disabled' })
      : await target.screenshot({ animations: 'disabled' })
  await mkdir(FOLDER, { recursive: true })
  await writeFile(new URL(`${name}.png`, FOLDER), smallPng(png))
}

async function result(page: Page): Promise<void> {
  await openExample(page)
  await page.getByRole('radio', { name: '2', exact: true }).check()
  const found = await quantize(page)
  await found.getByRole('combobox', { name: 'Layer' }).selectOption('dense1')
  await found.getByRole('heading', { level: 2 }).blur()
}

/** Adds a margin around the sections. */
const frame = (page: Page) =>
  page.evaluate(() => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync('main > section { padding-inline: 1.25rem; border: 0; }')
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  })

for (const width of [1280, 390])
  test.describe(`${width} px`, () => {
    test.use({ viewport: { width, height: width === 390 ? 844 : 800 } })

    test('start', async ({ page }) => {
      await page.goto('./')
      await expect(page.getByRole('button', { name: 'Try the built-in example' })).toBeVisible()
      await page.getByText('How does it do that?').click()
      await save(page, `start-${width}`)
    })

    test('plan', async ({ page }) => {
      await openExample(page)
      await save(page, `plan-${width}`)
    })

    test('result', async ({ page }) => {
      await result(page)
      await frame(page)
      await save(page.getByRole('region', { name: /is ready$/ }), `result-${width}`)
    })
  })

test('running', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('layers.onnx', bytesOf(denseModel(640, 12)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([640, 640], noise(640 * 640)))])
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.locator('.layers').getByRole('row', { name: /^layer7 .* %$/ })).toBeVisible({
    timeout: 60_000,
  })
  await frame(page)
  await save(page.getByRole('region', { name: 'Quantize' }), 'running-1280')
  await page.getByRole('button', { name: 'Cancel' }).click()
})

test.describe('dark', () => {
  test.use({ viewport: { width: 1280, height: 800 }, colorScheme: 'dark' })
  test('result', async ({ page }) => {
    await result(page)
    await frame(page)
    await save(page.getByRole('region', { name: /is ready$/ }), 'result-1280-dark')
  })
})
