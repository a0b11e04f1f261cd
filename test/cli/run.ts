/** Runs the built command in an empty folder of its own, as a shell would. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

/** The network and the digits that the package ships. */
export const DIGITS = fileURLToPath(new URL('../../demo-data/', import.meta.url))

export interface Run {
  /** The exit code; of a process that a signal ended 128 and its number, as in a shell. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'gpfq-cli-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  return (name) => join(folder, name)
}

export function gpfq(
  args: readonly string[],
  options: {
    env?: Record<string, string>
    interruptOn?: RegExp
    /** Milliseconds between what is waited for and the signal. */
    interruptAfter?: number
    signal?: NodeJS.Signals
    closeStderr?: boolean
  } = {},
): Promise<Run> {
  const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...inherited, ...options.env } })
  if (options.closeStderr) child.stderr.destroy()
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    if (options.interruptOn?.test(stderr))
      setTimeout(() => child.kill(options.signal ?? 'SIGINT'), options.interruptAfter ?? 0)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ code: signal === null ? code : 128 + constants.signals[signal], stdout, stderr })
    })
  })
}
