/**
 * What integer kernels buy in whole models: a float model and its written one (weights of 4 bits, packed, and activations of 8)
 * run in turn, in Node and in Chromium. Every round is a process, or a page, of its own. What counts is the shortest run of
 * all rounds: other programs only ever add to a run's time.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Speed } from '#src/calibration/speed.js'
import { type Int8Model, prepareModels } from './int8Models.js'
import { type Row, type Table, table } from './table.js'
import { type TimingTask, timeInProcess } from './timing.js'
import { openTimingBrowser } from './timingBrowser.js'

/** Below this share of the float model's speed a written model is too slow. */
const LEAST_SPEED = 0.97

/** Larger files than this multiple of those without activations are too large. */
const LARGEST_SIZE = 1.02

const THREADS = [1, 2] as const

interface Amount {
  readonly rounds: number
  /** Seconds for a batch in a round. */
  readonly seconds: number
}

export async function benchInt8(short: boolean): Promise<Table[]> {
  const amount = short ? { rounds: 1, seconds: 1 } : { rounds: 2, seconds: 4 }
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-bench-'))
  try {
    const models: Int8Model[] = []
    const runner = await createOrtWebRunner({ threads: 2 })
    for await (const model of prepareModels(folder, runner, short)) models.push(model)
    const tables = [sizes(models), await speeds('Node', models, timeInProcess, amount)]
    const browser = await openTimingBrowser()
    if (browser === null) return tables
    try {
      return [...tables, await speeds(browser.name, models, (task) => browser.time(task), amount)]
    } finally {
      await browser.close()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function sizes(models: readonly Int8Model[]): Table {
  return table(
    `Files with activations of 8 bits, in bytes; at most ${LARGEST_SIZE} times as large as with weights of 4 bits alone`,
    ['model', 'layers on integers', 'float', 'weights only', 'with activations', 'times as large'],
    models.map(({ name, integerLayers, layers, floatBytes, weightsBytes, writtenBytes }) => {
      const ratio = writtenBytes / weightsBytes
      return {
        model: name,
        'layers on integers': `${integerLayers} of ${layers}`,
        float: `${floatBytes}`,
        'weights only': `${weightsBytes}`,
        'with activations': `${writtenBytes}`,
        'times as large': `${ratio.toFixed(4)}${ratio > LARGEST_SIZE ? ' **!**' : ''}`,
      }
    }),
  )
}

/** Shortest runs of both models. */
type Shortest = Pick<Speed, 'floatSeconds' | 'quantizedSeconds' | 'runs'>

async function speeds(
  place: string,
  models: readonly Int8Model[],
  time: (task: TimingTask) => Promise<readonly Speed[]>,
  { rounds, seconds }: Amount,
): Promise<Table> {
  const shortest = new Map<string, Shortest>()
  const keyOf = (model: Int8Model, batch: number, threads: number): string =>
    `${model.name} ${batch} ${threads}`
  for (let round = 0; round < rounds; round++)
    for (const model of models)
      for (const threads of THREADS) {
        const { floatPath, writtenPath, batches } = model
        const times = await time({ floatPath, writtenPath, threads, batches, seconds })
        times.forEach((speed, batch) => {
          const key = keyOf(model, batch, threads)
          shortest.set(key, shorter(shortest.get(key), speed))
        })
      }
  const rows = models.flatMap((model) =>
    model.batches.map((feeds, batch): Row => {
      const cells = THREADS.flatMap((threads) =>
        speedCells(threads, shortest.get(keyOf(model, batch, threads))!),
      )
      const samples = Object.values(feeds)[0]?.dims[0] ?? 1
      return { model: model.name, samples: `${samples}`, ...Object.fromEntries(cells) }
    }),
  )
  const columns = THREADS.flatMap((threads) => namesOf(threads))
  const title = `Integers in ${place}: ms, shortest of ${rounds} × ${seconds} s in turn; at least ${LEAST_SPEED} times as fast as float`
  return table(title, ['model', 'samples', ...columns], rows)
}

const shorter = (a: Shortest | undefined, b: Shortest): Shortest =>
  a === undefined
    ? b
    : {
        floatSeconds: Math.min(a.floatSeconds, b.floatSeconds),
        quantizedSeconds: Math.min(a.quantizedSeconds, b.quantizedSeconds),
        runs: a.runs + b.runs,
      }

const namesOf = (threads: number): readonly string[] => {
  const suffix = threads === 1 ? '1 thread' : `${threads} threads`
  return [`float, ${suffix}`, `integers, ${suffix}`, `times as fast, ${suffix}`, `runs, ${suffix}`]
}

function speedCells(
  threads: number,
  { floatSeconds, quantizedSeconds, runs }: Shortest,
): readonly (readonly [string, string])[] {
  const ratio = floatSeconds / quantizedSeconds
  const texts = [
    (1e3 * floatSeconds).toPrecision(3),
    (1e3 * quantizedSeconds).toPrecision(3),
    `${ratio.toFixed(2)}${ratio < LEAST_SPEED ? ' **!**' : ''}`,
    `${runs}`,
  ]
  return namesOf(threads).map((name, i) => [name, texts[i]!] as const)
}
