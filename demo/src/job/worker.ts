/**
 * The page's worker: reads, plans and runs, and keeps the model and the data that it read last. ONNX Runtime computes on
 * the thread that calls it, so it runs here and not on the page's thread; it is loaded at the first run. Kernels of gpfq
 * have threads of their own. The page may end this worker at any moment.
 */
import { expose } from 'comlink'
import { createOrtWebRunner, createRunner, planModel, type Runner } from 'gpfq/onnx'
import { optionsOf } from '../pageSettings.ts'
import { type Data, readData } from './data.ts'
import { outcomeOf } from './failure.ts'
import { type ChosenModel, readModel } from './model.ts'
import type { Chosen, ChosenData, JobApi, PageSettings } from './protocol.ts'
import { run } from './run.ts'

/** A choice that is being opened, or is open. */
interface Opened<T> {
  readonly id: number
  readonly value: Promise<T>
}

let model: Opened<ChosenModel> | null = null
const data: Record<'calibration' | 'test', Opened<Data> | null> = { calibration: null, test: null }
const runners: Record<'gpu' | 'wasm', Promise<Runner> | null> = { gpu: null, wasm: null }
let running: AbortController | null = null

/** The runner of the processor, or of the GPU where there is one still. */
function runnerOf({ gpu, threads }: PageSettings): Promise<Runner> {
  const device = gpu ? 'gpu' : 'wasm'
  runners[device] ??= gpu ? createRunner({ device: 'auto', threads }) : createOrtWebRunner({ threads })
  return runners[device]
}

let opening: Promise<unknown> = Promise.resolve()

/** Opens one after the other, so that a choice is held only after the one that it replaces is let go. */
function inTurn<T>(open: () => Promise<T>): Promise<T> {
  const opened = opening.then(open)
  opening = opened.catch(() => undefined)
  return opened
}

function modelOf(chosen: Chosen): Promise<ChosenModel> {
  if (model?.id === chosen.id) return model.value
  data.calibration = data.test = null
  model = { id: chosen.id, value: inTurn(() => readModel(chosen.files)) }
  return model.value
}

function dataOf(kind: 'calibration' | 'test', chosen: Chosen, { id, ...given }: ChosenData): Promise<Data> {
  const opened = data[kind]
  if (opened?.id === id) return opened.value
  const { files, preprocessing } = given
  const first = modelOf(chosen)
  const labels = kind === 'test'
  const samples = labels ? undefined : preprocessing.samples
  const value = inTurn(async () => {
    const { summary } = await first
    return readData(files, summary.inputs, preprocessing, { labels, samples })
  })
  data[kind] = { id, value }
  return value
}

const api: JobApi = {
  holdLock: () =>
    new Promise((resolve) => {
      void navigator.locks?.request(self.name, () => {
        resolve()
        return new Promise(() => undefined)
      })
    }),

  openModel: (chosen) => outcomeOf(async () => (await modelOf(chosen)).summary),

  plan: (chosen, settings) =>
    outcomeOf(async () => planModel((await modelOf(chosen)).model, optionsOf(settings))),

  openCalibration: (chosen, given) =>
    outcomeOf(async () => (await dataOf('calibration', chosen, given)).summary),

  openTest: (chosen, given) => outcomeOf(async () => (await dataOf('test', chosen, given)).summary),

  run: (request, onEvent) =>
    outcomeOf(async () => {
      running?.abort()
      const abort = new AbortController()
      running = abort
      const { signal } = abort
      try {
        const chosen = await modelOf(request.model)
        const open = (kind: 'calibration' | 'test') => {
          const given = request[kind]
          if (given === null) data[kind] = null
          return given === null ? null : dataOf(kind, request.model, given)
        }
        const [calibration, test] = await Promise.all([open('calibration'), open('test')])
        signal.throwIfAborted()
        onEvent({ type: 'progress', fraction: 0, doing: 'starting ONNX Runtime' })
        const runner = await runnerOf(request.settings)
        return await run(request, { chosen, calibration, test, runner, signal, onEvent })
      } finally {
        if (running === abort) running = null
      }
    }),

  cancel() {
    running?.abort(new DOMException('Cancelled.', 'AbortError'))
  },
}

expose(api)
