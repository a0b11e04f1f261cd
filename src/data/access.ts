/** What the file system refuses, in words. */
import { GpfqError } from '../errors.js'

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'nothing there'],
  ['EACCES', 'no permission'],
  ['EPERM', 'no permission'],
  ['EISDIR', 'a folder'],
  ['ENOTDIR', 'a path through a file'],
  ['ENOSPC', 'a full disk'],
  ['EDQUOT', 'a full disk'],
  ['EROFS', 'a read-only disk'],
  ['ENAMETOOLONG', 'a name that is too long'],
  ['ELOOP', 'symbolic links in a circle'],
  ['EMFILE', 'too many open files'],
  ['EIO', 'a disk that fails'],
  ['ERR_FS_FILE_TOO_LARGE', 'a file of more than 2 GiB'],
  ['ERR_INVALID_ARG_VALUE', 'a name that no file can have'],
])

/** The code of a system error, or an empty text. */
export const systemCode = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause ? String(cause.code) : ''

/** What a system error says. */
export function systemReason(cause: unknown): string {
  const code = systemCode(cause)
  return REASONS.get(code) ?? (code || String(cause))
}

export function accessError(path: string, expected: string, cause: unknown): GpfqError {
  return new GpfqError('FILE_ACCESS', { place: path, expected, got: systemReason(cause) }, { cause })
}
