#!/usr/bin/env node
/**
 * The `gpfq` command. Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted. Ctrl-C aborts what runs
 * through one AbortSignal; a second Ctrl-C ends the process at once. Neither leaves anything half-written.
 * Errors are one line each; GPFQ_DEBUG=1 adds where they came from.
 */
import { CommanderError } from 'commander'
import { removeUnfinished } from '../data/files.js'
import { GpfqError } from '../errors.js'
import { createProgram } from './program.js'
import { openTerminal } from './terminal.js'
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
  process.stderr.on('error', () => {}) // nobody listens any more: what the run is for goes on
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed) // the reader of a pipe has seen enough
  })
  const program = createProgram({
    terminal: (quiet = false) => openTerminal(quiet),
    signal: controller.signal,
  })
  try {
    await program.parseAsync(argv)
    return EXIT.done
  } catch (error) {
    return report(error, controller.signal)
  }
}

function report(error: unknown, signal: AbortSignal): number {
  const terminal = openTerminal(false)
  const fail = (message: string) => terminal.say(`${terminal.paint('red', 'error:')} ${message}`)
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage // it has said why
  if (error instanceof Interrupted || signal.aborted) {
    terminal.say('interrupted: nothing was written')
    return EXIT.interrupted
  }
  if (process.env.GPFQ_DEBUG !== undefined && error instanceof Error)
    terminal.say(error.stack ?? error.message)
  if (error instanceof UsageError) {
    fail(error.message)
    return EXIT.usage
  }
  // Kinds and values that a check has refused name their place; anything else is a mistake of ours.
  const checked = error instanceof GpfqError || error instanceof RangeError || error instanceof TypeError
  const message = error instanceof Error ? error.message : String(error)
  if (checked && message.includes('expected')) fail(message)
  else if (error instanceof GpfqError) fail(message)
  else fail(`${message} (this should not happen: please report it, with what GPFQ_DEBUG=1 prints)`)
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
