/** Tables (f) and (g): the time until the pool is ready, and the size of the downloads. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { createQuantizer } from '#src/index.js'
import { type Case, cell, interleave } from './measure.js'
import { type Row, type Table, table } from './table.js'

/** The time of a fresh process from the import of the package to a pool that is ready. */
const COLD = `
  const begin = performance.now()
  const { createQuantizer } = await import('#src/index.js')
  const quantizer = await createQuantizer({ threads: 2 })
  console.log((performance.now() - begin) / 1000)
  await quantizer.close()
`

/** A worker that only answers a message: the time that Node itself takes. */
const ECHO = `
  const { parentPort } = require('node:worker_threads')
  parentPort.on('message', (message) => parentPort.postMessage(message))
`

async function echoes(count: number): Promise<number> {
  const { Worker } = await import('node:worker_threads')
  const begin = performance.now()
  const workers = Array.from({ length: count }, () => new Worker(ECHO, { eval: true, execArgv: [] }))
  for (const worker of workers) worker.postMessage(0)
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
  const seconds = (performance.now() - begin) / 1000
  await Promise.all(workers.map((worker) => worker.terminate()))
  return seconds
}

async function pool(threads: number): Promise<number> {
  const begin = performance.now()
  const quantizer = await createQuantizer({ threads })
  const seconds = (performance.now() - begin) / 1000
  await quantizer.close()
  return seconds
}

async function coldPool(): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', COLD])
  return Number(stdout)
}

export async function benchStartup(repetitions: number): Promise<Table> {
  const bytes = await readFile(new URL('../dist/gpfq.wasm', import.meta.url))
  const timed = (name: string, run: () => Promise<number>): Case<number> => ({ name, run, seconds: (s) => s })
  const cases = [
    timed('import and pool of 2, in a fresh process', coldPool),
    { name: 'compile the module, warm', run: () => WebAssembly.compile(bytes) },
    timed('pool of 1 ready, warm', () => pool(1)),
    timed('pool of 2 ready, warm', () => pool(2)),
    timed('2 workers of Node that answer a message', () => echoes(2)),
  ]
  const times = await interleave(cases as Case[], repetitions)
  return table(
    '(f) Start-up: milliseconds min / median ± spread',
    ['what', 'milliseconds'],
    [...times.values()].map((time) => ({ what: time.name, milliseconds: cell(time, 'ms') })),
  )
}

/** Limits in bytes. */
const MOST_WASM = 40 * 1024
const MOST_CORE = 28 * 1024

export async function benchSizes(): Promise<Table> {
  const wasm = await readFile(new URL('../dist/gpfq.wasm', import.meta.url))
  const entries = [
    { name: 'gpfq (core)', file: '../dist/src/index.js', most: `${MOST_CORE} gzipped` },
    { name: 'gpfq/onnx, without ONNX Runtime', file: '../dist/src/onnx.js', most: '' },
    { name: 'gpfq/data', file: '../dist/src/data/index.js', most: '' },
    { name: 'gpfq/report', file: '../dist/src/report/index.js', most: '' },
    { name: 'gpfq/worker (web)', file: '../dist/workers/web.js', most: '' },
  ]
  const row = (what: string, code: Uint8Array, most: string): Row => ({
    what,
    bytes: `${code.length}`,
    gzipped: `${gzipSync(code, { level: 9 }).length}`,
    'at most': most,
  })
  const rows = [row('gpfq.wasm', wasm, `${MOST_WASM} bytes`)]
  for (const { name, file, most } of entries) {
    const { outputFiles } = await build({
      entryPoints: [new URL(file, import.meta.url).pathname],
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      external: ['onnxruntime-web', 'onnxruntime-web/*', 'onnxruntime-node'],
    })
    rows.push(row(name, outputFiles[0]!.contents, most))
  }
  return table('(g) Sizes, bundled and minified', ['what', 'bytes', 'gzipped', 'at most'], rows)
}
