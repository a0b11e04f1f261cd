/**
 * A real network on the page against the same run in Node: the same bytes, with a responsive page. `npm run bench -- web`
 * has the times.
 * Needs the models and images of the accuracy tables (in GPFQ_ASSETS, or beside the repository).
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { loadFeeds } from 'gpfq/data'
import { createOrtWebRunner, openModel, quantizeModel } from 'gpfq/onnx'
import { download, expect, expectSmooth, quantize, test, watchMainThread } from './person.ts'

const assets = process.env.GPFQ_ASSETS ?? fileURLToPath(new URL('../../../shared/assets', import.meta.url))
const MODEL = `${assets}/models/cifar10-resnet20.onnx`
const IMAGES = `${assets}/cifar10/train5k-images.npy.gz`
const PREPROCESSING = { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const SAMPLES = 512
const THREADS = 2

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function hashInNode(): Promise<string> {
  const opened = await openModel(new Uint8Array(await readFile(MODEL)))
  const source = {
    name: IMAGES,
    files: [{ name: IMAGES, bytes: async () => new Uint8Array(await readFile(IMAGES)) }],
  }
  const calibration = await loadFeeds([source], opened.inputs, {
    ...PREPROCESSING,
    samples: SAMPLES,
  })
  const runner = await createOrtWebRunner({ threads: THREADS })
  const { model } = await quantizeModel(opened, { calibration, runner, threads: THREADS })
  return sha256(model)
}

test.describe('resnet20', () => {
  test.skip(!existsSync(MODEL), `needs ${MODEL}`)
  test.describe.configure({ timeout: 300_000 })

  test('4 bits from 512 images: bytes as in Node, no long task', async ({ page }) => {
    await page.goto('./')
    await page.getByLabel('Choose an ONNX model').setInputFiles(MODEL)
    await page.getByLabel('Choose calibration data').setInputFiles(IMAGES)
    await page.getByText('How the data is prepared').click()
    const fill = async (label: string, text: string) => {
      await page.getByLabel(label, { exact: true }).fill(text)
      await page.getByLabel(label, { exact: true }).blur()
    }
    await fill('Divide by', String(PREPROCESSING.scale))
    await fill('Mean', PREPROCESSING.mean.join(', '))
    await fill('Standard deviation', PREPROCESSING.std.join(', '))
    await fill('Samples to use, at most', String(SAMPLES))
    await expect(page.getByText('512 of 5,000 samples')).toBeVisible()
    await page.getByText('More settings').click()
    await fill('Threads', String(THREADS))
    await page.getByLabel('Round as well').uncheck()
    expectSmooth(await watchMainThread(page, () => quantize(page)))
    const { bytes } = await download(page, 'Download the model')
    const report = JSON.parse((await download(page, 'Report as JSON')).bytes.toString()) as {
      threads: number
    }
    expect(report.threads).toBe(THREADS)
    expect(sha256(bytes)).toBe(await hashInNode())
  })
})
