/**
 * Table (l): the same quantization in a worker of a page and in Node, by phases. Processes and pages are new in every
 * repetition and run by turns. Each runs the model twice: V8 compiles WebAssembly well only while the first run goes on.
 *
 * ONNX Runtime waits at a barrier for its slowest thread, so its time grows by a multiple when other programs take a
 * processor. The column of the shortest runs adds up, for every run of a session, the shortest of all repetitions.
 */
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openBrowser, type Served, serve } from './browser.js'
import { cell, timing } from './measure.js'
import { type Row, type Table, table } from './table.js'
import type { WebProcessTask } from './webProcess.js'
import type { WebRun } from './webRun.js'
import type { WebWorkerTask } from './webWorker.js'

const ASSETS = '../shared/assets'
const FILES = {
  model: `${ASSETS}/models/cifar10-resnet20.onnx`,
  data: `${ASSETS}/cifar10/train5k-images.npy.gz`,
}
const FEEDS = { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], samples: 512 }
const TIMES = 2

type Place = (threads: number) => Promise<readonly WebRun[]>

/** Null, with the reason on the console, without the model or Chromium. */
export async function benchWeb(threads: readonly number[], repetitions: number): Promise<Table | null> {
  if (!existsSync(FILES.model)) {
    console.error(`skipped: the table of the page; expected ${FILES.model}`)
    return null
  }
  const browser = await openBrowser()
  if (browser === null) return null
  const served = await serve('bench/webWorker.ts')
  const places: Readonly<Record<string, Place>> = {
    [`Node ${process.versions.node}`]: inProcess,
    [`Chromium ${browser.version()}`]: async (count) => {
      const page = await browser.newPage()
      try {
        await page.goto(served.origin)
        return await page.evaluate(inWorker, { task: workerTask(served, count), script: served.script })
      } finally {
        await page.close()
      }
    },
  }
  const rows: Row[] = []
  const hashes = new Set<string>()
  try {
    for (const count of threads) {
      const results = new Map<string, (readonly WebRun[])[]>(Object.keys(places).map((name) => [name, []]))
      for (let i = 0; i < repetitions; i++)
        for (const [name, place] of Object.entries(places)) results.get(name)?.push(await place(count))
      for (let time = 0; time < TIMES; time++)
        for (const [name, all] of results) {
          const runs = all.map((each) => each[time]!)
          for (const { sha256 } of runs) hashes.add(sha256)
          rows.push(rowOf(`${name}, ${time === 0 ? 'first' : 'again'}`, count, runs))
        }
    }
  } finally {
    await browser.close()
    served.close()
  }
  if (hashes.size !== 1) throw new Error(`expected the same bytes everywhere, got ${hashes.size} results`)
  return table(
    `(l) resnet20 from ${FEEDS.samples} images in Node and in a worker of a page: seconds min / median ± spread`,
    COLUMNS,
    rows,
  )
}

const COLUMNS = [
  'where',
  'threads',
  'sessions',
  'runs of sessions',
  'shortest runs',
  'quantization proper',
  'rest',
  'total',
]

function rowOf(where: string, threads: number, results: readonly WebRun[]): Row {
  const phase = (seconds: (run: WebRun) => number) => cell(timing('', results.map(seconds)))
  const shortest = results[0]!.runs.map((_, i) => Math.min(...results.map(({ runs }) => runs[i]!)))
  return {
    where,
    threads: String(threads),
    sessions: phase(({ sessions }) => sum(sessions)),
    'runs of sessions': phase(({ runs }) => sum(runs)),
    'shortest runs': `${sum(shortest).toFixed(4)} in ${shortest.length}`,
    'quantization proper': phase(({ quantization }) => quantization),
    rest: phase((run) => run.total - run.quantization - sum(run.runs) - sum(run.sessions)),
    total: phase(({ total }) => total),
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

function inProcess(threads: number): Promise<readonly WebRun[]> {
  const task: WebProcessTask = { ...FILES, threads, feeds: FEEDS, times: TIMES }
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('./webProcess.mjs', import.meta.url)))
    child.on('message', (runs: readonly WebRun[]) => resolve(runs))
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`the process ended with code ${code}`)))
    child.send(task)
  })
}

function workerTask({ addressOf }: Served, threads: number): WebWorkerTask {
  const [model, data] = [addressOf(FILES.model), addressOf(FILES.data)]
  return { model, data, threads, feeds: FEEDS, times: TIMES }
}

/** Runs in the page. */
function inWorker(given: { task: WebWorkerTask; script: string }): Promise<readonly WebRun[]> {
  return new Promise((resolve, reject) => {
    if (!crossOriginIsolated) throw new Error('the page is not cross-origin isolated')
    const worker = new Worker(given.script, { type: 'module' })
    worker.addEventListener('message', ({ data }) => resolve(data))
    worker.addEventListener('error', ({ message }) => reject(new Error(message)))
    worker.postMessage(given.task)
  })
}
