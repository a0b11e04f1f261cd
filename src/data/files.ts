/**
 * Files of the command line in Node: files and folders are read as byte sources. What is written goes through output.ts.
 */

import { createReadStream, existsSync, statSync } from 'node:fs'
import { lstat, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { GpfqError } from '../errors.js'
import { accessError } from './access.js'
import { sizeText } from './bound.js'
import type { DataSource } from './feeds.js'
import { isImageName } from './images.js'
import type { DataFile } from './source.js'
import { isSoundName } from './wav.js'

/** A file as a byte source. It is read when its bytes are asked for. */
function fileSource(path: string, folder?: string): DataFile {
  return { name: path, folder, bytes: () => readBytes(path) }
}

/** The longest file that Node reads at once. */
const LONGEST = 2 ** 31 - 1

/**
 * Reads a whole file.
 * @throws {GpfqError} FILE_ACCESS
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const entry = await stat(path)
    if (entry.isFIFO() || entry.isSocket()) return await readPipe(path)
    if (entry.isCharacterDevice() || entry.isBlockDevice()) throw refused(path, 'a file', 'a device')
    if (entry.isFile() && entry.size > LONGEST) throw tooLong(path, sizeText(entry.size))
    const buffer = await readFile(path)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length) // slice() of a Buffer would not copy
  } catch (cause) {
    throw cause instanceof GpfqError ? cause : accessError(path, 'a readable file', cause)
  }
}

/** Reads a pipe, which has no size, to its end. */
async function readPipe(path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of createReadStream(path)) {
    if (!(chunk instanceof Uint8Array)) continue
    length += chunk.length
    if (length > LONGEST) throw tooLong(path, 'more')
    chunks.push(chunk)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

const tooLong = (path: string, got: string): GpfqError => refused(path, 'a file of at most 2 GiB', got)

function refused(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('FILE_ACCESS', { place, expected, got })
}

/**
 * Opens a DATA argument: [NAME=]PATH[:ARRAY], where PATH is a file or a folder of images or sounds.
 * @param inputs names of the model's inputs
 * @throws {GpfqError} FILE_ACCESS
 */
export async function openData(argument: string, inputs: readonly string[] = []): Promise<DataSource> {
  const { input, path, array } = splitData(argument, inputs)
  let isFolder: boolean
  try {
    isFolder = (await stat(path)).isDirectory()
  } catch (cause) {
    throw accessError(path, 'a file or a folder', cause)
  }
  const files = isFolder ? await samplesIn(path) : [fileSource(path)]
  return { name: path, input, array, files }
}

/** The parts of a DATA argument. */
export interface DataArgument {
  readonly input: string | undefined
  readonly path: string
  /** The array of an archive. */
  readonly array: string | undefined
}

/**
 * Splits a DATA argument, [NAME=]PATH[:ARRAY]. NAME and ARRAY can be any text, with slashes, colons and equals signs:
 * an existing path is a path; then the name of an input is one; then what exists behind an equals sign is a path.
 * @param inputs names of the model's inputs, where they are known
 */
export function splitData(argument: string, inputs: readonly string[] = []): DataArgument {
  if (existsSync(argument)) return { input: undefined, path: argument, array: undefined }
  const named = positionsOf('=', argument)
    .map((at) => ({ name: argument.slice(0, at), rest: argument.slice(at + 1) }))
    .filter(({ name, rest }) => name !== '' && rest !== '')
  const chosen =
    named.findLast(({ name }) => inputs.includes(name)) ??
    named.find(({ rest }) => existsSync(splitArray(rest).path)) ??
    named.find(({ name }) => !/[/\\]/.test(name))
  return { input: chosen?.name, ...splitArray(chosen?.rest ?? argument) }
}

/** Splits PATH[:ARRAY]: the array begins after the first colon that an existing file stands before. */
function splitArray(text: string): Pick<DataArgument, 'path' | 'array'> {
  if (existsSync(text)) return { path: text, array: undefined }
  const at = positionsOf(':', text).find((colon) => colon + 1 < text.length && isFile(text.slice(0, colon)))
  return at === undefined
    ? { path: text, array: undefined }
    : { path: text.slice(0, at), array: text.slice(at + 1) }
}

function positionsOf(sign: string, text: string): readonly number[] {
  const found: number[] = []
  for (let at = text.indexOf(sign); at >= 0; at = text.indexOf(sign, at + 1)) found.push(at)
  return found
}

function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true
  } catch {
    return false // a name that no file can have
  }
}

/**
 * The images and sounds of a folder and of the folders in it; an image's class is the first folder on the way to it.
 * @param seen folders that were read: links can lead in a circle
 */
async function samplesIn(
  folder: string,
  own?: string,
  seen = new Set<string>(),
): Promise<readonly DataFile[]> {
  const found: DataFile[] = []
  for (const name of await namesIn(folder, seen)) {
    const path = join(folder, name)
    if (isImageName(name) || isSoundName(name)) found.push(fileSource(path, own))
    else if (await isFolderAt(path)) found.push(...(await samplesIn(path, own ?? name, seen)))
  }
  return found
}

async function namesIn(folder: string, seen: Set<string>): Promise<readonly string[]> {
  try {
    const real = await realpath(folder)
    if (seen.has(real)) return []
    seen.add(real)
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort()
  } catch (cause) {
    throw accessError(folder, 'a readable folder', cause)
  }
}

async function isFolderAt(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false // a link to nothing
  }
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
