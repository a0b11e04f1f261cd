/**
 * A store in a folder, for checkpoints in Node, Bun and Deno. What was set is on the disk: it is written to a temporary file beside,
 * synced, and renamed, and then the folder is synced. So a process that is killed, or a machine that loses its power, leaves a file
 * whole, as it was before or not at all; and at most a temporary file.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { rangeError } from '../checks.js'
import type { Store } from '../model/checkpoint/store.js'
import { accessError, systemCode } from './access.js'

/**
 * A store in a folder.
 * @param folder is created by the first `set`, if it is not there
 * @throws GpfqError FILE_ACCESS, from its functions
 * @example
 * await quantizeModel(bytes, { calibration, runner, checkpoint: folderStore('run1') })
 */
export function folderStore(folder: string): Store {
  return {
    async get(name) {
      const path = pathOf(folder, name)
      try {
        const { buffer, byteOffset, length } = await readFile(path)
        return new Uint8Array(buffer, byteOffset, length)
      } catch (cause) {
        if (systemCode(cause) === 'ENOENT') return null
        throw accessError(path, 'a readable file', cause)
      }
    },
    async set(name, bytes) {
      const path = pathOf(folder, name)
      try {
        await createFolder(dirname(path))
        await write(path, bytes)
        await syncFolder(dirname(path))
      } catch (cause) {
        throw accessError(path, 'a writable place', cause)
      }
    },
    async remove(name) {
      const path = pathOf(folder, name)
      try {
        await rm(path, { force: true })
      } catch (cause) {
        throw accessError(path, 'a place that files can be removed from', cause)
      }
    },
  }
}

/** @throws RangeError for names that are none of a store: they could lead out of the folder */
function pathOf(folder: string, name: string): string {
  if (/^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/.test(name)) return resolve(folder, name)
  throw rangeError('name', 'letters, digits, ".", "-" and "_", in parts with slashes between them', name)
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to report
    throw cause
  }
}

/** Creates a folder, and syncs those that its name is written in. @param path absolute */
async function createFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let at = path; at.startsWith(first) && at !== dirname(at); at = dirname(at))
    await syncFolder(dirname(at))
}

/** Writes the names in a folder to the disk, where the system can. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
