/** No command may write over what it reads, or twice to one file: --force allows neither. */
import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { UsageError } from './usage.js'

/** Paths by what names them, '-o' or 'the model'; undefined for an option that was not given. */
export type NamedPaths = Readonly<Record<string, string | readonly string[] | undefined>>

/** @throws {UsageError} if an output is an input or another output, by whatever way */
export function checkDistinct(outputs: NamedPaths, inputs: NamedPaths): void {
  const taken = named(inputs)
  for (const output of named(outputs)) {
    const other = taken.find(({ real }) => real === output.real)
    if (other !== undefined)
      throw new UsageError(
        `${output.name} ${output.path}: expected another file than ${other.name}, got the same; choose another name`,
      )
    taken.push(output)
  }
}

function named(paths: NamedPaths): { name: string; path: string; real: string }[] {
  return Object.entries(paths).flatMap(([name, one = []]) =>
    [one].flat().map((path) => ({ name, path, real: realPath(path) })),
  )
}

/** Where a path leads; of a file that is not there yet, where its folder does. */
function realPath(path: string): string {
  const whole = resolve(path)
  try {
    return realpathSync.native(whole)
  } catch {
    const folder = dirname(whole)
    return folder === whole ? whole : join(realPath(folder), basename(whole))
  }
}
