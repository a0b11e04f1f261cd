/** Node, Bun and Deno: the module is read from the package's folder, workers are worker_threads. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Platform } from './platform.js'

export const platform: Platform = {
  async compile() {
    return WebAssembly.compile(await readFile(new URL('../../gpfq.wasm', import.meta.url)))
  },
  async compileFast() {
    return WebAssembly.compile(await readFile(new URL('../../gpfq.relaxed.wasm', import.meta.url)))
  },
  async read(place) {
    const url = new URL(place, pathToFileURL('./')) // a bare path counts from the working folder
    return url.protocol === 'file:' ? new Uint8Array(await readFile(url)) : fetch(url)
  },
  // Flags of the process are not the worker's: with --input-type or --eval it would not start.
  startWorker: (url) =>
    new Worker(url ?? new URL('../../workers/node.js', import.meta.url), { execArgv: [] }),
  availableThreads: () => availableParallelism(),
}
