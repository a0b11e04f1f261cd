/**
 * "#scratch" of package.json in Node, Bun and Deno: a file in the folder for temporary files. Its name is removed as soon as it
 * is open, so nobody else can open it, and a process that is killed leaves nothing behind. Where an open file cannot be
 * removed, that is done at the end.
 */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ScratchFile } from './scratch.js'

export async function openScratch(): Promise<ScratchFile | null> {
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-')).catch(() => null)
  if (folder === null) return null
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  const file = await open(join(folder, 'tensors'), 'wx+', 0o600).catch(() => null)
  await remove().catch(() => {})
  if (file === null) return null
  return {
    async read(at, bytes) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, at + done)
        if (bytesRead === 0) throw new RangeError(`a temporary file ends at ${at + done}`)
        done += bytesRead
      }
    },
    async write(at, bytes) {
      for (let done = 0; done < bytes.length; )
        done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    },
    async close() {
      await file.close()
      await remove().catch(() => {})
    },
  }
}
