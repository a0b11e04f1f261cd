/**
 * Lays out what the runtimes run: the suite bundled once for each family, beside the files it reads. Node's family loads
 * the package itself, file by file; pages and workerd get one bundle, made by the conditions that a user's bundler sets.
 *
 *     dist-scripts/conformance/node.mjs            imports "gpfq" by its name: inside the package that means itself
 *     <folder>/*.onnx, images.bin
 *     <folder>/web/{gpfq.wasm, gpfq.relaxed.wasm, worker.js, suite/page/page.js}      where the bundle looks for them: two folders up
 *     <folder>/workerd/{gpfq.wasm, suite/edge/{edge.js, *.onnx, images.bin, recording.*}}
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { createOrtWebRunner } from 'gpfq/onnx'
import { openNpz } from '#src/data/npz.js'
import { MODELS, type ModelName, quantizeModels } from './models.js'
import { attentionNetwork, residualNetwork } from './networks.js'
import { recordingRunner } from './recording.js'

/** Digits that the small model is calibrated on. */
const IMAGES = 32

export const folder = join(process.cwd(), 'node_modules/.cache/gpfq/conformance')
export const nodeEntry = join(process.cwd(), 'dist-scripts/conformance/node.mjs')

export async function stage(): Promise<void> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const entries = 'test/conformance/entries'
  const common = { bundle: true, format: 'esm', target: 'es2022', logLevel: 'warning' } as const
  await build({
    ...common,
    entryPoints: [`${entries}/node.ts`],
    platform: 'node',
    packages: 'external',
    external: ['#*'],
    outfile: nodeEntry,
  })
  await build({
    ...common,
    entryPoints: [`${entries}/web.ts`],
    platform: 'browser',
    conditions: ['browser'],
    outfile: join(folder, 'web/suite/page/page.js'),
  })
  await build({
    ...common,
    entryPoints: [`${entries}/workerd.ts`],
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['*.wasm', '*.bin', '*.onnx', 'recording.json'],
    outfile: join(folder, 'workerd/suite/edge/edge.js'),
  })
  copy('dist/gpfq.wasm', 'web/gpfq.wasm', 'workerd/gpfq.wasm')
  copy('dist/gpfq.relaxed.wasm', 'web/gpfq.relaxed.wasm')
  copy('dist/worker.js', 'web/worker.js')
  copy(
    'node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm',
    'web/suite/page/ort-wasm-simd-threaded.wasm',
  )
  const models = {
    digits: new Uint8Array(readFileSync('demo-data/digits.onnx')),
    residual: residualNetwork(),
    attention: attentionNetwork(),
  }
  for (const name of MODELS) put(models[name], `${name}.onnx`, `workerd/suite/edge/${name}.onnx`)
  const images = firstImages()
  put(images, 'images.bin', 'workerd/suite/edge/images.bin')
  put('<!doctype html><script type="module" src="suite/page/page.js"></script>', 'web/index.html')
  await record(models, images)
}

function firstImages(): Uint8Array {
  const { data } = openNpz(new Uint8Array(readFileSync('demo-data/calibration.npz'))).get('image')
  if (!(data instanceof Uint8Array)) throw new TypeError('calibration.npz: expected uint8 images')
  return data.subarray(0, IMAGES * 784)
}

/** Runs the small model here once, for runtimes that cannot run ONNX Runtime. */
async function record(models: Readonly<Record<ModelName, Uint8Array>>, images: Uint8Array): Promise<void> {
  const { runner, finish } = recordingRunner(await createOrtWebRunner())
  await quantizeModels({ models, images, runner }, 1, async () => {})
  const { notes, data } = finish()
  put(JSON.stringify(notes), 'workerd/suite/edge/recording.json')
  put(data, 'workerd/suite/edge/recording.bin')
}

function copy(from: string, ...to: string[]): void {
  put(readFileSync(from), ...to)
}

function put(content: string | Uint8Array, ...to: string[]): void {
  for (const name of to) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}
