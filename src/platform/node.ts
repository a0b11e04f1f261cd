/** Node, Bun and Deno: the module is read from the package's folder, workers are worker_threads. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import type { Platform } from './platform.js'

export const platform: Platform = {
  async compile() {
    return WebAssembly.compile(await readFile(new URL('../../gpfq.wasm', import.meta.url)))
  },
  spawn(onFailure) {
    const worker = new Worker(new URL('../../workers/node.js', import.meta.url))
    let closing = false
    worker.on('error', (error) => onFailure(error.message))
    worker.on('exit', (code) => {
      if (!closing) onFailure(`exit code ${code}`)
    })
    return {
      endpoint: nodeEndpoint(worker),
      async terminate() {
        closing = true
        await worker.terminate()
      },
    }
  },
  availableThreads: () => availableParallelism(),
}
