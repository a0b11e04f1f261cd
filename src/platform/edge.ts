/**
 * Edge runtimes: the module comes compiled, as an import; there are no workers, and compiling is not allowed. This file
 * and what imports it must not look at import.meta.url, which is undefined there.
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
