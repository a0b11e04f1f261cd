/**
 * Everything that differs between runtimes: where the module's bytes are, how a worker is started, how many threads are
 * useful. Each runtime has one small file that implements this interface. The import "#platform" in package.json
 * chooses the file by the conditions that runtimes and bundlers set, so no code detects the runtime. Options of init()
 * take precedence (init.ts).
 */
import type { Listen, WorkerLike } from './worker.js'

export interface Platform {
  /** Compiles the module that the package ships. */
  compile(): Promise<WebAssembly.Module>
  /** Compiles the module with relaxed SIMD (engine/relaxedModule.ts); null where only imported modules can run. */
  readonly compileFast: (() => Promise<WebAssembly.Module>) | null
  /** Reads a file that the caller names, for instance the module at another URL. */
  read(url: string | URL): Promise<Response | Uint8Array<ArrayBuffer>>
  /** Starts a worker from the given script or the package's own; null where the runtime has no workers. */
  readonly startWorker: ((url: string | URL | undefined) => WorkerLike) | null
  /** Makes an endpoint of a worker, for the kinds of workers that the runtime has. */
  readonly listen: Listen
  availableThreads(): number
  /** Most pages of 64 KiB that a memory should reserve, where the addresses of the process are limited. */
  readonly mostPages?: () => number
  /** What to do where no memory can be reserved. */
  readonly memoryHint?: string
  /** Most bytes of resident memory that the process ever had; null where the platform does not say it. */
  readonly processBytes?: () => number | null
}
