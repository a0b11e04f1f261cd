/**
 * Chooses the executor by what the runtime allows. What few need is loaded when it is needed: one worker for all, and relaxed
 * SIMD.
 */
import { createInlinePool } from '../engine/inline.js'
import { createPool } from '../engine/pool.js'
import { hasWorkers, loadModule, threadsOr } from '../platform/init.js'
import { canShareMemory } from '../platform/memory.js'
import type { Executor } from './executor.js'
import { createLocal } from './local.js'

/** As in QuantizerOptions: number of worker threads, and whether relaxed SIMD is used. */
export interface ExecutorOptions {
  readonly threads?: number | undefined
  readonly fastMath?: boolean | undefined
}

/**
 * Creates the executor for this runtime.
 * @throws RangeError for a number of threads that is not positive; GpfqError RUNTIME_MISSING without WebAssembly SIMD,
 * WORKER_FAILED
 */
export async function createExecutor(options: ExecutorOptions = {}): Promise<Executor> {
  const threads = threadsOr(options.threads)
  const fast = options.fastMath === true ? await loadFast() : null
  const module = fast ?? (await loadModule())
  const fastMath = fast !== null
  if (!hasWorkers()) return createLocal('inline', await createInlinePool(module), fastMath)
  if (canShareMemory()) return createLocal('pool', await createPool(threads, module), fastMath)
  const { createHosted, warnOnce } = await import('./hosted.js')
  if (threads > 1) void warnOnce()
  return createHosted(module, fastMath)
}

const loadFast = async (): Promise<WebAssembly.Module | null> =>
  (await import('../engine/relaxedModule.js')).loadFastModule()
