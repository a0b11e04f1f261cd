/** "#runtimeThread" of package.json in Node, Bun and Deno. */
import { Worker } from 'node:worker_threads'
import { addressesLeft } from '../platform/nodeMemory.js'
import { listenEither } from '../platform/nodeWorker.js'
import { adoptWorker, type SpawnedWorker } from '../platform/worker.js'

/** Where the process has fewer addresses than these (`ulimit -v`), they are left to the kernels and ONNX Runtime runs in this thread. */
const ENOUGH_ADDRESSES = 2 ** 32

/** Starts the thread that ONNX Runtime runs in. @param onFailure called if it dies */
export const startThread: ((onFailure: (reason: string) => void) => SpawnedWorker) | null =
  addressesLeft() < ENOUGH_ADDRESSES
    ? null
    : (onFailure) =>
        adoptWorker(
          new Worker(new URL('../../workers/runtime.js', import.meta.url), { execArgv: [] }),
          listenEither,
          onFailure,
        )
