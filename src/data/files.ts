/**
 * Files of the command line in Node. Files and folders are read as byte sources. An output is written whole or not at
 * all: to a temporary file in the same folder, which is then renamed.
 */

import { accessSync, constants, existsSync, rmSync, type Stats, statSync } from 'node:fs'
import { lstat, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import type { DataSource } from './feeds.js'
import { isImageName } from './images.js'
import type { DataFile } from './source.js'

/** A file as a byte source. It is read when its bytes are asked for. */
function fileSource(path: string): DataFile {
  return { name: path, bytes: () => readBytes(path) }
}

/**
 * Reads a whole file.
 * @throws {GpfqError} FILE_ACCESS
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const buffer = await readFile(path)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length) // slice() of a Buffer would not copy
  } catch (cause) {
    throw accessError(path, 'a readable file', cause)
  }
}

/**
 * Opens a DATA argument: PATH or NAME=PATH, where PATH is a file or a folder of images.
 * @throws {GpfqError} FILE_ACCESS
 */
export async function openData(argument: string): Promise<DataSource> {
  const { input, path } = splitData(argument)
  let isFolder: boolean
  try {
    isFolder = (await stat(path)).isDirectory()
  } catch (cause) {
    throw accessError(path, 'a file or a folder', cause)
  }
  const files = isFolder ? await imagesIn(path) : [fileSource(path)]
  return { name: path, input, files }
}

/** Splits a DATA argument, PATH or NAME=PATH. An existing path that has an equals sign in it is a path. */
export function splitData(argument: string): { readonly input: string | undefined; readonly path: string } {
  const named = existsSync(argument) ? null : /^([^=/\\]+)=(.+)$/s.exec(argument)
  return { input: named?.[1], path: named?.[2] ?? argument }
}

async function imagesIn(folder: string): Promise<readonly DataFile[]> {
  const names = await readdir(folder)
  return names
    .filter((name) => !name.startsWith('.') && isImageName(name))
    .sort()
    .map((name) => fileSource(join(folder, name)))
}

/**
 * Reads a model's external data files by the relative paths that the model names. A file outside the model's folder is
 * refused, whether by `..`, by an absolute path or through a symbolic link.
 * @throws {GpfqError} FILE_ACCESS, from the function that is returned
 */
export function externalDataReader(modelPath: string): (path: string) => Promise<Uint8Array> {
  const folder = resolve(dirname(modelPath))
  return async (path) => {
    const target = resolve(folder, path)
    const inside = relative(folder, target)
    const outside = inside === '' || inside.split(sep)[0] === '..' || resolve(inside) === inside
    const isLink = !outside && (await passesLink(folder, inside))
    if (outside || isLink)
      throw new GpfqError('FILE_ACCESS', {
        place: basename(modelPath),
        expected: "external data inside the model's folder",
        got: `${JSON.stringify(path)}${isLink ? ', a symbolic link, which may lead out of it' : ''}`,
        hint: isLink ? 'copy the model and its data elsewhere with cp -L' : 'move the file there',
      })
    return readBytes(target)
  }
}

async function passesLink(folder: string, path: string): Promise<boolean> {
  let current = folder
  for (const part of path.split(sep)) {
    current = join(current, part)
    try {
      if ((await lstat(current)).isSymbolicLink()) return true
    } catch {
      return false // it does not exist, which is the error of reading it
    }
  }
  return false
}

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
  checkFolder(path)
  const target = entryAt(path)
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
function checkFolder(path: string): void {
  const folder = dirname(path)
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

/** Temporary files that are being written now. */
const unfinished = new Set<string>()

/** Removes temporary files synchronously, when the process ends before they are complete. */
export function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { force: true })
}

/**
 * Writes a file whole or not at all.
 * @param force an existing file may be replaced
 * @throws {GpfqError} FILE_EXISTS, FILE_ACCESS
 */
export async function writeBytes(path: string, bytes: Uint8Array | string, force: boolean): Promise<void> {
  checkOutput(path, force)
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  unfinished.add(temporary)
  try {
    await writeFile(temporary, bytes)
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to report
    throw accessError(path, 'a writable place', cause)
  } finally {
    unfinished.delete(temporary)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'nothing there',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EISDIR: 'a folder',
  ENOTDIR: 'a path through a file',
  ENOSPC: 'a full disk',
  EROFS: 'a read-only disk',
}

function accessError(path: string, expected: string, cause: unknown): GpfqError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const got = REASONS[code] ?? (code || String(cause))
  return new GpfqError('FILE_ACCESS', { place: path, expected, got }, { cause })
}
