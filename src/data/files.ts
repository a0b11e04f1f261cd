/**
 * What the command line reads and writes in Node: files and folders as byte sources, and outputs written whole or
 * not at all (a temporary file beside the target, then a rename).
 */
import { existsSync } from 'node:fs'
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
  const named = existsSync(argument) ? null : /^([^=/\\]+)=(.+)$/s.exec(argument)
  const input = named?.[1]
  const path = named?.[2] ?? argument
  let isFolder: boolean
  try {
    isFolder = (await stat(path)).isDirectory()
  } catch (cause) {
    throw accessError(path, 'a file or a folder', cause)
  }
  const files = isFolder ? await imagesIn(path) : [fileSource(path)]
  return { name: path, input, files }
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
    if (outside || (await passesLink(folder, inside)))
      throw new GpfqError(
        'FILE_ACCESS',
        `${basename(modelPath)}: expected external data inside the model's folder, got ${JSON.stringify(path)}; move the file there`,
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

/** @throws {GpfqError} FILE_EXISTS if there is a file and `force` is not given; before any work is done */
export function checkOutput(path: string, force: boolean): void {
  if (!force && existsSync(path))
    throw new GpfqError(
      'FILE_EXISTS',
      `${path}: expected no such file yet, got one; choose another name or add --force`,
    )
  const folder = dirname(path)
  if (!existsSync(folder))
    throw new GpfqError(
      'FILE_ACCESS',
      `${path}: expected an existing folder ${folder}, got none; create it first`,
    )
}

/**
 * Writes a file whole or not at all, readable by nobody half-written.
 * @throws {GpfqError} FILE_EXISTS, FILE_ACCESS
 */
export async function writeBytes(path: string, bytes: Uint8Array | string, force: boolean): Promise<void> {
  checkOutput(path, force)
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    await writeFile(temporary, bytes)
    await rename(temporary, path)
  } catch (cause) {
    throw accessError(path, 'a writable place', cause)
  } finally {
    await rm(temporary, { force: true })
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
