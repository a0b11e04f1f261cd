/** The page of `npm run bench:web` measures; how fast a GPU of software is says nothing. */
import { expect, test } from '@playwright/test'
import type { BenchWindow } from '../../bench/webGpuPage.js'
import { openPages } from './pages.js'

test('the bench of WebGPU prints a table', async () => {
  const pages = await openPages('bench/webGpuPage.ts')
  test.skip(pages === null, 'there is no Chromium')
  try {
    const page = await pages!.open()
    const hasAdapter = await page.evaluate(
      async () => ((await navigator.gpu?.requestAdapter()) ?? null) !== null,
    )
    test.skip(!hasAdapter, 'there is no WebGPU adapter')
    const text = await page.evaluate(() => (globalThis as unknown as BenchWindow).measure(true))
    console.log(text)
    expect(text.match(/^\| (kernel|layer|network|whole run): [^|]+( \| [\d.e+]+){3} \|$/gm)).toHaveLength(5)
    expect(text).toContain('(webgpu, ')
    expect(text).not.toContain('wasm took over')
  } finally {
    await pages!.close()
  }
})
