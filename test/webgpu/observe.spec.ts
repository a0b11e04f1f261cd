/** H and G on the GPU against those of wasm: the same bits, where the compiler does not contract a·b + c. */
import { expect, type Page, test } from '@playwright/test'
import type { ObserveWindow, Samples } from './observePage.js'
import { openPages, type Pages } from './pages.js'

let pages: Pages | null
let page: Page
let adapter: string | null

test.beforeAll(async () => {
  pages = await openPages('test/webgpu/observePage.ts')
})
test.beforeEach(async () => {
  test.skip(pages === null, 'there is no Chromium')
  page = await pages!.open()
  adapter = await page.evaluate(() => (globalThis as unknown as ObserveWindow).adapter())
  test.skip(adapter === null, 'there is no WebGPU adapter')
})
test.afterEach(() => page?.close())
test.afterAll(() => pages?.close())

const BASE = { groups: 1, streamsEqual: false, wholeG: true, segmentRows: 4096, later: false } as const
const CASES: Readonly<Record<string, Samples>> = {
  'one block': { ...BASE, kind: 'dense', batches: [100], inputs: 40 },
  'blocks over the borders of batches': { ...BASE, kind: 'dense', batches: [300, 77, 500], inputs: 33 },
  'segments over the borders of batches': {
    ...{ ...BASE, kind: 'dense', segmentRows: 512 },
    ...{ batches: [300, 700, 300], inputs: 24 },
  },
  'segments that are not whole blocks': {
    ...{ ...BASE, kind: 'dense', segmentRows: 300 },
    ...{ batches: [900, 150], inputs: 17 },
  },
  'equal streams': { ...BASE, kind: 'dense', batches: [600], inputs: 50, streamsEqual: true },
  'the lower triangle of G': { ...BASE, kind: 'dense', batches: [600], inputs: 50, wholeG: false },
  'a later part': {
    ...{ ...BASE, kind: 'dense', segmentRows: 256, later: true },
    ...{ batches: [600], inputs: 20 },
  },
  groups: { ...BASE, kind: 'dense', batches: [400], inputs: 10, groups: 3 },
  'patches of a convolution': { ...BASE, kind: 'convolution', batches: [9, 20], inputs: 3 },
  'patches in groups': {
    ...{ ...BASE, kind: 'convolution', segmentRows: 120 },
    ...{ batches: [9, 8], inputs: 2, groups: 2 },
  },
}

/** Of the largest value: a sum of 256 products by 2⁻²⁴ each is off by 1.5e-5 at worst. */
const BOUND = 1.6e-5

for (const [name, samples] of Object.entries(CASES))
  test(`H and G: ${name}`, async () => {
    const found = await page.evaluate(
      (given) => (globalThis as unknown as ObserveWindow).compare(given),
      samples,
    )
    const { floats, different, largest, sums, finite } = found
    console.log(`${different} of ${floats} floats differ, by at most ${largest.toExponential(1)}`)
    expect(finite).toBe(true)
    expect(sums[1]).toBe(sums[0])
    expect(largest).toBeLessThan(BOUND)
    if (adapter === 'swiftshader') expect(different).toBe(0) // it contracts nothing
  })

test('samples that are not finite are refused', async () => {
  const text = await page.evaluate(() => (globalThis as unknown as ObserveWindow).refuse())
  expect(text).toMatch(/^layer: expected finite inputs/)
})
