/**
 * Where a checkpoint is kept. Two functions let anything be a store: a folder (src/data/folderStore.ts), a database, a map.
 * `storageStore` makes one of a storage of the package unstorage, which has drivers for many.
 */
import { invalidData } from '../../errors.js'

/** Bytes by name. Names are parts of a-z, A-Z, 0-9, '.', '-' and '_' with slashes between them. */
export interface Store {
  /** The bytes of this name, null where there are none. */
  get(name: string): Promise<Uint8Array | null>
  /** Keeps bytes under a name, in place of others. They are safe once it resolves, and a reader sees all of them or none. */
  set(name: string, bytes: Uint8Array): Promise<void>
  /** Removes the bytes of a name, if there are any. Without it a cluster leaves everything in its store. */
  remove?(name: string): Promise<void>
}

/** What `storageStore` needs of a storage: `createStorage` of unstorage gives one. */
export interface RawStorage {
  /** The value of a key, null where there is none. */
  getItemRaw(key: string): Promise<unknown>
  /** Keeps a value. */
  setItemRaw(key: string, value: Uint8Array): Promise<void>
  /** Removes a value. */
  removeItem(key: string): Promise<void>
}

/**
 * A store in a storage of unstorage: Redis, S3, IndexedDB and others. How safe bytes are is up to its driver.
 * @param storage what createStorage gives
 * @example
 * const storage = createStorage({ driver: redisDriver({ url, base: 'gpfq:my-model' }) })
 * await quantizeModel(bytes, { calibration, runner, checkpoint: storageStore(storage) })
 */
export const storageStore = (storage: RawStorage): Store => ({
  async get(name) {
    const value = await storage.getItemRaw(name)
    if (value === null || value === undefined) return null
    if (value instanceof Uint8Array) return value
    if (value instanceof ArrayBuffer) return new Uint8Array(value)
    throw invalidData(`storage, ${name}`, 'bytes', typeof value)
  },
  set: (name, bytes) => storage.setItemRaw(name, bytes),
  remove: (name) => storage.removeItem(name),
})
