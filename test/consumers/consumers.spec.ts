/** Every app gives Node's answer, from its dev server and from its build. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type Page, test } from '@playwright/test'
import { type Server, serveByCommand, serveFolder } from './servers.js'

interface Answer {
  readonly mode: string
  readonly codes: string
  readonly model?: string
}

const root = process.env.CONSUMERS_ROOT ?? ''
const expected = JSON.parse(process.env.CONSUMERS_EXPECTED ?? '{}') as Answer
const layer = { mode: expected.mode, codes: expected.codes }

async function answer(page: Page, url: string): Promise<Answer> {
  await page.goto(url)
  await expect(page.locator('body')).toHaveText(/^\{/, { timeout: 60_000 })
  return JSON.parse((await page.locator('body').textContent()) ?? '') as Answer
}

const apps: Readonly<Record<string, () => Promise<Server>>> = {
  'Vite, dev': () => serveByCommand(join(root, 'vite'), ['npx', 'vite', '--strictPort', '--port']),
  'Vite, build': () =>
    serveByCommand(join(root, 'vite'), ['npx', 'vite', 'preview', '--strictPort', '--port']),
  'webpack, dev': () =>
    serveByCommand(join(root, 'webpack'), ['npx', 'webpack', 'serve', '--mode', 'development', '--port']),
  'webpack, build': () => serveFolder(join(root, 'webpack/dist')),
}

for (const [name, serve] of Object.entries(apps)) {
  test(name, async ({ page }) => {
    const server = await serve()
    try {
      expect(await answer(page, `${server.origin}/`)).toEqual(expected)
    } finally {
      server.close()
    }
  })
}

test('examples/02-vite-page: two files in, a model to download', async ({ page }) => {
  const server = await serveByCommand(join(root, 'example'), ['npx', 'vite', '--strictPort', '--port'])
  const demo = join(root, 'node_modules/gpfq/demo-data')
  try {
    await page.goto(server.origin)
    await page.getByLabel('Model').setInputFiles(join(demo, 'digits.onnx'))
    await page.getByLabel('Calibration data').setInputFiles(join(demo, 'calibration.npz'))
    await page.getByRole('button', { name: 'Quantize' }).click()
    const link = page.getByRole('link', { name: 'digits-4bit.onnx' })
    await expect(link).toBeVisible({ timeout: 60_000 })
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()])
    const { size } = statSync(await download.path())
    expect(size).toBeLessThan(statSync(join(demo, 'digits.onnx')).size / 5)
  } finally {
    server.close()
  }
})

test('a plain page with an import map', async ({ page }) => {
  const server = await serveFolder(root)
  try {
    expect(await answer(page, `${server.origin}/plain/`)).toEqual(layer)
  } finally {
    server.close()
  }
})

test('a plain page that is not isolated: one worker, one warning', async ({ page }) => {
  const server = await serveFolder(root, false)
  const warnings: string[] = []
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()))
  try {
    expect(await answer(page, `${server.origin}/plain/`)).toEqual({ ...layer, mode: 'worker' })
    expect(warnings).toEqual([expect.stringContaining('Cross-Origin-Opener-Policy')])
  } finally {
    server.close()
  }
})

test('a worker from another origin', async ({ page }) => {
  const server = await serveFolder(root)
  const other = await serveFolder(root)
  try {
    const workerUrl = `${other.origin}/node_modules/gpfq/dist/worker.js`
    expect(await answer(page, `${server.origin}/plain/?workerUrl=${workerUrl}`)).toEqual(layer)
  } finally {
    server.close()
    other.close()
  }
})
