/**
 * Edge runtimes: the module is imported already compiled, there are no workers, and compiling at run time is not
 * allowed. This file and the files that import it must not read import.meta.url, which is undefined in these runtimes.
 */
import type { Platform } from './platform.js'
import { listenWeb } from './worker.js'

export const edgePlatform = (module: WebAssembly.Module): Platform => ({
  compile: () => Promise.resolve(module),
  compileFast: null,
  read: (url) => fetch(url),
  startWorker: null,
  listen: listenWeb,
  availableThreads: () => 1,
})
