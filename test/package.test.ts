/**
 * What `npm pack` would publish, and what installing it would bring along: the right files, every export in place, no
 * code that runs at install time, exactly the dependencies that the code imports, and the size promises.
 *
 * Reads dist/, so build first. `npm pack` runs without scripts here: it must list what was built, not build.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Metafile, type Plugin } from 'esbuild'
import { describe, expect, test } from 'vitest'

const root = new URL('../', import.meta.url)
const rootPath = fileURLToPath(root)

interface Manifest {
  readonly name: string
  readonly license: string
  readonly bin?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly imports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(new URL(`${folder}package.json`, root), 'utf8')) as Manifest
}

/** Paths that would be in the tarball. */
function packedFiles(): string[] {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const output = execFileSync(npm, ['pack', '--json', '--dry-run', '--ignore-scripts'], {
    cwd: rootPath,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [pack] = JSON.parse(output) as [{ files: { path: string }[] }]
  return pack.files.map((file) => file.path)
}

const manifest = readManifest('')
const packed = packedFiles()
const installScripts = ['preinstall', 'install', 'postinstall']

describe('the tarball', () => {
  test('has the code, the kernels, the demo data and the licence', () => {
    expect(packed).toEqual(
      expect.arrayContaining([
        ...['package.json', 'LICENSE', 'dist/gpfq.wasm', 'dist/gpfq.relaxed.wasm'],
        ...['digits.onnx', 'calibration.npz', 'test.npz', 'README.md'].map((name) => `demo-data/${name}`),
      ]),
    )
  })

  test('has nothing else', () => {
    const wanted =
      /^(dist\/(src|workers)\/.+\.(js|d\.ts)|dist\/(gpfq(\.relaxed)?\.wasm|worker\.c?js)|demo-data\/.+|package\.json|LICENSE|README\.md|CHANGELOG\.md)$/
    expect(packed.filter((path) => !wanted.test(path))).toEqual([])
    expect(packed.filter((path) => /(^|\/)tests?\/|\.test\.|\.map$/.test(path))).toEqual([])
  })

  test('is under MIT, by its field and by its text', () => {
    expect(manifest.license).toBe('MIT')
    expect(readFileSync(new URL('LICENSE', root), 'utf8')).toMatch(
      /^MIT License\n\nCopyright .* gpfq contributors/,
    )
  })
})

describe('exports', () => {
  const targets = Object.entries(manifest.exports ?? {}).flatMap(([name, target]) =>
    (typeof target === 'string' ? [target] : Object.values(target)).map((path) => ({ name, path })),
  )
  const shipped = [...targets, ...Object.entries(manifest.bin ?? {}).map(([name, path]) => ({ name, path }))]

  test.for(shipped)('$name: $path is in the tarball', ({ path }) => {
    expect(packed).toContain(path.replace('./', ''))
  })

  test('name their types first', () => {
    for (const [name, target] of Object.entries(manifest.exports ?? {}))
      if (typeof target !== 'string') expect(Object.keys(target)[0], name).toBe('types')
  })
})

describe('runtimes', () => {
  const conditions = ['types', 'workerd', 'edge-light', 'browser', 'node', 'default']
  const conditional = { ...manifest.exports, ...manifest.imports }

  test.for(['.', './onnx', '#platform', '#onnxruntime', '#runtimeThread'])(
    '%s names them all, in order',
    (name) => {
      expect(Object.keys(conditional[name] ?? {})).toEqual(conditions)
    },
  )

  test.for([
    ['index', 'browser'],
    ['onnx', 'browser'],
    ['index', 'workerd'],
    ['onnx', 'workerd'],
    ['index', 'edge-light'],
  ] as const)('%s bundles for %s with nothing of Node in it', async ([entry, condition]) => {
    const { outputFiles, metafile } = await bundleEntry(`dist/src/${entry}.js`, {
      conditions: condition === 'browser' ? ['browser'] : [condition, 'worker'],
      external: ['*.wasm', '*.wasm?module'],
    })
    const wasm = { workerd: ['../../gpfq.wasm'], 'edge-light': ['../../gpfq.wasm?module'], browser: [] }
    expect(externalImports(metafile)).toEqual(wasm[condition])
    // Evaluating it is an error at the edge, where it is undefined; bundlers follow it elsewhere.
    if (condition !== 'browser') expect(outputFiles[0]?.text).not.toContain('import.meta')
  })

  test.each([
    ['worker.js', []], // import maps do not reach into workers
    ['worker.cjs', ['node:worker_threads']],
  ])('%s is one file', async (name, imports) => {
    const { metafile } = await bundleEntry(`dist/${name}`, { external: ['node:*'] })
    expect(Object.keys(metafile.inputs)).toEqual([`dist/${name}`])
    expect(externalImports(metafile)).toEqual(imports)
  })
})

describe('dependencies', () => {
  test('run nothing at install time, nor does the package itself', () => {
    expect(Object.keys(manifest.scripts ?? {}).filter((name) => installScripts.includes(name))).toEqual([])
    const guilty = runtimePackages().filter((folder) => {
      const scripts = Object.keys(readManifest(folder).scripts ?? {})
      return (
        scripts.some((name) => installScripts.includes(name)) ||
        existsSync(new URL(`${folder}binding.gyp`, root))
      )
    })
    expect(guilty).toEqual([])
  })

  test('are exactly the packages that the code imports', async () => {
    const declared = Object.keys(manifest.dependencies ?? {})
    const peers = Object.keys(manifest.peerDependencies ?? {})
    const imported = await importedPackages()
    expect(imported.filter((name) => !declared.includes(name) && !peers.includes(name))).toEqual([])
    expect(declared.filter((name) => !imported.includes(name))).toEqual([])
  })
})

test('the lock file holds every package that it names, those of other platforms included, else npm ci refuses it', () => {
  const lock = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')) as {
    packages: Record<string, { dependencies?: object; optionalDependencies?: object }>
  }
  const missing = Object.entries(lock.packages).flatMap(([from, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies }).filter(
      (name) => !isLocked(lock.packages, from, name),
    ),
  )
  expect(missing).toEqual([])
})

test.each(['package-lock.json', 'scripts/api/package-lock.json'])(
  'what %s installs is fixed to its bytes: every entry has their hash',
  (file) => {
    const { packages } = JSON.parse(readFileSync(new URL(file, root), 'utf8')) as {
      packages: Record<string, { integrity?: string; link?: boolean; inBundle?: boolean }>
    }
    const entries = Object.entries(packages).filter(
      ([name, { link, inBundle }]) => name !== '' && link !== true && inBundle !== true,
    )
    expect(entries.length).toBeGreaterThan(0)
    expect(entries.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ''))).toEqual([])
  },
)

test('no text tells anybody to run the name gpfq from the registry, where it is not published', () => {
  const texts = ['README.md', 'examples', 'demo', 'docs', 'src', 'scripts'].flatMap((name) => textsIn(name))
  // In the clone the command is its own: README says so on that line.
  const lines = texts.flatMap(({ path, text }) =>
    text
      .split('\n')
      .filter(
        (line) =>
          /npx (--yes |-y )?gpfq\b|npm (i|install|add) gpfq\b/.test(line) && !/In the clone/.test(line),
      )
      .map((line) => `${path}: ${line.trim()}`),
  )
  expect(lines).toEqual([])
})

/** Leaves out what is imported only when it is needed. */
const apart: Plugin = {
  name: 'apart',
  setup: ({ onResolve }) =>
    onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path, external: true } : undefined,
    ),
}

describe('sizes', () => {
  test.each(['gpfq.wasm', 'gpfq.relaxed.wasm'])('the kernels fit in 40 KB: %s', (file) => {
    expect(statSync(new URL(`dist/${file}`, root)).size).toBeLessThanOrEqual(40 * 1024)
  })

  test('the core entry, without ONNX and what is loaded when it is needed, fits in 28 KB gzipped', async () => {
    const { outputFiles, metafile } = await build({
      entryPoints: [fileURLToPath(new URL('dist/src/index.js', root))],
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      external: ['node:*'],
      plugins: [apart],
      write: false,
      metafile: true,
      outdir: 'unwritten',
      logLevel: 'silent',
    })
    const onnx = Object.keys(metafile.inputs).filter((path) => /onnx|@bufbuild/.test(path))
    expect(onnx).toEqual([])
    const bytes = outputFiles.reduce((sum, file) => sum + gzipSync(file.contents, { level: 9 }).length, 0)
    expect(bytes).toBeLessThanOrEqual(28 * 1024)
  })
})

/** Texts of a file, or of all files in a folder. */
function textsIn(name: string): { path: string; text: string }[] {
  const read = (path: string) => ({ path, text: readFileSync(new URL(path, root), 'utf8') })
  if (!statSync(new URL(name, root)).isDirectory()) return [read(name)]
  return readdirSync(new URL(`${name}/`, root), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(md|ts|tsx|js|html|json)$/.test(path) && !/node_modules|dist\//.test(path))
    .map((path) => read(`${name}/${path}`))
}

function bundleEntry(entry: string, options: { conditions?: string[]; external?: string[] }) {
  return build({
    entryPoints: [entry],
    absWorkingDir: rootPath,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    metafile: true,
    outdir: 'unwritten',
    logLevel: 'silent',
    ...options,
  })
}

/** Folders of everything that installing the package installs, without peers: its dependencies and theirs. */
function runtimePackages(): string[] {
  const folders = new Set<string>()
  const visit = (from: string) => {
    for (const name of Object.keys(readManifest(from).dependencies ?? {})) {
      const folder = [`${from}node_modules/${name}/`, `node_modules/${name}/`].find((candidate) =>
        existsSync(new URL(candidate, root)),
      )
      if (folder === undefined) throw new Error(`${from || manifest.name}: expected ${name} to be installed`)
      if (folders.has(folder)) continue
      folders.add(folder)
      visit(folder)
    }
  }
  visit('')
  return [...folders]
}

/** Whether Node's resolution from the folder `from` finds `name` among the locked folders. */
function isLocked(packages: object, from: string, name: string): boolean {
  const folder = `${from && `${from}/`}node_modules/${name}`
  if (folder in packages) return true
  return (
    from !== '' && isLocked(packages, from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), name)
  )
}

/** Names of the packages that the built code imports, statically or by import(). */
async function importedPackages(): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: packed.filter((path) => path.startsWith('dist/') && path.endsWith('.js')),
    absWorkingDir: rootPath,
    bundle: true,
    packages: 'external',
    external: ['*.wasm', '*.wasm?module'], // edge runtimes import the kernels as a module
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
    outdir: 'unwritten',
    logLevel: 'silent',
  })
  return [...new Set(externalImports(metafile).map(packageName))]
    .filter((name) => !builtinModules.includes(name) && !/^[#.]/.test(name))
    .sort()
}

function externalImports(metafile: Metafile): string[] {
  return Object.values(metafile.inputs)
    .flatMap((input) => input.imports)
    .filter(({ external, path }) => external === true && path !== '<runtime>')
    .map((imported) => imported.path)
}

/** '@scope/name/file' → '@scope/name', 'node:fs' → 'fs'. */
function packageName(path: string): string {
  const parts = path.replace(/^node:/, '').split('/')
  return parts.slice(0, path.startsWith('@') ? 2 : 1).join('/')
}
