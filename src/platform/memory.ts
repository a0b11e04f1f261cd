/**
 * The memory that the kernels run on: of the shared type everywhere, for the module imports one. Making it is always
 * possible; posting it to a worker is not. Whether it is can only be found out by trying: a page can be cross-origin
 * isolated without SharedArrayBuffer (WebKitGTK), and makes shared memories without being isolated.
 */

/** Most pages of 64 KiB, 4 GiB. */
const MOST_PAGES = 65536
const LEAST_PAGES = 2048

/** Some systems refuse to reserve 4 GiB of addresses; less is enough for most layers. */
export function createMemory(initialPages: number): WebAssembly.Memory {
  for (let maximum = MOST_PAGES; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: initialPages, maximum, shared: true })
    } catch (error) {
      if (maximum === LEAST_PAGES) throw error
    }
  }
}

/** Whether shared memory can be posted to workers, by posting one. */
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
