/** createRunner({ device }) in a page: the GPU against wasm, what stays there, and what takes over when it fails. */
import { readFile } from 'node:fs/promises'
import { expect, type Page, test } from '@playwright/test'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import { encodeModel } from '#src/onnx/model.js'
import { denseChain } from '../../bench/model.js'
import { halved } from './forms.js'
import { openPages, type Pages } from './pages.js'
import type { RunnerWindow } from './runnerPage.js'

const DIGITS = new URL('../../demo-data/digits.onnx', import.meta.url)
const dense = (): Uint8Array => encodeModel(denseChain(2, 64))

let pages: Pages | null
let page: Page

/** Calls the page. */
const call = <K extends keyof RunnerWindow>(
  name: K,
  ...args: Parameters<RunnerWindow[K]>
): Promise<Awaited<ReturnType<RunnerWindow[K]>>> =>
  page.evaluate(
    ([key, given]) => (globalThis as unknown as Record<string, (...all: unknown[]) => never>)[key]!(...given),
    [name, args] as const,
  )

test.beforeAll(async () => {
  pages = await openPages('test/webgpu/runnerPage.ts')
})
test.beforeEach(async () => {
  test.skip(pages === null, 'there is no Chromium')
  page = await pages!.open()
  test.skip(!(await call('hasAdapter')), 'there is no WebGPU adapter')
})
test.afterEach(() => page?.close())
test.afterAll(() => pages?.close())

test('runs a model as wasm does', async () => {
  const model = await pages!.add('digits', await readFile(DIGITS))
  const ran = await call('run', model, [4, 1, 28, 28], 'float32', false)
  expect(ran.name).toMatch(/^onnxruntime-web [\d.]+ \(webgpu, \w/)
  expect(ran.fellBack).toBeNull()
  expect(ran.difference).toBeLessThan(1e-5)
  expect(ran.equal).toBe(false) // it is not wasm that ran
})

test('reads tensors of an earlier model where they are, within a budget', async () => {
  const model = await pages!.add('dense', dense())
  const kept = await call('chain', model, [4, 64], 2 ** 20)
  expect(kept.reused).toBe(1)
  expect(kept.difference).toBeLessThan(1e-5)
  const freed = await call('chain', model, [4, 64], 0)
  expect(freed.reused).toBe(0)
  expect(freed.difference).toBeLessThan(1e-5)
})

test('quantizes with sums of the GPU, and the report says which device ran', async () => {
  const model = await pages!.add('digits', await readFile(DIGITS))
  const [wasm, gpu] = await call('quantize', model, 'image', [32, 1, 28, 28])
  expect(wasm!.runner).toContain('(wasm, 1 thread)')
  expect(gpu!.runner).toContain('(webgpu, ')
  expect(gpu!.notes.filter((note) => note.startsWith('RUNNER_FELL_BACK'))).toEqual([])
  expect([wasm!.observed, gpu!.observed]).toEqual([0, 4])
  expect(gpu!.errors.length).toBe(4)
  for (const [i, error] of gpu!.errors.entries())
    expect(Math.abs(error - wasm!.errors[i]!)).toBeLessThan(0.05 * wasm!.errors[i]!)
})

test('goes on in wasm when the device is lost, with one note', async () => {
  const model = await pages!.add('dense', dense())
  const ran = await call('run', model, [4, 64], 'float32', true)
  expect(ran.fellBack).toMatch(/^wasm took over once, first because: the device was lost/)
  expect(ran.equal).toBe(true)
})

test('runs float16 in wasm where shaders have none', async () => {
  const hasFloat16 = await page.evaluate(
    async () => (await navigator.gpu.requestAdapter())?.features.has('shader-f16') === true,
  )
  test.skip(hasFloat16, 'this adapter has float16')
  const bytes = halved(denseChain(2, 64), { type: 'float32', dims: [0], data: new Float32Array(0) }).model
  const ran = await call('run', await pages!.add('half', bytes), [4, 64], 'float16', false)
  expect(ran.fellBack).toMatch(/f16/)
  expect(ran.equal).toBe(true)
})

test('without an adapter auto is wasm, and webgpu is refused in a sentence', async () => {
  await page.close()
  const bare = (await openPages('test/webgpu/runnerPage.ts', ['--disable-gpu']))!
  try {
    page = await bare.open()
    test.skip(await call('hasAdapter'), 'this browser always has an adapter')
    expect(await call('create', 'auto')).toContain('(wasm, 1 thread)')
    expect(await call('create', 'webgpu')).toBe(
      "RUNTIME_MISSING WebGPU: this browser has no adapter for it; use device 'wasm' or 'auto'",
    )
  } finally {
    await bare.close()
  }
})

test('outside of pages webgpu is refused in a sentence', async () => {
  await expect(createRunner({ device: 'webgpu' })).rejects.toThrow(
    "WebGPU: it runs in pages alone; use device 'wasm' or 'auto'",
  )
})
