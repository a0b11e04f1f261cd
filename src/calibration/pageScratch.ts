/**
 * "#scratch" of package.json in browsers: a file in the page's private file system, which workers can read and write in place.
 * On the main thread there is no such access, and so no file. A tab that was closed leaves its file behind; the next one removes
 * it, because a file is locked as long as it is open.
 */
import type { ScratchFile } from './scratch.js'

/** What workers have and TypeScript's types of pages lack. */
interface SyncAccess {
  read(bytes: Uint8Array, options: { readonly at: number }): number
  write(bytes: Uint8Array, options: { readonly at: number }): number
  close(): void
}
interface SyncFile extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncAccess>
}

const FOLDER = 'gpfq-scratch'

const hasSyncAccess = (file: FileSystemFileHandle): file is SyncFile => 'createSyncAccessHandle' in file

export const openScratch = (): Promise<ScratchFile | null> => openIn(FOLDER).catch(() => null)

async function openIn(name: string): Promise<ScratchFile | null> {
  const root = await navigator.storage.getDirectory()
  const folder = await root.getDirectoryHandle(name, { create: true })
  await removeOld(folder)
  const own = crypto.randomUUID()
  const file = await folder.getFileHandle(own, { create: true })
  if (!hasSyncAccess(file)) {
    await folder.removeEntry(own)
    return null
  }
  const access = await file.createSyncAccessHandle()
  return {
    async read(at, bytes) {
      if (access.read(bytes, { at }) !== bytes.length)
        throw new RangeError(`a temporary file ends before ${at + bytes.length}`)
    },
    async write(at, bytes) {
      if (access.write(bytes, { at }) !== bytes.length) throw new RangeError('a temporary file is full')
    },
    async close() {
      access.close()
      await folder.removeEntry(own)
    },
  }
}

/** Removes the files of tabs that are closed; those in use refuse. */
async function removeOld(folder: FileSystemDirectoryHandle): Promise<void> {
  for await (const name of folder.keys()) await folder.removeEntry(name).catch(() => {})
}
