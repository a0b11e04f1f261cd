/**
 * The two streams of a command. Only results go to stdout; settings, progress, notes and errors go to stderr. Colours are
 * used on a terminal, and never against NO_COLOR (no-color.org) or on a dumb terminal. Names that come from a model or a
 * file are escaped before they are printed.
 */

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  yellow: [33, 39],
  green: [32, 39],
}

/** Control characters, line breaks, and marks that change the direction of text. */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/**
 * A text that comes from a model or a file, for one line of a terminal: characters that would move the cursor, break the
 * line or reorder the text are printed as their code points, for instance \u{1b}.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

export interface Terminal {
  /** Whether stderr is a terminal that can show a moving line. */
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

/** Whether the last line of stderr is a moving one, which is erased before anything else is written. One per process. */
let drawn = false

/**
 * Opens the process's own streams.
 * @param quiet nothing but results is written
 */
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
