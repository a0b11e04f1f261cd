/** Times a float model and its written one in a page of Chromium, cross-origin isolated, so that ONNX Runtime has threads. */
import type { Speed } from '#src/calibration/speed.js'
import { openBrowser, serve } from './browser.js'
import type { TimingTask } from './timing.js'
import type { PageTask, TimingWindow } from './timingPage.js'

export interface TimingBrowser {
  readonly name: string
  /** A page of its own for each call. @returns for each batch */
  time(task: TimingTask): Promise<readonly Speed[]>
  close(): Promise<void>
}

/** Starts Chromium. Null, with the reason on the console, where there is none. */
export async function openTimingBrowser(): Promise<TimingBrowser | null> {
  const browser = await openBrowser()
  if (browser === null) return null
  const { origin, script, addressOf, close } = await serve('bench/timingPage.ts')
  return {
    name: `Chromium ${browser.version()}`,
    async time({ floatPath, writtenPath, ...rest }) {
      const page = await browser.newPage()
      try {
        await page.goto(origin)
        await page.addScriptTag({ url: script, type: 'module' })
        const task: PageTask = { ...rest, float: addressOf(floatPath), written: addressOf(writtenPath) }
        return await page.evaluate((given) => (globalThis as unknown as TimingWindow).timeModels(given), task)
      } finally {
        await page.close()
      }
    },
    async close() {
      await browser.close()
      close()
    },
  }
}
