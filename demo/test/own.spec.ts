/** Models and data of a visitor: external weights, NumPy files, images, preprocessing, a target size. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bytesOf, denseModel, halfModel, noise, npy, twoInputModel, withExternalData } from './files.ts'
import { chooseFiles, download, expect, quantize, test, upload } from './person.ts'

const WIDTH = 24
const samples = npy([64, WIDTH], noise(64 * WIDTH, 9))

test('a model with external data, an .npy to calibrate and another with labels to test', async ({ page }) => {
  const { model, data } = withExternalData(denseModel(WIDTH, 3), 'weights.bin')
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', model), upload('weights.bin', data)])
  await expect(page.getByText('weights in weights.bin')).toBeVisible()
  const note = 'external data (weights.bin) is written into the model file'
  await page.getByText('Why stored like this?').click()
  await expect(page.getByRole('region', { name: 'Layers' }).getByRole('listitem')).toContainText([
    'packed:',
    note,
  ])
  await expect(page.getByText('Choose calibration data first.')).toBeVisible()
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', samples)])
  await expect(page.getByText('64 samples')).toBeVisible()
  const labels = Uint8Array.from({ length: 64 }, (_, i) => i % 10)
  await chooseFiles(page, 'Choose labelled test data', [
    upload('x.npy', samples),
    upload('labels.npy', npy([64], labels)),
  ])
  await expect(page.getByText('labels: labels.npy')).toBeVisible()
  const found = await quantize(page)
  await expect(found.getByRole('heading', { name: 'Accuracy' })).toBeVisible()
  await expect(found.getByRole('heading', { name: 'Notes' })).toBeVisible()
  await expect(found.getByRole('listitem').filter({ hasText: note })).toHaveText(note)
  const { name, bytes } = await download(page, 'Download the model')
  expect(name).toBe('own-4bit.onnx')
  expect(bytes.includes('weights.bin')).toBe(false)
})

test('a model that keeps its weights elsewhere says which file is missing', async ({ page }) => {
  const { model } = withExternalData(denseModel(WIDTH, 2), 'weights.bin')
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', model)])
  await expect(page.getByRole('alert')).toContainText('choose them together with it: weights.bin')
})

test('images, JPEG and PNG, with a hint that bytes are probably to be divided', async ({ page }) => {
  await page.goto('./')
  const images = await page.evaluate(async () => {
    const made: { name: string; bytes: number[] }[] = []
    for (let i = 0; i < 12; i++) {
      const canvas = new OffscreenCanvas(40, 40)
      const draw = canvas.getContext('2d')
      if (draw === null) throw new Error('no canvas')
      draw.fillRect(0, 0, 40, 40)
      draw.fillStyle = '#fff'
      draw.font = '32px sans-serif'
      draw.fillText(String(i % 10), 10, 32)
      const type = i % 2 === 0 ? 'image/jpeg' : 'image/png'
      const blob = await canvas.convertToBlob({ type })
      const name = `digit${i}.${i % 2 === 0 ? 'jpg' : 'png'}`
      made.push({ name, bytes: [...new Uint8Array(await blob.arrayBuffer())] })
    }
    return made
  })
  const digits = await readFile(new URL('../../demo-data/digits.onnx', import.meta.url))
  await chooseFiles(page, 'Choose an ONNX model', [upload('digits.onnx', digits)])
  await chooseFiles(
    page,
    'Choose calibration data',
    images.map(({ name, bytes }) => upload(name, Uint8Array.from(bytes))),
  )
  await expect(page.getByText('12 images')).toBeVisible()
  await page.getByRole('button', { name: 'Divide by 255' }).click()
  await expect(page.getByRole('button', { name: 'Divide by 255' })).toBeHidden()
  await expect(page.getByText('12 images')).toBeVisible()
  const found = await quantize(page)
  await expect(found.locator('.answers img').first()).toBeVisible()
})

test('leaves a field alone that makes no sense, and says so', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', bytesOf(denseModel(WIDTH, 2)))])
  await page.getByText('More settings').click()
  const field = page.getByLabel('Exact number of values')
  await field.fill('1000')
  await expect(page.getByText('A whole number from 2 to 256, please.')).toBeVisible()
  await field.fill('7')
  await field.blur()
  await expect(page.getByText('7 values per weight.')).toBeVisible()
  await page.getByLabel('Only layers named').fill('nothing*')
  await page.getByLabel('Only layers named').blur()
  await expect(page.getByRole('alert')).toContainText('No layer has a name like that')
})

test('labels that are no classes of the model: it is written all the same, and the page says why', async ({
  page,
}) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', bytesOf(denseModel(WIDTH, 2)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', samples)])
  const labels = Uint8Array.from({ length: 64 }, (_, i) => (i % 10) + 1)
  await chooseFiles(page, 'Choose labelled test data', [
    upload('x.npy', samples),
    upload('labels.npy', npy([64], labels)),
  ])
  await expect(page.getByText('labels: labels.npy')).toBeVisible()
  const found = await quantize(page)
  await expect(found.getByRole('alert')).toContainText('labels: expected classes 0 to 9, got 10 for sample 9')
  const { name } = await download(page, 'Download the model')
  expect(name).toBe('own-4bit.onnx')
})

test('a size as the target: the bits of each layer are chosen in the run', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', bytesOf(denseModel(64, 3)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([64, 64], noise(64 * 64)))])
  const field = page.getByLabel('Or a size')
  await field.fill('20')
  await field.blur()
  await expect(page.getByText('2 to 8 bits for each layer')).toBeVisible()
  await expect(page.getByText('at most about')).toBeVisible()
  await expect(page.getByRole('row', { name: /^layer0/ })).toContainText('chosen in the run')
  await page.getByText('Copy as a command').click()
  await expect(page.getByText('--target-size 0.2 -o own-20percent.onnx')).toBeVisible()
  await quantize(page)
  const { name } = await download(page, 'Download the model')
  expect(name).toBe('own-20percent.onnx')
  await page.getByRole('radio', { name: '4', exact: true }).check()
  await expect(field).toHaveValue('')
  await expect(page.getByText('15 values per weight.')).toBeVisible()
})

test('files for several inputs are named in the command as they are on the page', async ({ page }) => {
  const model = bytesOf(twoInputModel())
  const files = {
    'a.npy': npy([16, 8], noise(16 * 8, 3)),
    'b.npy': npy([16, 8], noise(16 * 8, 4)),
  }
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('two.onnx', model)])
  await chooseFiles(
    page,
    'Choose calibration data',
    Object.entries(files).map(([name, bytes]) => upload(name, bytes)),
  )
  await expect(page.getByText('16 samples')).toBeVisible()
  await page.getByText('Copy as a command').click()
  const command = 'gpfq quantize two.onnx --calib a=a.npy b=b.npy --bits 4 -o two-4bit.onnx'
  await expect(page.getByText(command)).toBeVisible()

  const folder = await mkdtemp(join(tmpdir(), 'gpfq-'))
  for (const [name, bytes] of Object.entries({ 'two.onnx': model, ...files }))
    await writeFile(join(folder, name), bytes)
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
  execFileSync('node', [main, ...command.split(' ').slice(1), '--quiet'], { cwd: folder })
  expect((await readFile(join(folder, 'two-4bit.onnx'))).length).toBeGreaterThan(0)
})

test('what is said of speed and size is true of the form', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('own.onnx', bytesOf(denseModel(64, 2)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([64, 64], noise(64 * 64)))])
  await page.getByText('More settings').click()
  for (const [format, words] of [
    ['packed', 'It is smaller to download; in a browser it runs as fast as before'],
    ['float', 'It is not smaller, and in a browser it runs as fast as before'],
    ['qdq', 'In a browser this form is computed at every run: dense layers get slower.'],
    ['nbits', 'In a browser this form is computed at every run: dense layers get slower.'],
  ] as const) {
    await page.getByLabel('Stored as').selectOption(format)
    const found = await quantize(page)
    await expect(found).toContainText(`Stored as${format}`)
    await expect(found).toContainText(words)
    if (format === 'float') await expect(page.getByText('no smaller than before')).toBeVisible()
  }
})

test('the size of a model in float16 counts the weights as the file holds them', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('half.onnx', bytesOf(halfModel(256)))])
  await expect(page.getByText(/^131 kB → about 3\d\.\d kB, 3\.\d times smaller$/)).toBeVisible()
})
