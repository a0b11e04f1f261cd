/** Accessibility: keyboard only, no violations found by axe, light and dark, wide and narrow windows. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from '@playwright/test'
import type { AxeResults } from 'axe-core'
import { chooseFiles, expect, openExample, quantize, results, test, upload } from './person.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

declare const axe: { run(): Promise<AxeResults> }

async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE)
  const found = await page.evaluate(() => axe.run())
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`))
}

/** Pixels by which the page is wider than its window. */
const overflow = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

async function unfold(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const details of document.querySelectorAll('details')) details.open = true
  })
}

for (const { width, colorScheme } of [
  { width: 1280, colorScheme: 'light' },
  { width: 390, colorScheme: 'dark' },
] as const)
  test.describe(`${width} px wide, ${colorScheme}`, () => {
    test.use({ viewport: { width, height: 844 }, colorScheme })

    test('no violations in any state, and nothing wider than the window', async ({ page }) => {
      await page.goto('./')
      await unfold(page)
      expect(await violations(page)).toEqual([])
      expect(await overflow(page)).toBeLessThanOrEqual(0)
      await chooseFiles(page, 'Choose an ONNX model', [upload('x.onnx', Buffer.from('no'))])
      await expect(page.getByRole('alert')).toBeVisible()
      expect(await violations(page)).toEqual([])
      await openExample(page)
      await unfold(page)
      expect(await violations(page)).toEqual([])
      expect(await overflow(page)).toBeLessThanOrEqual(0)
      await page.getByRole('button', { name: 'Quantize' }).click()
      await expect(page.getByRole('progressbar')).toBeVisible()
      expect(await violations(page)).toEqual([])
      await expect(results(page)).toBeVisible()
      await unfold(page)
      expect(await violations(page)).toEqual([])
      expect(await overflow(page)).toBeLessThanOrEqual(0)
    })
  })

test('with nothing but a keyboard', async ({ page }) => {
  await page.goto('./')
  const focused = () =>
    page.evaluate(() => {
      const element = document.activeElement
      const label = element instanceof HTMLInputElement ? element.labels?.[0]?.textContent : null
      return label ?? element?.textContent ?? ''
    })
  const tabTo = async (words: RegExp) => {
    for (let i = 0; i < 60; i++) {
      if (words.test(await focused())) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`never came to ${words}`)
  }
  await tabTo(/^Try the built-in example/)
  await page.keyboard.press('Enter')
  await expect(page.getByText('1,000 samples')).toBeVisible()
  await tabTo(/^4$/)
  await page.keyboard.press('ArrowLeft')
  await expect(page.getByRole('radio', { name: '3', exact: true })).toBeChecked()
  await expect(page.getByText('7 values per weight.')).toBeVisible()
  await tabTo(/^More settings/)
  await page.keyboard.press('Enter')
  await expect(page.getByLabel('One scale per')).toBeVisible()
  await tabTo(/^Quantize$/)
  await page.keyboard.press('Enter')
  await expect(results(page)).toBeVisible()
  expect(await focused()).toBe('digits-3bit.onnx is ready')
  await tabTo(/^Download the model$/)
  const started = page.waitForEvent('download')
  await page.keyboard.press('Enter')
  expect((await started).suggestedFilename()).toBe('digits-3bit.onnx')
})

test('a file can be chosen by keyboard, and shows where the focus is', async ({ page }) => {
  const chooser = page.waitForEvent('filechooser') // before the page loads: the browser must intercept the dialog from the start
  await page.goto('./')
  await page.getByLabel('Choose an ONNX model').focus()
  await page.keyboard.press('Enter')
  await (await chooser).setFiles([])
  await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Tab')
  const drop = page.locator('.drop').first()
  expect(await drop.evaluate((element) => getComputedStyle(element).outlineStyle)).toBe('solid')
})

test('a screen reader hears how far it is, and that it is done', async ({ page }) => {
  await openExample(page)
  const status = page.getByRole('region', { name: 'Quantize' }).getByRole('status')
  await quantize(page)
  await expect(status).toHaveText('Done. The results follow.')
})
