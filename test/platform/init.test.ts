/** init(): every source of the module, workers that the caller creates, and the errors where either fails. */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeEach, describe, expect, it, vi } from 'vitest'

const bytes = new Uint8Array(readFileSync('dist/gpfq.wasm'))

/** A fresh copy of the package, since options of init() are kept in a module. */
async function load() {
  vi.resetModules()
  const { init, loadModule, threadsOr } = await import('#src/platform/init.js')
  const { createQuantizer } = await import('#src/quantizer.js')
  return { init, loadModule, threadsOr, createQuantizer }
}

let gpfq: Awaited<ReturnType<typeof load>>
beforeEach(async () => {
  gpfq = await load()
})

const module = new WebAssembly.Module(bytes)

describe('wasm', () => {
  it.each([
    ['a module', () => module],
    ['bytes', () => bytes],
    ['a buffer', () => bytes.slice().buffer],
    ['a response', () => new Response(bytes, { headers: { 'content-type': 'application/wasm' } })],
    [
      'a response of the wrong type',
      () => new Response(bytes, { headers: { 'content-type': 'text/plain' } }),
    ],
    ['a URL', () => pathToFileURL('dist/gpfq.wasm')],
    ['a path', () => 'dist/gpfq.wasm'],
    ['a promise', () => Promise.resolve(bytes)],
  ])('may be %s', async (_, source) => {
    await gpfq.init({ wasm: source() })
    expect(WebAssembly.Module.imports(await gpfq.loadModule())).toEqual(WebAssembly.Module.imports(module))
  })

  it('is compiled once', async () => {
    await gpfq.init({ wasm: bytes })
    const first = await gpfq.loadModule()
    await gpfq.init()
    await gpfq.init({ wasm: bytes })
    expect(await gpfq.loadModule()).toBe(first)
    await gpfq.init({ wasm: module })
    expect(await gpfq.loadModule()).toBe(module)
  })

  it.each([
    ['an HTTP error', () => new Response('not here', { status: 404 }), 'HTTP 404'],
    ['a page in its place', () => new Response('<!doctype html>'), '3c 21 64 6f'],
    ['a file that is not there', () => 'dist/nothing.wasm', 'dist/nothing.wasm'],
  ])('is RUNTIME_MISSING when it is %s', async (_, source, words) => {
    const error = await gpfq.init({ wasm: source() }).catch((cause: unknown) => cause)
    expect(error).toMatchObject({
      code: 'RUNTIME_MISSING',
      place: 'kernels',
      problem: expect.stringContaining(words),
      hint: expect.stringContaining('init({ wasm })'),
    })
    await gpfq.init({ wasm: bytes }) // a later call succeeds
  })

  it('refuses other kinds', async () => {
    const wrong = { wasm: 7 } as unknown as Parameters<typeof gpfq.init>[0]
    await expect(gpfq.init(wrong)).rejects.toMatchObject({
      name: 'TypeError',
      code: 'INVALID_ARGUMENT',
      place: 'init: wasm',
      got: 'number',
    })
  })
})

describe('threads', () => {
  it('are the default of quantizers without a threads option', async () => {
    await gpfq.init({ threads: 3 })
    expect([gpfq.threadsOr(undefined), gpfq.threadsOr(1)]).toEqual([3, 1])
  })

  it.each([0, 1.5, 257, Number.NaN])('cannot be %d', async (threads) => {
    await expect(gpfq.init({ threads })).rejects.toThrow(RangeError)
  })
})

describe('workers', () => {
  const entry = pathToFileURL('dist/worker.cjs')

  it('are started by createWorker, which may take its time', async () => {
    let started = 0
    await gpfq.init({
      async createWorker() {
        started++
        return new Worker(entry)
      },
    })
    const quantizer = await gpfq.createQuantizer({ threads: 2 })
    await quantizer.close()
    expect([started, quantizer.mode]).toEqual([2, 'pool'])
  })

  it('come from workerUrl', async () => {
    await gpfq.init({ workerUrl: entry })
    const quantizer = await gpfq.createQuantizer({ threads: 1 })
    await quantizer.close()
    await gpfq.init({ workerUrl: pathToFileURL('dist/nothing.cjs') })
    await expect(gpfq.createQuantizer({ threads: 1 })).rejects.toMatchObject({ code: 'WORKER_FAILED' })
  })
})
