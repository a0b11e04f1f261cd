/** One quantization of a model by phases: what a process of Node and a worker of a page have in common. */
import type { Runner } from '#src/calibration/runner.js'
import { type FeedOptions, loadFeeds } from '#src/data/feeds.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { openModel } from '#src/onnx/openModel.js'

export interface WebOptions {
  /** Of ONNX Runtime, and as many of gpfq. */
  readonly threads: number
  readonly feeds: FeedOptions
  /** Runs one after the other. */
  readonly times: number
}

/** Seconds. */
export interface WebRun {
  /** Of every session that was created, and of every run of one. */
  readonly sessions: readonly number[]
  readonly runs: readonly number[]
  /** Patches, H and G, codes. */
  readonly quantization: number
  readonly total: number
  readonly sha256: string
}

export async function webRuns(
  runner: Runner,
  model: Uint8Array,
  data: Uint8Array,
  { threads, feeds, times }: WebOptions,
): Promise<readonly WebRun[]> {
  const opened = await openModel(model)
  const file = { name: 'data.npy.gz', bytes: async () => data }
  const calibration = await loadFeeds([{ name: file.name, files: [file] }], opened.inputs, feeds)
  const results: WebRun[] = []
  while (results.length < times) {
    const [sessions, runs]: [number[], number[]] = [[], []]
    const { model, report } = await quantizeModel(opened, {
      ...{ calibration, threads },
      runner: timedRunner(runner, sessions, runs),
    })
    const { quantization, total } = report.seconds
    results.push({ sessions, runs, quantization, total, sha256: await sha256(model) })
  }
  return results
}

function timedRunner(runner: Runner, sessions: number[], runs: number[]): Runner {
  async function timed<T>(times: number[], act: () => Promise<T>): Promise<T> {
    const start = performance.now()
    const result = await act()
    times.push((performance.now() - start) / 1000)
    return result
  }
  return {
    name: runner.name,
    async load(model) {
      const { inputs, outputs, run, close } = await timed(sessions, () => runner.load(model))
      return { inputs, outputs, run: (...args) => timed(runs, () => run(...args)), close }
    },
  }
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes)))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
