/**
 * The page's worker: holds the model and the data, plans and runs. ONNX Runtime computes on the thread that calls it, so
 * it runs here and not on the page's thread; it is loaded at the first run. Kernels of gpfq have threads of their own.
 */
import { expose } from 'comlink'
import { createOrtWebRunner, planModel, type Runner } from 'gpfq/onnx'
import { optionsOf } from '../pageSettings.ts'
import { type Data, readData } from './data.ts'
import { outcomeOf } from './failure.ts'
import { type ChosenModel, readModel } from './model.ts'
import type { JobApi, Outcome } from './protocol.ts'
import { needModel, run } from './run.ts'

let model: ChosenModel | null = null
let calibration: Data | null = null
let test: Data | null = null
let runner: Promise<Runner> | null = null
let running: AbortController | null = null

let opening: Promise<unknown> = Promise.resolve()

/** Opens one after the other, so that the last request decides and no data of an earlier model stays. */
function inTurn<T>(open: () => Promise<T>): Promise<Outcome<T>> {
  const outcome = opening.then(() => outcomeOf(open))
  opening = outcome
  return outcome
}

const api: JobApi = {
  openModel: (files) =>
    inTurn(async () => {
      model = calibration = test = null
      model = await readModel(files)
      return model.summary
    }),

  plan: (settings) => outcomeOf(async () => planModel(needModel(model).model, optionsOf(settings))),

  openCalibration: (files, preprocessing) =>
    inTurn(async () => {
      calibration = null
      if (files === null) return null
      const wanted = { labels: false, samples: preprocessing.samples }
      calibration = await readData(files, needModel(model).summary.inputs, preprocessing, wanted)
      return calibration.summary
    }),

  openTest: (files, preprocessing) =>
    inTurn(async () => {
      test = null
      if (files === null) return null
      const wanted = { labels: true, samples: undefined }
      test = await readData(files, needModel(model).summary.inputs, preprocessing, wanted)
      return test.summary
    }),

  run: (request, onEvent) =>
    outcomeOf(async () => {
      running?.abort()
      const abort = new AbortController()
      running = abort
      await opening
      onEvent({ type: 'progress', fraction: 0, doing: 'starting ONNX Runtime' })
      runner ??= createOrtWebRunner({ threads: request.settings.threads })
      try {
        return await run(request, {
          chosen: needModel(model),
          calibration,
          test,
          runner: await runner,
          signal: abort.signal,
          onEvent,
        })
      } finally {
        if (running === abort) running = null
      }
    }),

  cancel() {
    running?.abort(new DOMException('Cancelled.', 'AbortError'))
  },
}

expose(api)
