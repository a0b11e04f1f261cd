#!/usr/bin/env node
/**
 * The `gpfq` command. Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted; 129 and 143 for SIGHUP and SIGTERM.
 * A signal aborts the run by one AbortSignal. A second one, or some seconds, end the process. No output is left half-written.
 * A process that exits waits for its threads, and ONNX Runtime cannot be stopped within a run: then the process ends itself by
 * the signal that it got, which a shell shows as the same exit code.
 * An error is one line. GPFQ_DEBUG=1 prints its stack as well.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, CommanderError } from 'commander'
import { endThread } from '../calibration/runtimeThread.js'
import { systemReason } from '../data/access.js'
import { removeUnfinished } from '../data/output.js'
import { isDescribed } from '../errors.js'
import { errorLine } from './hints.js'
import { createProgram } from './program.js'
import { openTerminal, printable, short } from './terminal.js'
import { UsageError } from './usage.js'

const EXIT = { done: 0, failed: 1, usage: 2 } as const

/** Signals that end a run, and their exit codes: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

type SignalName = keyof typeof SIGNALS

/** Milliseconds after a signal until the process ends, whatever it is doing. */
const PATIENCE = 5000

/** Milliseconds that the thread of ONNX Runtime gets to end. */
const LAST_WAIT = 30

class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly signal: SignalName

  constructor(signal: SignalName) {
    super('interrupted')
    this.signal = signal
  }
}

/** Ends the process by a signal, at once. */
function endBy(signal: SignalName): void {
  removeUnfinished()
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) return endBy(name)
      controller.abort(new Interrupted(name))
      setTimeout(endBy, PATIENCE, name).unref()
    })
  process.on('exit', removeUnfinished)
  process.stderr.on('error', () => {}) // a closed stderr does not stop the run
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.done) // the reader of a pipe has closed it
    sayError(`the standard output: expected a place to write to, got ${systemReason(error)}`)
    process.exit(EXIT.failed)
  })
  const program = createProgram({
    terminal: (quiet = false) => openTerminal(quiet),
    signal: controller.signal,
  })
  try {
    await program.parseAsync(argv)
    return EXIT.done
  } catch (error) {
    const code = report(error, controller.signal, optionNames(program))
    const reason: unknown = controller.signal.reason
    if (reason instanceof Interrupted && !(await Promise.race([endThread(), delay(LAST_WAIT)])))
      endBy(reason.signal)
    return code
  }
}

/** Names of the options of all commands, in camelCase. */
function optionNames({ commands }: Command): ReadonlySet<string> {
  return new Set(commands.flatMap(({ options }) => options.map((option) => option.attributeName())))
}

function sayError(line: string): void {
  const terminal = openTerminal(false)
  terminal.say(`${terminal.paint('red', 'error:')} ${line}`)
}

/** Prints an error and returns the exit code. */
function report(error: unknown, signal: AbortSignal, options: ReadonlySet<string>): number {
  const terminal = openTerminal(false)
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage // already printed
  const reason: unknown = signal.aborted ? signal.reason : error
  if (reason instanceof Interrupted) {
    terminal.say('interrupted: no output was written')
    return SIGNALS[reason.signal]
  }
  if (process.env.GPFQ_DEBUG !== undefined && error instanceof Error)
    for (const line of (error.stack ?? error.message).split('\n')) terminal.say(printable(line))
  if (error instanceof UsageError) {
    sayError(printable(error.message))
    return EXIT.usage
  }
  // An error without fields is not thrown on purpose.
  const message = error instanceof Error ? error.message : String(error)
  if (isDescribed(error)) sayError(errorLine(error, options))
  else
    sayError(
      `${short(printable(message))} (this should not happen: please report it, with what GPFQ_DEBUG=1 prints)`,
    )
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
