/** What a person does on the page, by the words that stand on it; and a page that watches what it asks the network for. */
import { readFile } from 'node:fs/promises'
import { test as base, expect, type Locator, type Page } from '@playwright/test'

interface Watched {
  /** Addresses of other origins that the page or its workers asked for. */
  readonly strangers: string[]
  /** Errors that nobody caught, and violations of the policy. */
  readonly complaints: string[]
}

/** Every test ends with the page having asked nobody else, and complained of nothing. */
export const test = base.extend<{ watched: Watched }>({
  watched: [
    async ({ page, context, baseURL }, use) => {
      const watched: Watched = { strangers: [], complaints: [] }
      const isOwn = (address: string) => {
        const url = new URL(address)
        return /^(data|blob|file):$/.test(url.protocol) || url.hostname === new URL(baseURL ?? '').hostname
      }
      context.on('request', (request) => {
        if (!isOwn(request.url())) watched.strangers.push(request.url())
      })
      page.on('pageerror', (error) => watched.complaints.push(error.message))
      page.on('console', (message) => {
        if (message.type() === 'error') watched.complaints.push(message.text())
      })
      await use(watched)
      expect(watched.strangers).toEqual([])
      expect(watched.complaints).toEqual([])
    },
    { auto: true },
  ],
})

export { expect }

export interface Upload {
  readonly name: string
  readonly mimeType: string
  readonly buffer: Buffer
}

export function upload(name: string, bytes: Uint8Array): Upload {
  return { name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) }
}

export async function openExample(page: Page): Promise<void> {
  await page.goto('./')
  await page.getByRole('button', { name: 'Try the built-in example' }).click()
  await expect(page.getByText('512 samples')).toBeVisible()
  await expect(page.getByText('1,000 samples')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
}

export async function chooseFiles(
  page: Page,
  label: string,
  files: readonly Upload[] | string,
): Promise<void> {
  const input = page.getByLabel(label)
  await input.setInputFiles(typeof files === 'string' ? files : [...files])
}

export const results = (page: Page): Locator => page.getByRole('region', { name: /is ready$/ })

export async function quantize(page: Page): Promise<Locator> {
  await page.getByRole('button', { name: /^Quantize/ }).click()
  const found = results(page)
  await expect(found).toBeVisible({ timeout: 80_000 })
  return found
}

export async function download(page: Page, label: string): Promise<{ name: string; bytes: Buffer }> {
  const started = page.waitForEvent('download')
  await page.getByRole('button', { name: label, exact: true }).click()
  const file = await started
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) }
}

const LONG = 'longTasks'

/** From now on the page notes every task of its main thread that takes longer than 50 ms. */
export async function watchLongTasks(page: Page): Promise<void> {
  await page.evaluate((key) => {
    const durations: number[] = []
    Reflect.set(globalThis, key, durations)
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) durations.push(duration)
    }).observe({ type: 'longtask' })
  }, LONG)
}

export async function longTasks(page: Page): Promise<readonly number[]> {
  await page.waitForTimeout(200) // entries come with a delay
  return page.evaluate((key): number[] => Reflect.get(globalThis, key), LONG)
}
