/**
 * The floors of the library: each imports only from itself and from floors below it, and no files import each other in a
 * circle. It reads the emitted JavaScript, which has no imports of types: those may go anywhere. Build first.
 *
 * The lengths of files and functions are checked by Biome (biome.json).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

interface Floor {
  readonly name: string
  /** Folders and files below dist/. */
  readonly holds: readonly string[]
  /** The floors below that it imports from. Default: all of them. */
  readonly on?: readonly string[]
}

const sources = (...names: string[]): string[] => names.map((name) => `src/${name}.js`)

/** From the ground up. */
const FLOORS: readonly Floor[] = [
  // options.ts has types only, so its code imports nothing.
  {
    name: 'ground',
    holds: sources('errors', 'hints', 'checks', 'aborts', 'notes', 'version', 'random', 'options'),
  },
  { name: 'tensor', holds: ['src/tensor'] },
  { name: 'platform', holds: ['src/platform'], on: ['ground'] },
  { name: 'engine', holds: ['src/engine'], on: ['ground', 'platform'] },
  // The arena begins behind the engine's control blocks, and a call of a kernel is a task of the engine.
  { name: 'wasm', holds: ['src/wasm'], on: ['ground', 'engine'] },
  { name: 'methods', holds: ['src/methods'], on: ['ground', 'wasm'] },
  { name: 'webgpu', holds: ['src/webgpu'], on: ['ground', 'wasm', 'methods'] },
  { name: 'executor', holds: ['src/executor'] },
  { name: 'core', holds: sources('quantizer', 'layerObserver', 'layerSamples') },
  { name: 'onnx', holds: ['src/onnx'], on: ['ground', 'tensor', 'methods'] },
  { name: 'calibration', holds: ['src/calibration'] },
  { name: 'model', holds: ['src/model'] },
  // Data and reports use the model's types, but no code of it.
  { name: 'data', holds: ['src/data'], on: ['ground', 'tensor', 'platform'] },
  { name: 'report', holds: ['src/report'], on: ['ground'] },
  { name: 'cluster', holds: ['src/cluster'] },
  { name: 'cli', holds: ['src/cli'] },
]

/** What nothing else imports: float64 twins for tests, entries that hand out names, and workers. */
const APART: readonly Floor[] = [
  { name: 'reference', holds: ['src/reference'], on: ['ground', 'methods'] },
  { name: 'entries', holds: sources('index', 'onnx', 'node') },
  { name: 'workers', holds: ['workers'] },
]

/** The files that each file imports, statically or by import(). */
type Imports = ReadonlyMap<string, readonly string[]>

const floorNames = FLOORS.map(({ name }) => name)
const imports = await readImports(fileURLToPath(new URL('../dist/', import.meta.url)))

test('every file is on a floor', () => {
  expect([...imports.keys()].filter((file) => floorOf(file) === undefined)).toEqual([])
  expect(
    [...FLOORS, ...APART].filter((floor) => ![...imports.keys()].some((file) => floorOf(file) === floor)),
  ).toEqual([])
})

test('imports go down', () => {
  expect(forbidden(imports)).toEqual([])
})

test('no files import each other in a circle', () => {
  expect(circles(imports)).toEqual([])
})

test('the checks see upward imports, imports of what is apart, and circles', () => {
  const wrong: Imports = new Map([
    ['src/errors.js', []],
    ['src/engine/pool.js', ['src/errors.js', 'src/methods/solve.js']],
    ['src/methods/solve.js', ['src/engine/pool.js', 'src/reference/gpfq.js']],
    ['src/reference/gpfq.js', []],
    ['src/data/feeds.js', ['src/onnx/graph.js', 'src/errors.js']],
    ['src/onnx/graph.js', []],
    ['src/cli/main.js', ['src/onnx/graph.js', 'src/onnx.js']],
    ['src/onnx.js', ['src/data/feeds.js']],
  ])
  expect(forbidden(wrong)).toEqual([
    'src/engine/pool.js → src/methods/solve.js',
    'src/methods/solve.js → src/engine/pool.js',
    'src/methods/solve.js → src/reference/gpfq.js',
    'src/data/feeds.js → src/onnx/graph.js',
    'src/cli/main.js → src/onnx.js',
  ])
  expect(circles(wrong)).toEqual(['src/engine/pool.js', 'src/methods/solve.js'])
})

function floorOf(file: string): Floor | undefined {
  return [...FLOORS, ...APART].find(({ holds }) =>
    holds.some((held) => file === held || file.startsWith(`${held}/`)),
  )
}

/** The names of the floors that a floor may import from, itself included. Entries and workers import any floor. */
function below({ name, on }: Floor): readonly string[] {
  const height = floorNames.indexOf(name)
  return [name, ...(on ?? (height === -1 ? floorNames : floorNames.slice(0, height)))]
}

/** The imports of files on floors that are not below. */
function forbidden(graph: Imports): string[] {
  return [...graph].flatMap(([file, imported]) => {
    const from = floorOf(file)
    const allowed = from === undefined ? [] : below(from)
    return imported
      .filter((target) => !allowed.includes(floorOf(target)?.name ?? ''))
      .map((target) => `${file} → ${target}`)
  })
}

/** The files in circles, and those between two circles: what is left when files are taken away from both ends. */
function circles(graph: Imports): string[] {
  let left = [...graph.keys()]
  for (;;) {
    const next = left.filter(
      (file) =>
        graph.get(file)!.some((target) => left.includes(target)) &&
        left.some((importer) => graph.get(importer)!.includes(file)),
    )
    if (next.length === left.length) return left.sort()
    left = next
  }
}

/** Reads the imports of all emitted files. A subpath import (#platform) is an import of every file that it can mean. */
async function readImports(folder: string): Promise<Imports> {
  const entryPoints = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /^(src|workers)\/.*\.js$/.test(path))
  const { metafile } = await build({
    entryPoints,
    absWorkingDir: folder,
    bundle: true,
    ignoreAnnotations: true, // an import that sideEffects lets a bundler drop is an import
    packages: 'external',
    external: ['#*', '*.wasm', '*.wasm?module'],
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
    outdir: 'unwritten',
    logLevel: 'silent',
  })
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    imports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  }
  const targetsOf = (path: string): string[] =>
    Object.values(manifest.imports[path] ?? {})
      .filter((target) => /^\.\/dist\/.*\.js$/.test(target))
      .map((target) => target.replace('./dist/', ''))
  return new Map(
    Object.entries(metafile.inputs).map(([file, input]) => [
      file,
      [...new Set(input.imports.flatMap(({ path, external }) => (external ? targetsOf(path) : [path])))],
    ]),
  )
}
