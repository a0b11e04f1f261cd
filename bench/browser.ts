/** Chromium for benches, and a server for their pages: cross-origin isolated, so that a page has threads. */
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, extname } from 'node:path'
import { type Browser, chromium } from '@playwright/test'
import { build } from 'esbuild'

/** The system's Chromium where there is one, else Playwright's own. */
const system = process.env.GPFQ_CHROMIUM ?? '/usr/bin/chromium'
const executable = existsSync(system) ? system : chromium.executablePath()

/** WebGPU computed by the processor, where a machine has no GPU. */
export const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] as const

/** Starts Chromium. Null, with the reason on the console, where there is none. */
export async function openBrowser(gpu: readonly string[] = ['--disable-gpu']): Promise<Browser | null> {
  if (!existsSync(executable)) {
    console.error(`skipped: what needs Chromium; expected it at ${executable}; name another by GPFQ_CHROMIUM`)
    return null
  }
  return chromium.launch({
    executablePath: executable,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), ...gpu], // no sandbox as root
  })
}

export interface Served {
  readonly origin: string
  /** The address of the bundled script. */
  readonly script: string
  /** Serves a file of this machine. @returns its address */
  addressOf(path: string): string
  close(): void
}

const TYPES: Readonly<Record<string, string>> = {
  '': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}

/** Scripts look for gpfq's files two folders above themselves, and for ONNX Runtime's beside themselves. */
const FOLDER = '/bench/page'
const RUNTIMES = ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']

/** Serves a page at `/`, and a script with all that it imports. @param loads whether the page has the script; else it is empty */
export async function serve(entry: string, loads = false): Promise<Served> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    splitting: true, // ONNX Runtime starts its threads from the file that it is in
    write: false,
    outdir: FOLDER,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    conditions: ['browser'],
    logLevel: 'warning',
  })
  const texts = new Map(outputFiles.map(({ path, text }) => [path, text]))
  const script = `${FOLDER}/${basename(entry, '.ts')}.js`
  texts.set('/', `<!doctype html><body>${loads ? `<script type="module" src="${script}"></script>` : ''}`)
  const files = new Map([
    ...RUNTIMES.map((file) => [`${FOLDER}/${file}`, `node_modules/onnxruntime-web/dist/${file}`] as const),
    ['/gpfq.wasm', 'dist/gpfq.wasm'],
    ['/worker.js', 'dist/worker.js'],
  ])
  const server = createServer(({ url = '/' }, response) => {
    const [text, file] = [texts.get(url), files.get(url)]
    response.writeHead(text === undefined && file === undefined ? 404 : 200, {
      'Content-Type': TYPES[extname(url)] ?? 'application/octet-stream',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    })
    if (file === undefined) response.end(text)
    else createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}/`,
    script,
    addressOf(path) {
      const address = `/files/${encodeURIComponent(path)}`
      files.set(address, path)
      return address
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
