/**
 * The memory that the kernels run on. It is a shared memory everywhere, because the module imports one. Every runtime
 * can create it, but not every page may post it to a worker. Only posting one shows whether that works: a page can be
 * cross-origin isolated and still lack SharedArrayBuffer (WebKitGTK), and a page that is not isolated can create shared
 * memories.
 */

/** 4 GiB, in pages of 64 KiB. */
const MOST_PAGES = 65536
/** 128 MiB: the smallest maximum that is tried. */
const LEAST_PAGES = 2048

/** Reserves 4 GiB of addresses, or less where the system refuses that; less is enough for most layers. */
export function createMemory(initialPages: number): WebAssembly.Memory {
  for (let maximum = MOST_PAGES; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: initialPages, maximum, shared: true })
    } catch (error) {
      if (maximum === LEAST_PAGES) throw error
    }
  }
}

/** Whether shared memory can be posted to workers. Tries it on a channel of its own. */
export function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined' || typeof MessageChannel === 'undefined') return false
  const { port1, port2 } = new MessageChannel()
  try {
    port1.postMessage(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }))
    return true
  } catch {
    return false
  } finally {
    port1.close()
    port2.close()
  }
}
