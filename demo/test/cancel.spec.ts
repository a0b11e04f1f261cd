/** A run, a plan and reading can be cancelled at any moment, and the next question starts from the beginning. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { bytesOf, denseModel, noise, npy } from './files.ts'
import {
  chooseFiles,
  expect,
  expectSmooth,
  quantize,
  results,
  slowDown,
  test,
  upload,
  watchMainThread,
} from './person.ts'

async function openWide(page: Page): Promise<void> {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('wide.onnx', bytesOf(denseModel(768, 5)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([768, 768], noise(768 * 768)))])
}

test('cancelled while layers are quantized, and started again', async ({ page }) => {
  await openWide(page)
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByText(/choosing values for layer/)).toBeVisible()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeVisible()
  await expect(results(page)).toBeHidden()
  await quantize(page)
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeHidden()
})

test('cancelled at once, again and again, and the last run is the one that counts', async ({ page }) => {
  await openWide(page)
  for (let i = 0; i < 3; i++) {
    await page.getByRole('button', { name: /^Quantize/ }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await expect(page.getByRole('button', { name: 'Quantize again' })).toBeVisible()
  }
  await page.getByRole('radio', { name: '8', exact: true }).check()
  const found = await quantize(page)
  await expect(found).toContainText('wide-8bit.onnx is ready')
})

test('another model is chosen while one is running', async ({ page }) => {
  await openWide(page)
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByRole('progressbar')).toBeVisible()
  await chooseFiles(page, 'Another model', [upload('small.onnx', bytesOf(denseModel(16, 2)))])
  await expect(page.getByText('small.onnx', { exact: true })).toBeVisible()
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
  const found = await quantize(page)
  await expect(found).toContainText('small-4bit.onnx is ready')
})

test.describe('a long model', () => {
  let long = ''
  // 80,000 layers take seconds to read and to plan. A path, because Playwright sends bytes through the page's main thread.
  test.beforeAll(async () => {
    long = join(await mkdtemp(join(tmpdir(), 'gpfq-')), 'long.onnx')
    await writeFile(long, bytesOf(denseModel(2, 80_000)))
  })
  const small = upload('small.onnx', bytesOf(denseModel(16, 2)))
  const cancel = (page: Page, what: string) => page.getByRole('button', { name: `Cancel ${what}` })

  async function quantizeSmall(page: Page): Promise<void> {
    await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
    const found = await quantize(page)
    await expect(found).toContainText('small-4bit.onnx is ready')
  }

  test('is cancelled while it is read', async ({ page }) => {
    await slowDown(page, 'openModel', 3000)
    await page.goto('./')
    const smooth = await watchMainThread(page, async () => {
      await chooseFiles(page, 'Choose an ONNX model', long)
      await cancel(page, 'reading the model').click()
      await expect(page.getByRole('button', { name: 'Try the built-in example' })).toBeEnabled()
    })
    expectSmooth(smooth)
    await chooseFiles(page, 'Choose an ONNX model', [small])
    await quantizeSmall(page)
  })

  test('is cancelled while it is planned', async ({ page }) => {
    await page.goto('./')
    const smooth = await watchMainThread(page, async () => {
      await chooseFiles(page, 'Choose an ONNX model', long)
      await cancel(page, 'planning').click()
      await expect(page.getByText('Planning was cancelled.')).toBeVisible()
      await expect(cancel(page, 'planning')).toBeHidden()
    })
    expectSmooth(smooth)
    await chooseFiles(page, 'Another model', [small])
    await quantizeSmall(page)
  })

  test('gives way to another while it is planned', async ({ page }) => {
    await page.goto('./')
    await chooseFiles(page, 'Choose an ONNX model', long)
    await expect(cancel(page, 'planning')).toBeVisible()
    await chooseFiles(page, 'Another model', [small])
    await quantizeSmall(page)
  })

  test('can be run after its plan was cancelled: the plan comes first', async ({ page }) => {
    await slowDown(page, 'plan', 1500)
    await page.goto('./')
    await chooseFiles(page, 'Choose an ONNX model', [small])
    await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
    await cancel(page, 'planning').click()
    await expect(page.getByText('Planning was cancelled.')).toBeVisible()
    const found = await quantize(page)
    await expect(found).toContainText('small-4bit.onnx is ready')
  })
})

test('cancelled while data is read', async ({ page }) => {
  await slowDown(page, 'openCalibration', 3000)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('small.onnx', bytesOf(denseModel(16, 2)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
  await page.getByRole('button', { name: 'Cancel reading the data' }).click()
  await expect(page.getByText('Choose calibration data first.')).toBeVisible()
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([9, 16], noise(9 * 16)))])
  await expect(page.getByText('9 samples')).toBeVisible()
  await quantize(page)
})
