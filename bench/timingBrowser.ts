/** Times a float model and its written one in a page of Chromium, cross-origin isolated, so that ONNX Runtime has threads. */
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname } from 'node:path'
import { chromium } from '@playwright/test'
import { build } from 'esbuild'
import type { Speed } from '#src/calibration/speed.js'
import type { TimingTask } from './timing.js'
import type { PageTask, TimingWindow } from './timingPage.js'

/** The system's Chromium where there is one, else Playwright's own. */
const system = process.env.GPFQ_CHROMIUM ?? '/usr/bin/chromium'
const executable = existsSync(system) ? system : chromium.executablePath()

export interface TimingBrowser {
  readonly name: string
  /** A page of its own for each call. @returns for each batch */
  time(task: TimingTask): Promise<readonly Speed[]>
  close(): Promise<void>
}

/** Starts Chromium. Null, with the reason on the console, where there is none. */
export async function openTimingBrowser(): Promise<TimingBrowser | null> {
  if (!existsSync(executable)) {
    console.error(
      `skipped: the table of Chromium; expected it at ${executable}; name another by GPFQ_CHROMIUM`,
    )
    return null
  }
  const { origin, addressOf, close } = await serve()
  const browser = await chromium.launch({
    executablePath: executable,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-gpu'], // no sandbox as root
  })
  return {
    name: `Chromium ${browser.version()}`,
    async time({ floatPath, writtenPath, ...rest }) {
      const page = await browser.newPage()
      try {
        await page.goto(origin)
        const task: PageTask = { ...rest, float: addressOf(floatPath), written: addressOf(writtenPath) }
        return await page.evaluate((given) => (globalThis as unknown as TimingWindow).timeModels(given), task)
      } finally {
        await page.close()
      }
    },
    async close() {
      await browser.close()
      close()
    },
  }
}

const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.wasm': 'application/wasm' }
const RUNTIME = 'ort-wasm-simd-threaded.wasm'

/** Serves the page, ONNX Runtime and models. */
async function serve(): Promise<{ origin: string; addressOf(path: string): string; close(): void }> {
  const { outputFiles } = await build({
    entryPoints: ['bench/timingPage.ts'],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    conditions: ['browser'],
    logLevel: 'warning',
  })
  const texts = new Map([
    ['/', '<!doctype html><script type="module" src="page.js"></script>'],
    ['/page.js', outputFiles[0]!.text],
  ])
  const files = new Map([[`/${RUNTIME}`, `node_modules/onnxruntime-web/dist/${RUNTIME}`]])
  const server = createServer(({ url = '/' }, response) => {
    const [text, file] = [texts.get(url), files.get(url)]
    response.writeHead(text === undefined && file === undefined ? 404 : 200, {
      'Content-Type': TYPES[extname(url)] ?? (url === '/' ? 'text/html' : 'application/octet-stream'),
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    })
    if (file === undefined) response.end(text)
    else createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}/`,
    addressOf(path) {
      const address = `/models/${encodeURIComponent(path)}`
      files.set(address, path)
      return address
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
