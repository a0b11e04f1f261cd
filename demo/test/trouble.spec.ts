/** Every failure is shown in plain words, and the page stays usable. */
import { mkdtemp, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page, Worker } from '@playwright/test'
import { bytesOf, denseModel, noise, npy } from './files.ts'
import { chooseFiles, expect, openExample, quantize, test, upload } from './person.ts'

test('files that are no ONNX models', async ({ page }) => {
  await page.goto('./')
  const alert = page.getByRole('alert')
  for (const [name, bytes, words] of [
    ['notes.txt', Buffer.from('Dear diary'), 'This is not an ONNX model that can be read'],
    ['model.onnx', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'a PNG image'],
    ['half.onnx', bytesOf(denseModel(16, 2)).subarray(0, 700), 'truncated'],
    ['model.onnx', new Uint8Array(0), '0 bytes'],
  ] as const) {
    await chooseFiles(page, 'Choose an ONNX model', [upload(name, bytes)])
    await expect(alert).toContainText(words)
  }
  await page.getByRole('button', { name: 'Try the built-in example' }).click()
  await expect(page.getByText('digits.onnx', { exact: true })).toBeVisible()
  await expect(alert).toBeHidden()
})

test('a model of an operator set too old, and one too new', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [
    upload('old.onnx', bytesOf(denseModel(16, 2, { opset: 5 }))),
  ])
  const alert = page.getByRole('alert')
  await expect(alert).toContainText('written in a version of ONNX that is not supported')
  await expect(alert).toContainText('opset 7 or newer, got 5')
  await chooseFiles(page, 'Choose an ONNX model', [
    upload('new.onnx', bytesOf(denseModel(16, 2, { opset: 99 }))),
  ])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(alert).toContainText('written in a version of ONNX that is not supported')
})

test('a model too large for a tab, with the number, before it is read', async ({ page }) => {
  const path = join(await mkdtemp(join(tmpdir(), 'gpfq-')), 'huge.onnx')
  const file = await open(path, 'w')
  await file.truncate(5e9)
  await file.close()
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', path)
  const alert = page.getByRole('alert')
  await expect(alert).toContainText('too large for this tab')
  await expect(alert).toContainText('5.0 GB')
  await expect(alert).toContainText('20.0 GB')
})

test('data that does not fit the model, and a layout that would', async ({ page }) => {
  await openExample(page)
  await page
    .getByRole('region', { name: 'Example inputs' })
    .getByLabel('Other data')
    .first()
    .setInputFiles([upload('wide.npy', npy([4, 1, 32, 32], new Uint8Array(4 * 32 * 32)))])
  const alert = page.getByRole('alert')
  await expect(alert).toContainText('This data does not fit the model')
  await expect(alert).toContainText('expected shape (batch, 1, 28, 28)')
  await expect(alert).toContainText('got (4, 1, 32, 32)')
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeDisabled()
})

test('test data without labels', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', bytesOf(denseModel(16, 2)))])
  await chooseFiles(page, 'Choose labelled test data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
  await expect(page.getByRole('alert')).toContainText('the right answers are missing')
})

test('a worker whose script does not load', async ({ page, watched }) => {
  await page.route(/worker-[\w-]+\.js$/, (route) => route.abort())
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', bytesOf(denseModel(16, 2)))])
  await expect(page.getByRole('alert')).toContainText('The page’s worker stopped')
  watched.complaints.length = 0 // the browser reports the script that it could not load
})

/** The page's own worker; kernels and ONNX Runtime have workers as well. */
async function jobWorker(page: Page): Promise<Worker> {
  for (const worker of page.workers())
    if ((await worker.evaluate(() => self.name)).startsWith('gpfq ')) return worker
  throw new Error('expected the worker of the page')
}

test('a worker that ends in the middle of a run is replaced, and the next run works', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('wide.onnx', bytesOf(denseModel(512, 12)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([512, 512], noise(512 * 512)))])
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
  const worker = await jobWorker(page)
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByText(/choosing values for layer/)).toBeVisible()
  await worker.evaluate(() => self.close())
  const alert = page.getByRole('alert')
  await expect(alert).toContainText('The page’s worker stopped')
  await expect(alert).toContainText('It ran out of memory or crashed')
  await quantize(page)
  await expect(alert).toBeHidden()
})

test('a worker that ends between questions is replaced without a word', async ({ page }) => {
  await openExample(page)
  const worker = await jobWorker(page)
  await worker.evaluate(() => self.close())
  await expect.poll(() => page.workers().length).toBe(0)
  await quantize(page)
})

test('a size that even the smallest alphabets exceed', async ({ page }) => {
  await openExample(page)
  const field = page.getByLabel('Or a size')
  await field.fill('2')
  await field.blur()
  await page.getByRole('button', { name: 'Quantize' }).click()
  const alert = page.getByRole('alert')
  await expect(alert).toContainText('The weights cannot be made as small as that.')
  await expect(alert).toContainText(
    /the size as a share of the float weights \(1 means 100 %\): expected at least 0\.0\d+/,
  )
  await expect(alert).toContainText('got 0.02')
  await field.fill('20')
  await field.blur()
  await quantize(page)
})

test('settings that fail at run time leave the page ready for the next run', async ({ page }) => {
  await openExample(page)
  await page.getByText('More settings').click()
  await page.getByLabel('Largest value by').selectOption('a fixed number')
  await page.getByLabel('Value', { exact: true }).fill('0.4')
  await quantize(page)
  await page.getByLabel('Largest value by').selectOption('least output error')
  await quantize(page)
})
