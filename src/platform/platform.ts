/**
 * What differs between runtimes, and nothing else: where the module's bytes lie, how a worker is started, how many
 * threads make sense. One small file a runtime implements it; package.json's "#platform" picks one by the conditions
 * that runtimes and bundlers set, so nothing is sniffed. What a caller's init() says comes on top (init.ts).
 */
import type { Listen, WorkerLike } from './worker.js'

export interface Platform {
  /** Compiles the module that the package ships. */
  compile(): Promise<WebAssembly.Module>
  /** Compiles its twin with relaxed SIMD (fastMath.ts); null where only modules that are imported run. */
  readonly compileFast: (() => Promise<WebAssembly.Module>) | null
  /** Reads a file that the caller names, for instance the same module at another place. */
  read(url: string | URL): Promise<Response | Uint8Array<ArrayBuffer>>
  /** Starts a worker from the package's entry or the given one; null where the runtime has no workers. */
  readonly startWorker: ((url: string | URL | undefined) => WorkerLike) | null
  /** The kinds of workers that a caller may hand in here. */
  readonly listen: Listen
  availableThreads(): number
}
