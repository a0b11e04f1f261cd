/** The process of Node that bench/web.ts starts for one task. */
import { readFile } from 'node:fs/promises'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { type WebOptions, webRuns } from './webRun.js'

/** Model and data by their paths. */
export interface WebProcessTask extends WebOptions {
  readonly model: string
  readonly data: string
}

process.once('message', async (task: WebProcessTask) => {
  const runner = await createOrtWebRunner({ threads: task.threads })
  const [model, data] = [await readFile(task.model), await readFile(task.data)]
  process.send?.(await webRuns(runner, new Uint8Array(model), new Uint8Array(data), task), () =>
    process.exit(),
  )
})
