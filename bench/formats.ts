/**
 * The measurements behind the automatic choice of a format: one quantized model written in every format; file size,
 * time to load, time of a run, growth of the process while loading. ONNX Runtime Web and, if it is installed, ONNX
 * Runtime Node.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createOrtNodeRunner, createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { openNpz } from '#src/data/npz.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { type Case, cell, interleave } from './measure.js'
import { denseChain } from './model.js'
import { type Cell, type Row, type Table, table } from './table.js'

const FORMATS = ['float', 'packed', 'qdq', 'nbits'] as const

interface Subject {
  readonly name: string
  readonly bytes: Uint8Array
  readonly feeds: Feeds
}

async function subjects(width: number): Promise<Subject[]> {
  const demo = new URL('../demo-data/', import.meta.url)
  const calibration = openNpz(await readFile(new URL('calibration.npz', demo)))
  const pixels = calibration.get('image').data as Uint8Array
  const image = (samples: number): Feeds => ({
    image: {
      type: 'float32',
      dims: [samples, 1, 28, 28],
      data: Float32Array.from(pixels.subarray(0, samples * 784), (v) => v / 255),
    },
  })
  const dense: Feeds = {
    x: { type: 'float32', dims: [8, width], data: new Float32Array(8 * width).fill(0.5) },
  }
  return [
    {
      name: 'digits (Conv, Gemm)',
      bytes: new Uint8Array(await readFile(new URL('digits.onnx', demo))),
      feeds: image(64),
    },
    { name: `4 × MatMul ${width}²`, bytes: encodeModel(denseChain(4, width)), feeds: dense },
  ]
}

const first = (feeds: Feeds): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      { type, dims: [1, ...dims.slice(1)], data: data.slice(0, data.length / dims[0]!) },
    ]),
  )

export async function benchFormats(repetitions: number, width: number): Promise<Table> {
  const runners: Runner[] = [await createOrtWebRunner({ threads: 1 })]
  try {
    runners.push(await createOrtNodeRunner({ threads: 1 }))
  } catch {
    // not installed: the table has one runner
  }
  const rows: Row[] = []
  for (const { name, bytes, feeds } of await subjects(width)) {
    for (const levels of [15, 3]) {
      const models = [{ format: 'original', model: bytes }]
      for (const format of FORMATS) {
        const { model } = await quantizeModel(bytes, {
          runner: runners[0]!,
          method: 'msq',
          radius: { rule: 'max' },
          levels,
          format,
          threads: 1,
        })
        models.push({ format, model })
      }
      for (const runner of runners) {
        const sessions = await Promise.all(models.map(({ model }) => runner.load(model)))
        const input = first(feeds)
        const cases: Case[] = models.flatMap(({ format, model }, i) => [
          { name: `${format} load`, run: async () => (await runner.load(model)).close() },
          { name: `${format} run`, run: () => sessions[i]!.run(input) },
        ])
        const times = await interleave(cases, repetitions)
        const growth: number[][] = []
        for (const { model } of models) {
          const loads: number[] = []
          while (loads.length < Math.min(3, repetitions)) loads.push(await memoryOf(runner, model))
          growth.push(loads)
        }
        for (const [i, { format, model }] of models.entries()) {
          const milliseconds = (what: string): Cell => cell(times.get(`${format} ${what}`)!, 'ms')
          rows.push({
            model: name,
            levels: format === 'original' ? '' : `${levels}`,
            format,
            runner: runner.name.split(' ')[0]!,
            bytes: `${model.length}`,
            'load, ms': milliseconds('load'),
            'run (batch 1), ms': milliseconds('run'),
            'memory, MB': range(growth[i]!),
          })
        }
        for (const session of sessions) await session.close()
      }
    }
  }
  return table(
    'Output formats: size, load, run (min / median ± spread), memory growth of one load (least … most)',
    ['model', 'levels', 'format', 'runner', 'bytes', 'load, ms', 'run (batch 1), ms', 'memory, MB'],
    rows,
  )
}

const range = (values: readonly number[]): string =>
  `${Math.min(...values).toFixed(0)} … ${Math.max(...values).toFixed(0)}`

/** Growth of a fresh process by loading a model, in MB. */
async function memoryOf(runner: Runner, model: Uint8Array): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-bench-'))
  const file = join(folder, 'model.onnx')
  await writeFile(file, model)
  const create = runner.name.startsWith('onnxruntime-node') ? 'createOrtNodeRunner' : 'createOrtWebRunner'
  const program = `
    import { readFileSync } from 'node:fs'
    import { ${create} } from '#src/calibration/onnxRuntime.js'
    const bytes = new Uint8Array(readFileSync(${JSON.stringify(file)}))
    const runner = await ${create}({ threads: 1 })
    const before = process.memoryUsage().rss
    await runner.load(bytes)
    console.log((process.memoryUsage().rss - before) / 1e6)
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  await rm(folder, { recursive: true })
  return Number(stdout)
}
