/**
 * `npm run real-models` writes docs/REAL-MODELS.md: models as packages ship them, quantized from the command line with 4 and 8
 * bits and by rounding at the same size, and compared on other samples. The first argument is the folder of photos, with `calib`
 * and `eval`; models whose samples are photos are skipped without it. A second one picks models by a part of their names.
 * Resumable: finished cells are in docs/real-models.json.
 */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { makeData } from './realModels/data.js'
import { argumentsOf, MODELS, type RealModel, WAYS, type Way } from './realModels/models.js'
import { linesAlike } from './realModels/readLines.js'
import { type Difference, type Found, page } from './realModels/table.js'
import { installTools, joinPieces, run, unpack } from './realModels/tools.js'

const CACHE = resolve('node_modules', '.cache', 'gpfq', 'real-models')
const STORE = join('docs', 'real-models.json')
const CLI = resolve('dist', 'src', 'cli', 'main.js')

async function main(): Promise<void> {
  const photos = process.argv[2] ?? join('..', 'shared', 'assets', 'imagenet')
  if (!existsSync(photos)) {
    console.error(`skipped: expected photos in ${photos}, got no such folder; name one as the first argument`)
    return
  }
  await installTools()
  await mkdir(CACHE, { recursive: true })
  for (const model of MODELS) await fetchModel(model)
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  await makeData(CACHE, CACHE, photos, runner)
  const found: Record<string, Found> = existsSync(STORE) ? JSON.parse(await readFile(STORE, 'utf8')) : {}
  const part = process.argv[3] ?? ''
  for (const model of MODELS.filter(({ name }) => name.includes(part))) {
    for (const bits of [4, 8] as const) {
      const key = `${model.name} ${bits}`
      found[key] ??= await measure(model, bits, runner)
      await writeFile(STORE, `${JSON.stringify(found, null, 1)}\n`)
      console.log(key, JSON.stringify(found[key]))
    }
  }
  await writeFile(join('docs', 'REAL-MODELS.md'), page(MODELS, found, runner.name))
}

async function fetchModel({ name, package: spec, file, inPieces = false }: RealModel): Promise<void> {
  const to = join(CACHE, name)
  if (existsSync(to)) return
  const from = await unpack(CACHE, spec)
  if (inPieces) await joinPieces(from, file, to)
  else await copyFile(join(from, file), to)
}

async function measure(model: RealModel, bits: number, runner: Runner): Promise<Found> {
  const results: Partial<Record<Way, Difference>> = {}
  let report: Report | null = null
  for (const way of WAYS) {
    const { output, quantize, compare } = argumentsOf(model, bits, way)
    const file = join(CACHE, 'report.json')
    await rm(join(CACHE, output), { force: true })
    const error = await gpfq([...quantize, '--quiet', '--force', '--report', file]).then(() => null, reasonOf)
    if (error !== null) return { refused: error }
    if (way === 'gpfq') report = JSON.parse(await readFile(file, 'utf8')) as Report
    const { outputs } = JSON.parse(await gpfq([...compare, '--quiet', '--json'])) as Compared
    const path = (name: string): string => join(CACHE, name)
    const test = path(model.data[0]!.replace('@', 'test'))
    results[way] = {
      outputs,
      ...(model.reads === 'lines' && {
        lines: await linesAlike(runner, path(model.name), path(output), test, model.samples?.[1] ?? 48),
      }),
    }
    if (output !== argumentsOf(model, 4, 'gpfq').output) await rm(path(output))
  }
  const { floats, seconds, processBytes, bytesIn, bytesOut, layers } = report!
  return {
    quantized: floats.quantized / floats.bytes,
    rounded: layers.filter(({ rounded }) => rounded !== null).length,
    layers: layers.length,
    seconds: seconds.total,
    ...{ processBytes, bytesIn, bytesOut },
    gpfq: results.gpfq!,
    rounding: results.rounding!,
  }
}

interface Report {
  readonly floats: { readonly bytes: number; readonly quantized: number }
  readonly seconds: { readonly total: number }
  readonly processBytes: number | null
  readonly bytesIn: number
  readonly bytesOut: number
  readonly layers: readonly { readonly rounded: string | null }[]
}

interface Compared {
  readonly outputs: Difference['outputs']
}

async function gpfq(args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [CLI, ...args], { cwd: CACHE, maxBuffer: 2 ** 28 })
  return stdout
}

/** What the command said. */
const reasonOf = (error: unknown): string =>
  error instanceof Error && 'stderr' in error
    ? String(error.stderr).trim().split('\n').at(-1)!
    : String(error)

await main()
