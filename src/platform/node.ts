/** Node, Bun and Deno: the module is read from the package's folder, and workers are worker_threads. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { compileFrom, WITHOUT_FAST } from './compile.js'
import { addressesLeft, checkThread, MEMORY_HINT, mostPages, processBytes } from './nodeMemory.js'
import { listenEither } from './nodeWorker.js'
import type { Platform } from './platform.js'

const bytesAt = async (file: URL): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await readFile(file))

export const platform: Platform = {
  compile() {
    const url = new URL('../../gpfq.wasm', import.meta.url)
    return compileFrom(bytesAt(url), url.href)
  },
  compileFast() {
    const url = new URL('../../gpfq.relaxed.wasm', import.meta.url)
    return compileFrom(bytesAt(url), url.href, WITHOUT_FAST)
  },
  async read(place) {
    const url = new URL(place, pathToFileURL('./')) // a bare path is relative to the working directory
    return url.protocol === 'file:' ? bytesAt(url) : fetch(url)
  },
  // Without execArgv a worker inherits the flags of the process, and with --input-type or --eval it would not start.
  startWorker(url) {
    checkThread()
    return new Worker(url ?? new URL('../../worker.cjs', import.meta.url), { execArgv: [] })
  },
  listen: listenEither,
  availableThreads: () =>
    Math.max(1, Math.min(availableParallelism(), Math.floor(addressesLeft() / 2 ** 33))),
  mostPages,
  memoryHint: MEMORY_HINT,
  processBytes,
}
