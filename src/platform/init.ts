/**
 * What the caller said with init(), over what the platform offers. Nobody has to call it: the first quantizer does what
 * init() without options does. It is for pages with a Content-Security-Policy, extensions, files on another origin and
 * edge runtimes, where the package cannot find its own files or may not start its own workers.
 */
import { platform } from '#platform'
import { checkWhole } from '../checks.js'
import { compileFrom, type WasmSource } from './compile.js'
import { memoizeAsync } from './memoizeAsync.js'
import { adoptWorker, type SpawnedWorker, type WorkerLike } from './worker.js'

export interface InitOptions {
  /** gpfq.wasm: compiled, as bytes, as a Response, or where it lies. */
  readonly wasm?: WasmSource | string | URL | Promise<WasmSource | string | URL>
  /** Where the worker's script lies ("gpfq/worker"); one file, of any origin. */
  readonly workerUrl?: string | URL
  /** Starts a worker that runs "gpfq/worker": a Web Worker or one of node:worker_threads. Goes before `workerUrl`. */
  readonly createWorker?: () => WorkerLike | Promise<WorkerLike>
  /** Threads of a quantizer that is not told otherwise; default all that the machine offers. */
  readonly threads?: number
}

let given: InitOptions = {}
let load = memoizeAsync(compile)

/**
 * Settles where the kernels and workers come from, and compiles the kernels. May be called again: what is named replaces
 * what was said before, for quantizers made from then on; the rest stays.
 * @throws TypeError, RangeError for options; GpfqError RUNTIME_MISSING if the kernels cannot be had.
 */
export async function init(options: InitOptions = {}): Promise<void> {
  if (options.threads !== undefined) checkThreads(options.threads)
  if (options.wasm !== undefined && options.wasm !== given.wasm) load = memoizeAsync(compile)
  const named = Object.entries(options).filter(([, value]) => value !== undefined)
  given = { ...given, ...Object.fromEntries(named) }
  await loadModule()
}

/** The compiled kernels; compiled once for all quantizers. */
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
  typeof wasm === 'string' || wasm instanceof URL ? String(wasm) : 'what init({ wasm }) was given'

/** Whether workers can be had at all. */
export const hasWorkers = (): boolean => given.createWorker !== undefined || platform.startWorker !== null

/** @param onFailure called if the worker dies, does not load or throws outside of a call. */
export async function spawnWorker(onFailure: (reason: string) => void): Promise<SpawnedWorker> {
  const worker = given.createWorker?.() ?? platform.startWorker?.(given.workerUrl)
  if (worker === undefined) throw new TypeError('createWorker: expected a worker, got undefined')
  // A worker that is there already is adopted at once: its first error must not go unheard.
  return adoptWorker(worker instanceof Promise ? await worker : worker, platform.listen, onFailure)
}

/** @returns `threads`, or what init() said, or all that the machine offers. */
export function threadsOr(threads: number | undefined): number {
  const chosen = threads ?? given.threads ?? Math.min(MOST_THREADS, platform.availableThreads())
  checkThreads(chosen)
  return chosen
}

const MOST_THREADS = 256

const checkThreads = (threads: number): void => checkWhole('threads', threads, 1, MOST_THREADS)
