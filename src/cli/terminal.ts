/**
 * The two streams of a command: results go to stdout and nothing else does; settings, progress, notes and errors
 * go to stderr. Colour only where a person looks, and never against NO_COLOR (no-color.org) or a dumb terminal.
 */

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  yellow: [33, 39],
  green: [32, 39],
}

export interface Terminal {
  /** Whether a person watches stderr: a moving bar makes sense, and colours. */
  readonly interactive: boolean
  /** Width for tables on stdout. */
  readonly columns: number
  /** Writes a result to stdout. */
  result(text: string): void
  /** Writes a line to stderr, unless quiet. */
  say(text: string): void
  /** Rewrites the last line of stderr; only where `interactive`. */
  redraw(text: string): void
  /** Styles text for one of the streams. */
  paint(style: Style, text: string, stream?: 'stdout' | 'stderr'): string
}

/** Whether the last line of stderr is a moving one, to be erased before anything else is written: one per process. */
let drawn = false

/** The process's own streams. */
export function openTerminal(quiet: boolean): Terminal {
  const { stdout, stderr, env } = process
  const plain = (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb'
  const forced = (env.FORCE_COLOR ?? '0') !== '0'
  const colours = {
    stdout: !plain && (stdout.isTTY === true || forced),
    stderr: !plain && (stderr.isTTY === true || forced),
  }
  const interactive = stderr.isTTY === true && env.TERM !== 'dumb' && env.CI === undefined && !quiet
  const erase = () => {
    if (drawn) stderr.write('\r\x1b[2K')
    drawn = false
  }
  return {
    interactive,
    columns: stdout.isTTY ? Math.max(60, stdout.columns) : 200,
    result(text) {
      erase()
      stdout.write(`${text}\n`)
    },
    say(text) {
      if (quiet) return
      erase()
      stderr.write(`${text}\n`)
    },
    redraw(text) {
      if (!interactive) return
      erase()
      stderr.write(text.slice(0, Math.max(0, (stderr.columns ?? 80) - 1)))
      drawn = text !== ''
    },
    paint(style, text, stream = 'stderr') {
      const [on, off] = CODES[style]
      return colours[stream] ? `\x1b[${on}m${text}\x1b[${off}m` : text
    },
  }
}
