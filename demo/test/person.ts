/** Steps of a visitor, by the words on the page, and a fixture that records requests to other origins and errors. */
import { readFile } from 'node:fs/promises'
import { test as base, expect, type Locator, type Page } from '@playwright/test'

interface Watched {
  /** Addresses of other origins that the page or its workers requested. */
  readonly strangers: string[]
  /** Uncaught errors, and violations of the policy. */
  readonly complaints: string[]
}

/** After every test there must be no request to another origin and no error. */
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

/** Blocks the page's worker for some milliseconds when it gets this question, as a large model does. */
export async function slowDown(
  page: Page,
  question: 'openModel' | 'plan' | 'openCalibration',
  milliseconds: number,
): Promise<void> {
  const listener = `addEventListener('message', ({ data }) => {
    const end = data?.path?.[0] === '${question}' ? Date.now() + ${milliseconds} : 0
    while (Date.now() < end);
  });`
  await page.route(/worker-[\w-]+\.js$/, async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, body: listener + (await response.text()) })
  })
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

/** Tasks of the page's main thread by processor time in milliseconds, from the browser's trace. */
export interface LongTasks {
  /** Those longer than LONGEST. */
  readonly computed: readonly number[]
  readonly longestComputed: number
}

const LONGEST = 50

/** Watches the main thread during `act`. */
export async function watchMainThread(page: Page, act: () => Promise<unknown>): Promise<LongTasks> {
  const browser = page.context().browser()
  if (browser === null) throw new Error('expected a browser of its own')
  await browser.startTracing(page, { categories: ['disabled-by-default-devtools.timeline', '__metadata'] })
  await act()
  const trace = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: readonly TraceEvent[] }
  const computed = computedTasks(trace.traceEvents)
  return { computed: computed.filter((ms) => ms > LONGEST), longestComputed: Math.max(...computed) }
}

interface TraceEvent {
  readonly name: string
  readonly pid: number
  readonly tid: number
  /** Thread time, µs. */
  readonly tdur?: number
  readonly args?: { readonly name?: string }
}

/** Milliseconds of thread time of every task on a renderer's main thread. */
function computedTasks(events: readonly TraceEvent[]): readonly number[] {
  const main = new Set(
    events
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  )
  const tasks = events.filter(({ name, pid, tid }) => name === 'RunTask' && main.has(`${pid} ${tid}`))
  if (tasks.length === 0) throw new Error('expected tasks of the main thread in the trace, got none')
  return tasks.map(({ tdur = 0 }) => tdur / 1000)
}

/** Expects no long task, by processor time: on a busy machine a thread waits. */
export function expectSmooth({ computed, longestComputed }: LongTasks): void {
  console.log(`longest task of the main thread: ${longestComputed.toFixed(1)} ms of processor time`)
  expect(computed).toEqual([])
}
