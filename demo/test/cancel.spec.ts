/** A cancelled run ends at once, and another starts from the beginning. */
import { bytesOf, denseModel, noise, npy } from './files.ts'
import { chooseFiles, expect, quantize, results, test, upload } from './person.ts'

test.beforeEach(async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('wide.onnx', bytesOf(denseModel(768, 5)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([768, 768], noise(768 * 768)))])
})

test('cancelled while layers are quantized, and started again', async ({ page }) => {
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByText(/choosing values for layer/)).toBeVisible()
  const before = Date.now()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeVisible()
  expect(Date.now() - before).toBeLessThan(1000)
  await expect(results(page)).toBeHidden()
  await quantize(page)
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeHidden()
})

test('cancelled at once, again and again, and the last run is the one that counts', async ({ page }) => {
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
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByRole('progressbar')).toBeVisible()
  await chooseFiles(page, 'Another model', [upload('small.onnx', bytesOf(denseModel(16, 2)))])
  await expect(page.getByText('small.onnx', { exact: true })).toBeVisible()
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
  const found = await quantize(page)
  await expect(found).toContainText('small-4bit.onnx is ready')
})
