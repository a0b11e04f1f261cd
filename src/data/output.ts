/**
 * Output files in Node. An output is written whole or not at all: to a temporary file in the same folder, which is then
 * renamed. The temporary name is random and must be free, so that nothing that lies there is written to. Of a symbolic link
 * the target is written, and an existing file keeps its mode.
 */
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  constants,
  lstatSync,
  readlinkSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { accessError, systemReason } from './access.js'

/**
 * Checks whether a file can be written, before any work is done.
 * @param force an existing file may be replaced
 * @throws {GpfqError} FILE_EXISTS if the file exists and `force` is false; FILE_ACCESS if it cannot be written
 */
export function checkOutput(path: string, force: boolean): void {
  if (path === '')
    throw new GpfqError('FILE_ACCESS', {
      place: 'output',
      expected: 'the name of a file',
      got: 'an empty one',
      hint: 'choose a name',
    })
  const real = targetOf(path)
  checkFolder(path, dirname(real))
  const target = entryAt(real)
  if (target !== undefined && !target.isFile())
    throw new GpfqError('FILE_ACCESS', {
      place: path,
      expected: 'a file or nothing there yet',
      got: target.isDirectory() ? 'a folder' : 'a device or the like',
      hint: 'choose another name',
    })
  if (!force && target !== undefined)
    throw new GpfqError('FILE_EXISTS', {
      place: path,
      problem: 'the file exists already',
      hint: HINTS.overwrite,
    })
}

/** The folder must be writable even where the file exists: an output is a new file that is renamed. */
function checkFolder(path: string, folder: string): void {
  const entry = entryAt(folder)
  if (entry === undefined)
    throw new GpfqError('FILE_ACCESS', {
      place: path,
      expected: `an existing folder ${folder}`,
      got: 'none',
      hint: 'create it first',
    })
  if (!entry.isDirectory())
    throw new GpfqError('FILE_ACCESS', {
      place: path,
      expected: `a folder ${folder}`,
      got: 'a file',
      hint: 'choose another place',
    })
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw accessError(path, `a writable folder ${folder}`, cause)
  }
}

function entryAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (cause) {
    throw accessError(path, 'a writable place', cause)
  }
}

/** Links that are followed before they count as a circle, as in Linux. */
const MOST_LINKS = 40

/** The file behind symbolic links, which need not exist yet. Other paths stay as they are. */
function targetOf(path: string): string {
  let target = path
  try {
    for (let i = 0; i < MOST_LINKS; i++) {
      if (lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return target
      target = resolve(realpathSync(dirname(target)), readlinkSync(target))
    }
  } catch {
    return target // what is wrong with it, the checks of folder and file say
  }
  throw new GpfqError('FILE_ACCESS', {
    place: path,
    expected: 'a writable place',
    got: 'symbolic links in a circle',
  })
}

/** Temporary files that are being written now. */
const unfinished = new Set<string>()

/** Removes temporary files synchronously, when the process ends before they are complete. */
export function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { force: true })
}

/**
 * Writes a file whole or not at all.
 * @param force an existing file may be replaced
 * @returns what could not be kept of a file that is replaced, in sentences
 * @throws {GpfqError} FILE_EXISTS, FILE_ACCESS
 */
export async function writeBytes(
  path: string,
  bytes: Uint8Array | string,
  force: boolean,
): Promise<readonly string[]> {
  checkOutput(path, force)
  const real = targetOf(path)
  const before = entryAt(real)
  const temporary = join(dirname(real), `.gpfq-${randomUUID()}.tmp`)
  try {
    const notes = await fill(temporary, bytes, before === undefined ? null : { path, before })
    await rename(temporary, real)
    return notes
  } catch (cause) {
    throw accessError(path, 'a writable place', cause)
  } finally {
    unfinished.delete(temporary)
  }
}

/** Creates a file that must not exist, and fills it. Returns what cannot be kept of the file that it will replace. */
async function fill(
  temporary: string,
  bytes: Uint8Array | string,
  replaced: { readonly path: string; readonly before: Stats } | null,
): Promise<readonly string[]> {
  unfinished.add(temporary)
  const file = await open(temporary, 'wx')
  try {
    await file.writeFile(bytes)
    return replaced === null ? [] : await keep(replaced.path, replaced.before, file)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to report
    throw cause
  } finally {
    await file.close()
  }
}

/** Gives a new file the mode and owner of the one that it replaces. Returns what cannot be kept. */
async function keep(path: string, before: Stats, file: FileHandle): Promise<readonly string[]> {
  const notes: string[] = []
  const own = await file.stat()
  if (own.uid !== before.uid || own.gid !== before.gid)
    await file.chown(before.uid, before.gid).catch((cause: unknown) => {
      notes.push(`${path}: its owner could not be kept (${systemReason(cause)})`)
    })
  await file.chmod(before.mode & 0o7777).catch((cause: unknown) => {
    notes.push(`${path}: its mode could not be kept (${systemReason(cause)})`)
  })
  if (before.nlink > 1)
    notes.push(
      `${path}: it had ${before.nlink} names (hard links), and the others keep the content from before`,
    )
  return notes
}
