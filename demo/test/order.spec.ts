/** Questions that overlap: in any order, each is answered or replaced by a later one, and none waits for ever. */
import { bytesOf, denseModel, noise, npy } from './files.ts'
import { chooseFiles, expect, quantize, slowDown, test, upload } from './person.ts'

const SLOW = 1500

const model = upload('own.onnx', bytesOf(denseModel(16, 2)))
const wide = upload('wide.onnx', bytesOf(denseModel(768, 5)))
const data = (width: number, samples: number) =>
  upload('x.npy', npy([samples, width], noise(samples * width)))
const labels = (samples: number) => upload('labels.npy', npy([samples], new Uint8Array(samples)))

test('data is chosen while the plan is computed', async ({ page }) => {
  await slowDown(page, 'plan', SLOW)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [model])
  await chooseFiles(page, 'Choose calibration data', [data(16, 64)])
  await expect(page.getByText('64 samples')).toBeVisible()
  const found = await quantize(page)
  await expect(found).toContainText('own-4bit.onnx is ready')
})

test('test data is chosen while calibration data is opened', async ({ page }) => {
  await slowDown(page, 'openCalibration', SLOW)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [model])
  await chooseFiles(page, 'Choose calibration data', [data(16, 64)])
  await chooseFiles(page, 'Choose labelled test data', [data(16, 32), labels(32)])
  await expect(page.getByText('64 samples')).toBeVisible()
  await expect(page.getByText('32 samples')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
})

test('another model is chosen while data is opened, and does not get that data', async ({ page }) => {
  await slowDown(page, 'openCalibration', SLOW)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [model])
  await chooseFiles(page, 'Choose calibration data', [data(16, 64)])
  await chooseFiles(page, 'Another model', [{ ...model, name: 'other.onnx' }])
  await expect(page.getByText('Choose calibration data first.')).toBeVisible()
  await page.getByRole('radio', { name: /^Rounding/ }).check()
  await page.getByText('More settings').click()
  await page.getByLabel('Largest value by').selectOption('largest weight')
  const found = await quantize(page)
  await expect(found).toContainText('other-4bit.onnx is ready')
  await expect(found).toContainText('Without calibration data there is nothing to measure errors on.')
})

test('a run is cancelled while a new plan is computed', async ({ page }) => {
  await slowDown(page, 'plan', SLOW)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [wide])
  await chooseFiles(page, 'Choose calibration data', [data(768, 768)])
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByRole('progressbar')).toBeVisible()
  await page.getByRole('radio', { name: '2', exact: true }).check()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeVisible()
  await expect(page.getByRole('table').getByRole('row', { name: /layer0/ })).toContainText('121 kB')
  await expect(page.getByRole('button', { name: 'Quantize again' })).toBeEnabled()
})

test('a run that starts while a new plan is computed waits for it and carries it out', async ({ page }) => {
  await slowDown(page, 'plan', SLOW)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [model])
  await chooseFiles(page, 'Choose calibration data', [data(16, 64)])
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
  await page.getByRole('radio', { name: '2', exact: true }).check()
  const found = await quantize(page)
  await expect(found).toContainText('own-2bit.onnx is ready')
  await expect(found.locator('.facts')).toContainText('3, 2 bits')
})

test('a run is cancelled while it waits for a plan', async ({ page }) => {
  await slowDown(page, 'plan', SLOW)
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [model])
  await chooseFiles(page, 'Choose calibration data', [data(16, 64)])
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
  await page.getByRole('radio', { name: '2', exact: true }).check()
  await page.getByRole('button', { name: 'Quantize' }).click()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeVisible()
  await expect(page.getByRole('table').getByRole('row', { name: /layer0/ })).toContainText('471 B')
  await expect(page.getByRole('progressbar')).toBeHidden()
  const found = await quantize(page)
  await expect(found).toContainText('own-2bit.onnx is ready')
})

test('test data is chosen while a run is going on', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [wide])
  await chooseFiles(page, 'Choose calibration data', [data(768, 768)])
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByRole('progressbar')).toBeVisible()
  await chooseFiles(page, 'Choose labelled test data', [data(768, 32), labels(32)])
  await expect(page.getByText('32 samples')).toBeVisible()
  await expect(page.getByRole('progressbar')).toBeHidden()
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
})
