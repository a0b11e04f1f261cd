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

/** Control characters, line breaks, and characters without a shape of their own, as marks that change the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/**
 * A text that comes from a model or a file, for one line of a terminal: characters that would move the cursor, break the
 * line or reorder the text are printed as their code points, for instance \u{1b}.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/** The longest line of an error. Names in it can be as long as the file that they come from. */
const LONGEST = 2000

/** The beginning of a long text. */
export function short(text: string, length = LONGEST): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`
}

const ESCAPE = '\x1b'

/** What `paint` writes, behind the escape character. */
const STYLE = /^\[(?:1|2|22|31|32|33|39)m/

/** Whole lines for a stream. Names in them are escaped already; this is for those that were forgotten. */
function safe(text: string): string {
  return text.split('\n').map(safeLine).join('\n')
}

function safeLine(line: string): string {
  const [first = '', ...others] = line.split(ESCAPE)
  const styled = others.map((part) => `${STYLE.test(part) ? ESCAPE : printable(ESCAPE)}${printable(part)}`)
  return [printable(first), ...styled].join('')
}

/** JSON for a terminal: escapes what JSON lets through, in a form that means the same. */
export function printableJson(json: string): string {
  return json.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, i) => unit(character.charCodeAt(i))).join(''),
  )
}

const unit = (code: number): string => `\\u${code.toString(16).padStart(4, '0')}`

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
      stdout.write(`${safe(text)}\n`)
    },
    say(text) {
      if (quiet) return
      erase()
      stderr.write(`${safe(text)}\n`)
    },
    redraw(text) {
      if (!interactive) return
      erase()
      stderr.write(safe(text).slice(0, Math.max(0, (stderr.columns ?? 80) - 1)))
      drawn = text !== ''
    },
    paint(style, text, stream = 'stderr') {
      const [on, off] = CODES[style]
      return colours[stream] ? `\x1b[${on}m${text}\x1b[${off}m` : text
    },
  }
}
