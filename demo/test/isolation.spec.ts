/** A host that sets no headers: the service worker isolates the page, or it runs on one thread. */
import { BARE_PORT } from '../playwright.config.ts'
import { expect, openExample, quantize, test } from './person.ts'

test.use({ baseURL: `http://localhost:${BARE_PORT}/` })

test.describe('with a service worker', () => {
  test('the page isolates itself, has threads, and its workers obey the policy', async ({
    page,
    context,
  }) => {
    await page.goto('./')
    await expect(page.getByRole('button', { name: 'Try the built-in example' })).toBeVisible()
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
    await expect(page.getByText('runs on one thread here')).toBeHidden()
    const script = await context.request.get('isolate.js')
    expect(await script.text()).toContain("default-src 'none'")
    const policy = await page.evaluate(async () =>
      (await fetch('./isolate.js')).headers.get('content-security-policy'),
    )
    expect(policy).toContain("connect-src 'self'")
    await openExample(page)
    const found = await quantize(page)
    await expect(found).toContainText(/\d threads/)
  })
})

test.describe('without one', () => {
  test.use({ serviceWorkers: 'block' })

  test('the page says why it is slower, and does everything all the same', async ({ page }) => {
    await openExample(page)
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false)
    await expect(page.getByText('runs on one thread here')).toBeVisible()
    await page.getByText('More settings').click()
    await expect(page.getByLabel('Threads')).toBeHidden()
    const found = await quantize(page)
    await expect(found).toContainText('one thread')
    await expect(found.getByRole('row', { name: /^GPFQ/ })).toContainText('98.')
  })
})
