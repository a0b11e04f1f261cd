/**
 * Browsers: the module and the worker are files beside the script. Both are named as `new URL(…, import.meta.url)`,
 * which bundlers recognize, and copy the files into their output. worker.js is bundled into one file, because import
 * maps do not apply inside workers. A browser starts no worker from another origin; there the worker is a blob of one
 * line that imports the script.
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
          const sameOrigin = !/^https?:$/.test(url.protocol) || url.origin === location.origin
          return new Worker(sameOrigin ? url : importer(url), { type: 'module' })
        },
  listen: listenWeb,
  availableThreads: () => navigator.hardwareConcurrency ?? 1,
}

/** URL of a module of one line that imports another. */
function importer(url: URL): string {
  return URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)}`], { type: 'text/javascript' }))
}
