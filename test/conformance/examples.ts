/**
 * That the examples run, each in a temporary folder and in its own runtime. The Vite page needs the packed package and a
 * browser: test/consumers.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { formatNpy } from '#src/data/npy.js'
import { reals } from '../random.js'
import { exitOf, start } from './processes.js'
import { cached, program, withPatience } from './runtimes.js'
import { serveWorkerd } from './workerd.js'

export interface Example {
  readonly folder: string
  readonly runtime: string
  readonly program: string | null
  readonly install: string
  /** @returns the last line that it printed. */
  run(folder: string): Promise<string>
}

const FOLDER = resolve('examples')

export const examples: readonly Example[] = [
  script('01-node-script', 'Node', process.execPath, ['quantize.js'], /29\d\d\d bytes/),
  {
    folder: '03-cloudflare-worker',
    runtime: 'workerd',
    program: program(cached('.bin/workerd')),
    install: 'scripts/install-runtimes.sh workerd',
    run: cloudflare,
  },
  script('04-bun', 'Bun', cached('.bin/bun'), ['layer.ts'], /gpfq: relative error 0\./),
  script(
    '05-deno',
    'Deno',
    cached('.bin/deno'),
    ['run', '--allow-read', '--allow-sys', 'layer.ts'],
    /on 2 Web Workers/,
  ),
  script('06-numpy-layer', 'Node', process.execPath, ['layer.js', 'W.npy', 'X.npy'], /2048 codes, 32 scales/),
  script('07-emscripten-heap', 'Node', process.execPath, ['layer.js'], /4096 codes/),
]

/** Runs it in a folder that holds W.npy and X.npy. */
export async function runExample(example: Example): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'gpfq-example-'))
  const matrix = (rows: number, columns: number) =>
    formatNpy({ type: 'float32', dims: [rows, columns], data: reals(rows * columns, rows) })
  writeFileSync(join(folder, 'W.npy'), matrix(64, 32))
  writeFileSync(join(folder, 'X.npy'), matrix(300, 64))
  try {
    return await example.run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function script(
  folder: string,
  runtime: string,
  path: string,
  args: readonly string[],
  expected: RegExp,
): Example {
  return {
    folder,
    runtime,
    program: program(path),
    install: `scripts/install-runtimes.sh ${runtime.toLowerCase()}`,
    async run(cwd) {
      const printed: string[] = []
      const whole = args.map((arg) => (/^(layer|quantize)\./.test(arg) ? join(FOLDER, folder, arg) : arg))
      const running = start(path, whole, { cwd, takeStdout: (text) => printed.push(text) })
      const code = await withPatience(exitOf(running), running.end)
      const text = printed.join('').trim()
      if (code !== 0 || !expected.test(text)) {
        throw new Error(`expected ${expected}, got exit code ${code}\n${text}\n${running.output()}`)
      }
      return text.split('\n').at(-1) ?? ''
    },
  }
}

/** Bundled and served as its README says; a layer posted to it. */
async function cloudflare(folder: string): Promise<string> {
  const here = join(FOLDER, '03-cloudflare-worker')
  await build({
    entryPoints: [join(here, 'worker.js')],
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['*.wasm'],
    outfile: join(folder, 'bundle.js'),
    logLevel: 'warning',
  })
  copyFileSync('dist/gpfq.wasm', join(folder, 'gpfq.wasm'))
  copyFileSync(join(here, 'config.capnp'), join(folder, 'config.capnp'))
  const worker = await serveWorkerd(cached('.bin/workerd'), join(folder, 'config.capnp'))
  try {
    const layer = new Float32Array([0, 0, ...reals(16 * 8, 1), ...reals(100 * 16, 2)])
    new Int32Array(layer.buffer).set([16, 8])
    const answer = await fetch(worker.origin, { method: 'POST', body: layer })
    const { codes, relativeError } = (await answer.json()) as { codes?: number[]; relativeError?: number }
    if (codes?.length !== 128) throw new Error(`expected 128 codes, got HTTP ${answer.status}`)
    return `128 codes, relative error ${relativeError?.toFixed(4)}`
  } finally {
    worker.close()
  }
}
