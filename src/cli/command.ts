/** What every command is given: where to write, and the signal that Ctrl-C aborts. */
import type { Terminal } from './terminal.js'

export interface CommandContext {
  /** Opens the streams; `quiet` silences everything but results and errors. */
  terminal(quiet?: boolean): Terminal
  readonly signal: AbortSignal
}

/** A document on stdout, the only thing there with --json. */
export function printJson(terminal: Terminal, document: unknown): void {
  terminal.result(JSON.stringify(document, null, 2))
}
