/** Promises of the page: no requests elsewhere, a small first load, and a responsive main thread during a run. */
import { gzipSync } from 'node:zlib'
import { bytesOf, denseModel, noise, npy } from './files.ts'
import {
  chooseFiles,
  expect,
  expectSmooth,
  openExample,
  quantize,
  test,
  upload,
  watchMainThread,
} from './person.ts'

test('cannot reach another origin, even if it wanted to', async ({ page, watched }) => {
  await openExample(page)
  const refused = await page.evaluate(async () => {
    const reach = async () => {
      try {
        await fetch('http://127.0.0.1:9/', { mode: 'no-cors' })
        return 'reached'
      } catch (error) {
        return String(error)
      }
    }
    const blocked: string[] = []
    addEventListener('securitypolicyviolation', (event) => blocked.push(event.effectiveDirective))
    await reach()
    navigator.sendBeacon('http://127.0.0.1:9/')
    new Image().src = 'http://127.0.0.1:9/x.png'
    await new Promise((resolve) => setTimeout(resolve, 300))
    return [...new Set(blocked)].sort()
  })
  expect(refused).toEqual(['connect-src', 'img-src'])
  // The requests of this test: the browser lists blocked requests too, and reports every violation.
  expect(new Set(watched.strangers)).toEqual(new Set(['http://127.0.0.1:9/x.png']))
  watched.strangers.length = watched.complaints.length = 0
})

test('serves its policy with every file, so that workers have it as well', async ({ request }) => {
  const page = await request.get('./')
  const policy = page.headers()['content-security-policy'] ?? ''
  for (const rule of ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"])
    expect(policy).toContain(rule)
  expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|https?:|\*/)
  const html = await page.text()
  expect(html).toContain('http-equiv="Content-Security-Policy"')
  const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(html)?.[1] ?? ''
  expect((await request.get(script)).headers()['content-security-policy']).toBe(policy)
})

test('weighs at most 300 KB gzipped before a model is chosen, and ONNX Runtime is not among it', async ({
  page,
}) => {
  const loaded = new Map<string, number>()
  const sizes: Promise<void>[] = []
  page.context().on('response', (response) => {
    const measure = async () => {
      loaded.set(response.url(), gzipSync(await response.body(), { level: 9 }).length)
    }
    sizes.push(measure())
  })
  await page.goto('./')
  await expect(page.getByRole('button', { name: 'Try the built-in example' })).toBeVisible()
  await page.waitForLoadState('networkidle')
  await Promise.all(sizes)
  const total = [...loaded.values()].reduce((sum, size) => sum + size, 0)
  console.log(`first interaction: ${(total / 1000).toFixed(1)} kB gzipped in ${loaded.size} files`)
  expect(total).toBeLessThanOrEqual(300_000)
  expect([...loaded.keys()].filter((url) => /ort-|onnxruntime|\.onnx|\.npz|uPlot/i.test(url))).toEqual([])
})

test('the main thread is never kept for more than 50 ms while it runs', async ({ page }) => {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('wide.onnx', bytesOf(denseModel(512, 12)))])
  await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([512, 512], noise(512 * 512)))])
  await expect(page.getByRole('button', { name: 'Quantize' })).toBeEnabled()
  expectSmooth(await watchMainThread(page, () => quantize(page)))
})

test('the plan of a model of 3,000 layers does not keep the main thread', async ({ page }) => {
  await page.goto('./')
  const long = await watchMainThread(page, async () => {
    await chooseFiles(page, 'Choose an ONNX model', [upload('long.onnx', bytesOf(denseModel(2, 3000)))])
    await expect(page.getByText('3000 layers will be quantized')).toBeVisible()
    await expect(page.getByText('and 2,500 more', { exact: true })).toBeVisible()
  })
  expectSmooth(long)
})
