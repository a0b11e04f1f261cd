/** The switch for the GPU: off where the browser gives none, and a run on it where there is one. */
import type { QuantizeReport } from 'gpfq/onnx'
import { openBrowser, SOFTWARE_GPU } from '../../bench/browser.ts'
import { download, expect, openExample, quantize, test } from './person.ts'

const SWITCH = /^Run networks on the GPU/

test('cannot be switched on without an adapter', async ({ page }) => {
  await openExample(page)
  await page.getByText('More settings').click()
  await expect(page.getByLabel(SWITCH)).toBeDisabled()
  await expect(page.getByText('this browser gives none')).toBeVisible()
})

test('runs the example on the GPU, and the report names it', async ({ baseURL }) => {
  test.setTimeout(240_000) // shaders run on the processor
  const browser = await openBrowser(SOFTWARE_GPU)
  test.skip(browser === null, 'there is no Chromium')
  try {
    const page = await browser!.newPage(baseURL === undefined ? {} : { baseURL })
    await openExample(page)
    await page.getByText('More settings').click()
    const hasGpu = await page.evaluate(async () => ((await navigator.gpu?.requestAdapter()) ?? null) !== null)
    test.skip(!hasGpu, 'there is no WebGPU adapter')
    await page.getByLabel(SWITCH).check()
    await page.getByLabel('Round as well').uncheck()
    await page.getByLabel('Patches per convolution').fill('64')
    await page.getByText('How the data is prepared').click()
    await page.getByLabel('Samples to use').fill('64')
    await page.getByLabel('Samples to use').blur()
    await expect(page.getByText('64 of 512 samples')).toBeVisible()
    await quantize(page)
    const { bytes } = await download(page, 'Report as JSON')
    const report = JSON.parse(bytes.toString()) as QuantizeReport
    expect(report.runner).toMatch(/^onnxruntime-web .*\(webgpu, /)
    expect(report.notes.filter(({ code }) => code === 'RUNNER_FELL_BACK')).toEqual([])
  } finally {
    await browser!.close()
  }
})
