/**
 * The page that times models in a browser. bench/timingBrowser.ts serves it and calls `timeModels`. ONNX Runtime starts its
 * threads from this same file, and they need it imported at once, not when a runner is created.
 */
import * as ort from 'onnxruntime-web/wasm'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Speed } from '#src/calibration/speed.js'
import { type BatchTask, timeBatches } from './timeBatches.js'

/** What the page gets; models by their addresses. */
export interface PageTask extends BatchTask {
  readonly float: string
  readonly written: string
}

export interface TimingWindow {
  timeModels(task: PageTask): Promise<readonly Speed[]>
}

const fetched = async (url: string): Promise<Uint8Array> =>
  new Uint8Array(await (await fetch(url)).arrayBuffer())

const page: TimingWindow = {
  async timeModels(task) {
    if (!crossOriginIsolated) throw new Error('the page is not cross-origin isolated')
    const runner = await createOrtWebRunner({ threads: task.threads, ort })
    return timeBatches(runner, [await fetched(task.float), await fetched(task.written)], task)
  },
}
Object.assign(globalThis, page)
