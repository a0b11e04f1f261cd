/** Opens pages of a script in a Chromium with WebGPU, and serves models to them. Null, said on the console, where there is none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { openBrowser, SOFTWARE_GPU, serve } from '../../bench/browser.js'

export interface Pages {
  readonly version: string
  /** A page with the script. */
  open(): Promise<Page>
  /** @returns the address of a model */
  add(name: string, model: Uint8Array): Promise<string>
  close(): Promise<void>
}

/** @param flags of the browser; by default it has WebGPU, in software where there is no GPU */
export async function openPages(
  entry: string,
  flags: readonly string[] = SOFTWARE_GPU,
): Promise<Pages | null> {
  const browser = await openBrowser(flags)
  if (browser === null) return null
  const { origin, script, addressOf, close } = await serve(entry)
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-webgpu-'))
  return {
    version: browser.version(),
    async open() {
      const page = await browser.newPage()
      await page.goto(origin)
      await page.addScriptTag({ url: script, type: 'module' })
      return page
    },
    async add(name, model) {
      const path = join(folder, `${name.replaceAll(/\W+/g, '-')}.onnx`)
      await writeFile(path, model)
      return addressOf(path)
    },
    async close() {
      await browser.close()
      close()
      await rm(folder, { recursive: true })
    },
  }
}
