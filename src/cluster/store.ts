/** The store of a URL: redis://HOST:PORT keeps blobs in Redis, anything else is a folder that all machines share. */
import { folderStore } from '../data/folderStore.js'
import { GpfqError, reasonOf } from '../errors.js'
import { type Store, storageStore } from '../model/checkpoint/store.js'
import { redisError } from './queue.js'

/** A store, and how its connection is ended. */
export interface OpenStore {
  readonly store: Store
  /** Ends the connection. */
  close(): Promise<void>
}

/**
 * @param url redis://HOST:PORT, rediss: for TLS, or a folder
 * @throws GpfqError RUNTIME_MISSING where unstorage is not installed; FILE_ACCESS from the functions of the store
 */
export async function openStore(url: string): Promise<OpenStore> {
  if (!/^rediss?:/.test(url)) return { store: folderStore(url), close: async () => {} }
  const { createStorage, redis } = await loadStorage()
  const driver = redis({ url, base: 'gpfq-store' })
  // ioredis prints errors of connections that nobody listens to. Calls that wait for one fail after some retries.
  let lost = 'no connection'
  driver.getInstance?.().on('error', (error: unknown) => {
    lost = reasonOf(error) || lost
  })
  const failed = (cause: unknown): never => {
    throw redisError('store', cause, lost)
  }
  const storage = createStorage({ driver })
  const { get, set } = storageStore(storage)
  return {
    store: {
      get: (name) => get(name).catch(failed),
      set: (name, bytes) => set(name, bytes).catch(failed),
      remove: (name) => storage.removeItem(name).catch(failed),
    },
    close: () => storage.dispose(),
  }
}

async function loadStorage() {
  try {
    const { createStorage } = await import('unstorage')
    const { default: redis } = await import('unstorage/drivers/redis')
    return { createStorage, redis }
  } catch (cause) {
    const problem = 'the packages unstorage and ioredis are needed and cannot be loaded'
    const hint = 'npm install unstorage ioredis'
    throw new GpfqError('RUNTIME_MISSING', { place: 'store', problem, hint }, { cause })
  }
}
