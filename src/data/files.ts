/**
 * What the command line reads and writes in Node: files and folders as byte sources, and outputs written whole or
 * not at all (a temporary file beside the target, then a rename).
 */
import { accessSync, constants, existsSync, rmSync, type Stats, statSync } from 'node:fs'
import { lstat, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { GpfqError } from '../errors.js'
import type { DataSource } from './feeds.js'
import { isImageName } from './images.js'
import type { ByteSource } from './source.js'

export function fileSource(path: string): ByteSource {
  return { name: path, bytes: () => readBytes(path) }
}

/** @throws {GpfqError} FILE_ACCESS */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const buffer = await readFile(path)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length) // a Buffer's slice() is no copy
  } catch (cause) {
    throw accessError(path, 'a readable file', cause)
  }
}

/**
 * Opens a DATA argument: PATH or NAME=PATH, a file or a folder of images. An existing path that has an equals
 * sign in it is taken as a path.
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

/** The path of a DATA argument, and the input that it names. */
export function splitData(argument: string): { readonly input: string | undefined; readonly path: string } {
  const named = existsSync(argument) ? null : /^([^=/\\]+)=(.+)$/s.exec(argument)
  return { input: named?.[1], path: named?.[2] ?? argument }
}

async function imagesIn(folder: string): Promise<readonly ByteSource[]> {
  const names = await readdir(folder)
  return names
    .filter((name) => !name.startsWith('.') && isImageName(name))
    .sort()
    .map((name) => fileSource(join(folder, name)))
}

/**
 * Reads a model's external data files, by the relative path that the model names, and none outside its folder:
 * neither by `..`, nor by an absolute path, nor through a symbolic link.
 */
export function externalDataReader(modelPath: string): (path: string) => Promise<Uint8Array> {
  const folder = resolve(dirname(modelPath))
  return async (path) => {
    const target = resolve(folder, path)
    const inside = relative(folder, target)
    const outside = inside === '' || inside.split(sep)[0] === '..' || resolve(inside) === inside
    const isLink = !outside && (await passesLink(folder, inside))
    if (outside || isLink)
      throw new GpfqError(
        'FILE_ACCESS',
        `${basename(modelPath)}: expected external data inside the model's folder, got ${JSON.stringify(path)}${isLink ? ', a symbolic link, which may lead out of it; copy the model and its data elsewhere with cp -L' : '; move the file there'}`,
      )
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
      return false // it does not exist: reading it will say so
    }
  }
  return false
}

/**
 * Whether a file can be written, before any work is done.
 * @throws {GpfqError} FILE_EXISTS if there is one and `force` is not given; FILE_ACCESS if there cannot be one
 */
export function checkOutput(path: string, force: boolean): void {
  if (path === '')
    throw new GpfqError('FILE_ACCESS', 'output: expected the name of a file, got an empty one; choose a name')
  checkFolder(path)
  const target = entryAt(path)
  if (target !== undefined && !target.isFile())
    throw new GpfqError(
      'FILE_ACCESS',
      `${path}: expected a file or nothing there yet, got ${target.isDirectory() ? 'a folder' : 'a device or the like'}; choose another name`,
    )
  if (!force && target !== undefined)
    throw new GpfqError(
      'FILE_EXISTS',
      `${path}: expected no such file yet, got one; choose another name or add --force`,
    )
}

/** Outputs are new files in their folder, even where they replace another. */
function checkFolder(path: string): void {
  const folder = dirname(path)
  const entry = entryAt(folder)
  if (entry === undefined)
    throw new GpfqError(
      'FILE_ACCESS',
      `${path}: expected an existing folder ${folder}, got none; create it first`,
    )
  if (!entry.isDirectory())
    throw new GpfqError(
      'FILE_ACCESS',
      `${path}: expected a folder ${folder}, got a file; choose another place`,
    )
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

/** Temporary files that are being written. */
const unfinished = new Set<string>()

/** For a process that ends at once: what is half-written goes, without waiting for anything. */
export function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { force: true })
}

/**
 * Writes a file whole or not at all, readable by nobody half-written.
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
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to be told
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
  return new GpfqError(
    'FILE_ACCESS',
    `${path}: expected ${expected}, got ${REASONS[code] ?? (code || String(cause))}`,
    {
      cause,
    },
  )
}
