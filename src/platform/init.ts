/**
 * The options of init(), which take precedence over what the platform offers. Calling init() is optional: the first
 * quantizer does what init() without options does. It is for pages with a Content-Security-Policy, extensions, files on
 * another origin and edge runtimes, where the package cannot find its own files or may not start its own workers.
 */
import { platform } from '#platform'
import { checkWhole } from '../checks.js'
import { compileFrom, type WasmSource } from './compile.js'
import { memoizeAsync } from './memoizeAsync.js'
import { adoptWorker, type SpawnedWorker, type WorkerLike } from './worker.js'

/** Where the kernels and workers come from. */
export interface InitOptions {
  /** gpfq.wasm: compiled, as bytes, as a Response, or its URL (in Node also a path). */
  readonly wasm?: WasmSource | string | URL | Promise<WasmSource | string | URL>
  /** URL of the worker's script ("gpfq/worker"): one file, of any origin. */
  readonly workerUrl?: string | URL
  /** Starts a worker that runs "gpfq/worker": a Web Worker or one of node:worker_threads. Used instead of `workerUrl`. */
  readonly createWorker?: () => WorkerLike | Promise<WorkerLike>
  /** Threads of a quantizer without a `threads` option. Default: all that the machine offers. */
  readonly threads?: number
}

let given: InitOptions = {}
let load = memoizeAsync(compile)

/**
 * Sets where the kernels and workers come from, and compiles the kernels. It may be called again: options that are given
 * replace earlier ones, for quantizers created afterwards; the others stay.
 * @param options none of them is needed where the package finds its own files
 * @throws TypeError, RangeError for options
 * @throws GpfqError RUNTIME_MISSING if the kernels cannot be loaded or compiled
 * @example
 * await init({ wasm: '/assets/gpfq.wasm', workerUrl: '/assets/gpfq.worker.js', threads: 4 })
 */
export async function init(options: InitOptions = {}): Promise<void> {
  if (options.threads !== undefined) checkThreads(options.threads)
  if (options.wasm !== undefined && options.wasm !== given.wasm) load = memoizeAsync(compile)
  const named = Object.entries(options).filter(([, value]) => value !== undefined)
  given = { ...given, ...Object.fromEntries(named) }
  await loadModule()
}

/** The compiled kernels. All quantizers share them. */
export const loadModule = (): Promise<WebAssembly.Module> => load()

function compile(): Promise<WebAssembly.Module> {
  return given.wasm === undefined
    ? platform.compile()
    : compileFrom(resolveSource(given.wasm), placeOf(given.wasm))
}

async function resolveSource(wasm: NonNullable<InitOptions['wasm']>): Promise<WasmSource> {
  const source = await wasm
  return typeof source === 'string' || source instanceof URL ? platform.read(source) : source
}

const placeOf = (wasm: InitOptions['wasm']): string =>
  typeof wasm === 'string' || wasm instanceof URL ? String(wasm) : 'the module given to init({ wasm })'

/** Whether workers can be started at all. */
export const hasWorkers = (): boolean => given.createWorker !== undefined || platform.startWorker !== null

/**
 * Starts one worker.
 * @param onFailure called if the worker dies, does not load or throws outside of a call
 * @throws TypeError if createWorker returns no worker
 */
export async function spawnWorker(onFailure: (reason: string) => void): Promise<SpawnedWorker> {
  const { createWorker, workerUrl } = given
  const worker = createWorker === undefined ? platform.startWorker?.(workerUrl) : createWorker()
  // A worker that exists already is adopted in this tick, so that its first error is not missed.
  return adoptWorker(worker instanceof Promise ? await worker : worker, platform.listen, onFailure)
}

/** Number of threads: as given here, else as given to init(), else all that the machine offers. @throws RangeError */
export function threadsOr(threads: number | undefined): number {
  const chosen = threads ?? given.threads ?? Math.min(MOST_THREADS, platform.availableThreads())
  checkThreads(chosen)
  return chosen
}

const MOST_THREADS = 256

const checkThreads = (threads: number): void => checkWhole('threads', threads, 1, MOST_THREADS)
