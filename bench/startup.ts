/** Tables (f) and (g): how soon the pool is ready, and how much there is to download. */
import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { createQuantizer } from '#src/index.js'
import { interleave } from './measure.js'
import { type Table, table } from './table.js'

export async function benchStartup(repetitions: number): Promise<Table> {
  const start = performance.now()
  await (await createQuantizer({ threads: 2 })).close()
  const cold = performance.now() - start
  const bytes = await readFile(new URL('../dist/gpfq.wasm', import.meta.url))
  const times = await interleave(
    [
      { name: 'compile the module', run: () => WebAssembly.compile(bytes) },
      ...[1, 2, 4].map((threads) => ({
        name: `pool of ${threads} ready`,
        run: async () => {
          const begin = performance.now()
          const quantizer = await createQuantizer({ threads })
          const seconds = (performance.now() - begin) / 1000
          await quantizer.close()
          return seconds
        },
        seconds: (result: unknown) => result as number,
      })),
    ],
    repetitions,
  )
  const rows = [...times.values()].map(({ name, min, median, spread }) => ({
    what: `${name}, warm`,
    min: `${(1e3 * min).toFixed(1)} ms`,
    median: `${(1e3 * median).toFixed(1)} ms`,
    spread: `${(100 * spread).toFixed(0)} %`,
  }))
  return table(
    '(f) Start-up',
    ['what', 'min', 'median', 'spread'],
    [
      { what: 'pool of 2 ready, first in the process', min: `${cold.toFixed(1)} ms`, median: '', spread: '' },
      ...rows,
    ],
  )
}

export async function benchSizes(): Promise<Table> {
  const wasm = await readFile(new URL('../dist/gpfq.wasm', import.meta.url))
  const entries = [
    { name: 'gpfq (core)', file: '../dist/src/index.js' },
    { name: 'gpfq/onnx, without ONNX Runtime', file: '../dist/src/onnx/index.js' },
    { name: 'worker (web)', file: '../dist/workers/web.js' },
  ]
  const rows = [
    { what: 'gpfq.wasm', bytes: `${wasm.length}`, gzipped: `${gzipSync(wasm, { level: 9 }).length}` },
  ]
  for (const { name, file } of entries) {
    const { outputFiles } = await build({
      entryPoints: [new URL(file, import.meta.url).pathname],
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      external: ['onnxruntime-web', 'onnxruntime-web/*', 'onnxruntime-node'],
    })
    const code = outputFiles[0]!.contents
    rows.push({ what: name, bytes: `${code.length}`, gzipped: `${gzipSync(code, { level: 9 }).length}` })
  }
  return table('(g) Sizes, bundled and minified', ['what', 'bytes', 'gzipped'], rows)
}
