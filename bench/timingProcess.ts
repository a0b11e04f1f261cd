/** The process of timeInProcess. It is started for one task and ends with it. */
import { readFile } from 'node:fs/promises'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { timeBatches } from './timeBatches.js'
import type { TimingTask } from './timing.js'

process.once('message', async (task: TimingTask) => {
  const runner = await createOrtWebRunner({ threads: task.threads })
  const float = new Uint8Array(await readFile(task.floatPath))
  const written = new Uint8Array(await readFile(task.writtenPath))
  process.send?.(await timeBatches(runner, [float, written], task), () => process.exit())
})
