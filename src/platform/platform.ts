/**
 * What differs between runtimes, and nothing else: where the module's bytes lie, how a worker is made, how many threads
 * make sense. node.ts and web.ts implement it; package.json's "#platform" picks one.
 */
import type { Endpoint } from 'comlink'

export interface SpawnedWorker {
  readonly endpoint: Endpoint
  terminate(): Promise<void>
}

export interface Platform {
  compile(): Promise<WebAssembly.Module>
  /** Starts a worker. `onFailure` is called once if it dies or throws outside of a call. */
  spawn(onFailure: (reason: string) => void): SpawnedWorker
  availableThreads(): number
}
