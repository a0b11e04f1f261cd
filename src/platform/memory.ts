/**
 * The memory that the kernels run on. It is a shared memory everywhere, because the module imports one. Every runtime
 * can create it, but not every page may post it to a worker. Only posting one shows whether that works: a page can be
 * cross-origin isolated and still lack SharedArrayBuffer (WebKitGTK), and a page that is not isolated can create shared
 * memories.
 */
import { platform } from '#platform'
import { outOfMemory } from '../errors.js'

/** 4 GiB, in pages of 64 KiB. */
const MOST_PAGES = 65536
/** 128 MiB: the smallest maximum that is tried. */
const LEAST_PAGES = 2048

/**
 * Reserves 4 GiB of addresses, or less where the system refuses that; less is enough for most layers.
 * @throws GpfqError OUT_OF_MEMORY where the system refuses 128 MiB, too
 */
export function createMemory(
  initial: number,
  maximum = platform.mostPages?.() ?? MOST_PAGES,
): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial, maximum, shared: true })
  } catch (cause) {
    if (maximum > LEAST_PAGES) return createMemory(initial, maximum / 2)
    throw outOfMemory('shared memory', 65536 * maximum, '', platform.memoryHint, cause)
  }
}

/**
 * Whether shared memory can be posted to workers. Tries it on a channel of its own.
 * @throws GpfqError OUT_OF_MEMORY where there is no memory to try it with
 */
export function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined' || typeof MessageChannel === 'undefined') return false
  const memory = createMemory(1, 1)
  const { port1, port2 } = new MessageChannel()
  try {
    port1.postMessage(memory)
    return true
  } catch {
    return false
  } finally {
    port1.close()
    port2.close()
  }
}
