/** What every command gets: its terminal, and the signal that Ctrl-C aborts. */
import { printableJson, type Terminal } from './terminal.js'

export interface CommandContext {
  /** Opens the terminal. With `quiet` only results and errors are written. */
  terminal(quiet?: boolean): Terminal
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** Prints the document of --json, which is all that goes to stdout then. */
export function printJson(terminal: Terminal, document: unknown): void {
  terminal.result(printableJson(JSON.stringify(document, null, 2)))
}
