/**
 * Browsers: the module and the worker lie beside the script. Both are named as `new URL(…, import.meta.url)`, which
 * bundlers follow and turn into files of their own output; worker.js holds all it needs in one file, for import maps do
 * not reach into workers. A browser starts no worker from another origin: there, a blob of one line imports it.
 */
import { compileFrom, WITHOUT_FAST } from './compile.js'
import type { Platform } from './platform.js'
import { listenWeb } from './worker.js'

export const platform: Platform = {
  compile() {
    const url = new URL('../../gpfq.wasm', import.meta.url)
    return compileFrom(fetch(url), url.href)
  },
  compileFast() {
    const url = new URL('../../gpfq.relaxed.wasm', import.meta.url)
    return compileFrom(fetch(url), url.href, WITHOUT_FAST)
  },
  read: (url) => fetch(url),
  startWorker:
    typeof Worker === 'undefined'
      ? null
      : (given) => {
          const url = new URL(given ?? new URL('../../worker.js', import.meta.url), location.href)
          const here = !/^https?:$/.test(url.protocol) || url.origin === location.origin
          return new Worker(here ? url : importer(url), { type: 'module' })
        },
  listen: listenWeb,
  availableThreads: () => navigator.hardwareConcurrency ?? 1,
}

function importer(url: URL): string {
  return URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)}`], { type: 'text/javascript' }))
}
