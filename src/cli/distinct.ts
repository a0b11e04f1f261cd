/** Checks that no command writes over its input, or twice to one file. --force allows neither. */
import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { UsageError } from './usage.js'

/** Paths by their name in errors, '-o' or 'the model'; undefined for an option that was not given. */
export type NamedPaths = Readonly<Record<string, string | readonly string[] | undefined>>

/** @throws {UsageError} if an output is an input or another output, also through a link */
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

/** The path without links. Of a file that does not exist yet, the links of its folder are resolved. */
function realPath(path: string): string {
  const whole = resolve(path)
  try {
    return realpathSync.native(whole)
  } catch {
    const folder = dirname(whole)
    return folder === whole ? whole : join(realPath(folder), basename(whole))
  }
}
