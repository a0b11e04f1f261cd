/** Chooses the executor by what the runtime allows. If a page cannot share memory, it warns once and says how to change it. */
import { createInlinePool } from '../engine/inline.js'
import { createPool } from '../engine/pool.js'
import { loadFastModule } from '../engine/relaxedModule.js'
import { hasWorkers, loadModule, threadsOr } from '../platform/init.js'
import { memoizeAsync } from '../platform/memoizeAsync.js'
import { canShareMemory } from '../platform/memory.js'
import type { Executor } from './executor.js'
import { createHosted } from './hosted.js'
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
  const fast = options.fastMath === true ? await loadFastModule() : null
  const module = fast ?? (await loadModule())
  const fastMath = fast !== null
  if (!hasWorkers()) return createLocal('inline', await createInlinePool(module), fastMath)
  if (canShareMemory()) return createLocal('pool', await createPool(threads, module), fastMath)
  if (threads > 1) void warnOnce()
  return createHosted(module, fastMath)
}

const warnOnce = memoizeAsync(async () =>
  console.warn(
    'gpfq: this page cannot share memory, so there is one worker only; for more, serve it with ' +
      'Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp',
  ),
)
