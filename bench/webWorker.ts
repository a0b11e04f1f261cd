/** The worker of a page that bench/web.ts starts, as the demo page has one. It runs one task. */
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { type WebOptions, webRuns } from './webRun.js'

/** Model and data by their addresses. */
export interface WebWorkerTask extends WebOptions {
  readonly model: string
  readonly data: string
}

const fetched = async (url: string): Promise<Uint8Array> =>
  new Uint8Array(await (await fetch(url)).arrayBuffer())

addEventListener('message', async ({ data: task }: MessageEvent<WebWorkerTask>) => {
  const runner = await createOrtWebRunner({ threads: task.threads })
  postMessage(await webRuns(runner, await fetched(task.model), await fetched(task.data), task))
})
