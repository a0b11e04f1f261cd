/** "#runtimeThread" of package.json in Node, Bun and Deno. */
import { Worker } from 'node:worker_threads'
import { listenEither } from '../platform/nodeWorker.js'
import { adoptWorker, type SpawnedWorker } from '../platform/worker.js'

/** Starts the thread that ONNX Runtime runs in. @param onFailure called if it dies */
export const startThread: ((onFailure: (reason: string) => void) => SpawnedWorker) | null = (onFailure) =>
  adoptWorker(
    new Worker(new URL('../../workers/runtime.js', import.meta.url), { execArgv: [] }),
    listenEither,
    onFailure,
  )
