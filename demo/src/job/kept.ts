/**
 * Solved layers of the run at hand, in the browser's own storage on this device: a tab that was closed goes on behind them when it
 * gets the same files again. They are dropped when the run is done or cancelled. What cannot be kept is not, and the run goes on.
 */
import type { Store } from 'gpfq/onnx'

const FILES = 'files'

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('gpfq-run', 1)
    request.onupgradeneeded = () => request.result.createObjectStore(FILES)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** One request in a transaction of its own; undefined where the browser refuses it. */
async function ask(
  mode: IDBTransactionMode,
  request: (files: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  try {
    const database = await open()
    try {
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(FILES, mode)
        const asked = request(transaction.objectStore(FILES))
        transaction.oncomplete = () => resolve(asked.result)
        transaction.onabort = () => reject(transaction.error)
      })
    } finally {
      database.close()
    }
  } catch {
    return undefined
  }
}

export const kept: Store = {
  async get(name) {
    const value = await ask('readonly', (files) => files.get(name))
    return value instanceof Uint8Array ? value : null
  },
  async set(name, bytes) {
    await ask('readwrite', (files) => files.put(bytes, name))
  },
}

export async function dropKept(): Promise<void> {
  await ask('readwrite', (files) => files.clear())
}
