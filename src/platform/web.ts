/** Browsers: the module is fetched beside the script, workers are module Web Workers. */
import type { Platform } from './platform.js'

export const platform: Platform = {
  compile() {
    return WebAssembly.compileStreaming(fetch(new URL('../../gpfq.wasm', import.meta.url)))
  },
  spawn(onFailure) {
    const worker = new Worker(new URL('../../workers/web.js', import.meta.url), { type: 'module' })
    worker.addEventListener('error', (event) => onFailure(event.message))
    return {
      endpoint: worker,
      async terminate() {
        worker.terminate()
      },
    }
  },
  availableThreads: () => navigator.hardwareConcurrency,
}
