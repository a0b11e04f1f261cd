/** A worker in a process of its own (machines.ts). It says when it takes a job, and can be killed in the middle of one. */

import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { openStore, runWorker } from '#src/cluster/index.js'

const [queue = '', folder = '', killedIn = ''] = process.argv.slice(2)
const { store } = await openStore(folder)
const controller = new AbortController()
process.on('SIGTERM', () => controller.abort())
process.on('disconnect', () => controller.abort())
await runWorker({
  ...{ queue, store, threads: 1, stalledAfter: 1500, signal: controller.signal },
  runner: await createOrtWebRunner({ threads: 1 }),
  onJob: (count, kind) => {
    if (count === Number(killedIn)) process.kill(process.pid, 'SIGKILL')
    process.send?.({ count, kind })
  },
})
process.exit(0)
