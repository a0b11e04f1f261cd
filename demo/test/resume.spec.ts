/** A tab that was closed in the middle of a run goes on when it is opened again and gets the same files. */
import type { Page } from '@playwright/test'
import { bytesOf, denseModel, noise, npy } from './files.ts'
import { chooseFiles, download, expect, quantize, test, upload } from './person.ts'

const RESUMED = 'Goes on behind the layers of a run that was not finished.'
const model = upload('wide.onnx', bytesOf(denseModel(512, 6)))
const data = upload('x.npy', npy([512, 512], noise(512 * 512)))

async function openWide(page: Page): Promise<void> {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [model])
  await chooseFiles(page, 'Choose calibration data', [data])
}

/** Names of what the browser keeps for the page. */
const keptIn = (page: Page): Promise<readonly string[]> =>
  page.evaluate(
    () =>
      new Promise<string[]>((resolve, reject) => {
        const opening = indexedDB.open('gpfq-run', 1)
        opening.onupgradeneeded = () => opening.result.createObjectStore('files')
        opening.onerror = () => reject(opening.error)
        opening.onsuccess = () => {
          const asked = opening.result.transaction('files').objectStore('files').getAllKeys()
          asked.onsuccess = () => {
            opening.result.close()
            resolve(asked.result.map(String))
          }
        }
      }),
  )

async function interrupt(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(async () => {
    expect((await keptIn(page)).filter((name) => name.endsWith('.gpfq')).length).toBeGreaterThan(1)
  }).toPass({ intervals: [20], timeout: 60_000 })
  await page.reload()
}

test('goes on, to the same bytes, and keeps nothing when it is done', async ({ page }) => {
  await openWide(page)
  await quantize(page)
  const { bytes: expected } = await download(page, 'Download the model')
  expect(await keptIn(page)).toEqual([])
  await page.reload()

  await openWide(page)
  await interrupt(page)
  expect((await keptIn(page)).length).toBeGreaterThan(1)

  await openWide(page)
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByText(RESUMED)).toBeVisible()
  await expect(page.getByText('wide-4bit.onnx is ready')).toBeVisible({ timeout: 60_000 })
  const { bytes } = await download(page, 'Download the model')
  expect(Buffer.compare(bytes, expected)).toBe(0)
  expect(await keptIn(page)).toEqual([])
})

test('begins anew with other settings, and keeps nothing of a run that is cancelled', async ({ page }) => {
  await openWide(page)
  await interrupt(page)
  await openWide(page)
  await page.getByRole('radio', { name: '8', exact: true }).check()
  await page.getByRole('button', { name: 'Quantize' }).click()
  await expect(page.getByText(/choosing values for layer/)).toBeVisible()
  await expect(page.getByText(RESUMED)).toBeHidden()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByText('Cancelled. Nothing was kept.')).toBeVisible()
  await expect(async () => expect(await keptIn(page)).toEqual([])).toPass({ timeout: 5000 })
})
