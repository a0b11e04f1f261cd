#!/usr/bin/env node
/**
 * The `gpfq` command. Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted. Ctrl-C aborts the run by one
 * AbortSignal; a second Ctrl-C ends the process at once. No output is left half-written.
 * An error is one line. GPFQ_DEBUG=1 prints its stack as well.
 */
import { type Command, CommanderError } from 'commander'
import { removeUnfinished } from '../data/files.js'
import { isDescribed } from '../errors.js'
import { errorLine } from './hints.js'
import { createProgram } from './program.js'
import { openTerminal, printable } from './terminal.js'
import { UsageError } from './usage.js'

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const

class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController()
  process.on('SIGINT', () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort(new Interrupted('interrupted'))
  })
  process.on('exit', removeUnfinished)
  process.stderr.on('error', () => {}) // a closed stderr does not stop the run
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed) // EPIPE: the reader of a pipe has closed it
  })
  const program = createProgram({
    terminal: (quiet = false) => openTerminal(quiet),
    signal: controller.signal,
  })
  try {
    await program.parseAsync(argv)
    return EXIT.done
  } catch (error) {
    return report(error, controller.signal, optionNames(program))
  }
}

/** Names of the options of all commands, in camelCase. */
function optionNames({ commands }: Command): ReadonlySet<string> {
  return new Set(commands.flatMap(({ options }) => options.map((option) => option.attributeName())))
}

/** Prints an error and returns the exit code. */
function report(error: unknown, signal: AbortSignal, options: ReadonlySet<string>): number {
  const terminal = openTerminal(false)
  const fail = (line: string) => terminal.say(`${terminal.paint('red', 'error:')} ${line}`)
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage // already printed
  if (error instanceof Interrupted || signal.aborted) {
    terminal.say('interrupted: nothing was written')
    return EXIT.interrupted
  }
  if (process.env.GPFQ_DEBUG !== undefined && error instanceof Error)
    for (const line of (error.stack ?? error.message).split('\n')) terminal.say(printable(line))
  if (error instanceof UsageError) {
    fail(printable(error.message))
    return EXIT.usage
  }
  // An error without fields is not thrown on purpose.
  const message = error instanceof Error ? error.message : String(error)
  if (isDescribed(error)) fail(errorLine(error, options))
  else fail(`${printable(message)} (this should not happen: please report it, with what GPFQ_DEBUG=1 prints)`)
  return EXIT.failed
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve())
  })
}

const code = await main(process.argv)
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
process.exit(code)
