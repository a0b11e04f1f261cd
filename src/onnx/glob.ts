/**
 * Globs without backtracking: `*` any text, `?` any character, `[a-z]` and `[!a-z]` one of a class, `{a,b}` alternatives,
 * which may hold all of these, a backslash before a character that stands for itself, and `!` in front for names that do
 * not match. A sign that does not fit, as a bracket without its other half, stands for itself.
 *
 * A glob becomes a nondeterministic automaton that follows all of its states at once (Thompson, Regular expression search
 * algorithm, 1968): a name takes at most its length times the states, whatever the pattern.
 */

/** What moves on from a state. */
type State =
  /** One character that fits. */
  | { readonly kind: 'one'; readonly fits: (character: string) => boolean; readonly next: number }
  /** Any character, and it stays; or it goes on without one. */
  | { readonly kind: 'any'; readonly next: number }
  /** Goes on to each. */
  | { readonly kind: 'fork'; readonly next: readonly number[] }
  | { readonly kind: 'end' }

/** A compiled pattern. */
export interface Glob {
  readonly states: readonly State[]
  readonly start: number
  /** Matches what the states do not. */
  readonly negated: boolean
}

/** Compiles a pattern. Its states are at most some more than its characters. */
export function compileGlob(pattern: string): Glob {
  const negated = pattern.startsWith('!') && pattern.length > 1
  const characters = [...(negated ? pattern.slice(1) : pattern)]
  const states: State[] = [{ kind: 'end' }]
  const start = compile(characters, 0, characters.length, 0, closings(characters), states)
  return { states, start, negated }
}

/** The places of the brackets and braces that close those at other places. */
type Closings = ReadonlyMap<number, number>

/** Braces within braces that have a meaning. */
const DEEPEST = 100

function closings(characters: readonly string[]): Closings {
  const found = new Map<number, number>()
  const open: { readonly at: number; hasComma: boolean }[] = []
  const lastBracket = characters.lastIndexOf(']')
  for (let at = 0; at < characters.length; at++) {
    const sign = characters[at]
    if (sign === '\\') at++
    else if (sign === '[') {
      // The first character of a class is one of it, even if it is the closing bracket.
      const first = characters[at + 1] === '!' || characters[at + 1] === '^' ? at + 2 : at + 1
      const end = first < lastBracket ? characters.indexOf(']', first + 1) : -1
      if (end < 0) continue
      found.set(at, end)
      at = end
    } else if (sign === '{') open.push({ at, hasComma: false })
    else if (sign === ',') {
      const inner = open.at(-1)
      if (inner !== undefined) inner.hasComma = true
    } else if (sign === '}') {
      const begin = open.pop()
      if (begin?.hasComma === true && open.length < DEEPEST) found.set(begin.at, at)
    }
  }
  return found
}

/**
 * Adds the states of characters begin … end − 1, from the last to the first.
 * @param next the state behind them
 * @returns the state in front of them
 */
function compile(
  characters: readonly string[],
  begin: number,
  end: number,
  next: number,
  closing: Closings,
  states: State[],
): number {
  const add = (state: State): number => states.push(state) - 1
  let after = next
  for (const [from, to] of pieces(characters, begin, end, closing).reverse()) {
    const sign = characters[from]
    const text = characters[to - 1] ?? ''
    const isPair = to - from > 1
    if (sign === '{' && isPair) {
      const parts = alternatives(characters, from, to - 1, closing)
      after = add({
        kind: 'fork',
        next: parts.map(([a, b]) => compile(characters, a, b, after, closing, states)),
      })
    } else if (sign === '[' && isPair)
      after = add({ kind: 'one', fits: classOf(characters.slice(from + 1, to - 1)), next: after })
    else if (sign === '*') after = add({ kind: 'any', next: after })
    else if (sign === '?') after = add({ kind: 'one', fits: () => true, next: after })
    else after = add({ kind: 'one', fits: (character) => character === text, next: after })
  }
  return after
}

/** The characters as pieces: a class, alternatives, an escaped character or a single one. */
function pieces(
  characters: readonly string[],
  begin: number,
  end: number,
  closing: Closings,
): [from: number, to: number][] {
  const found: [number, number][] = []
  for (let at = begin; at < end; ) {
    const close = closing.get(at)
    const escaped = characters[at] === '\\' && at + 1 < end
    const to = close !== undefined ? close + 1 : at + (escaped ? 2 : 1)
    found.push([at, to])
    at = to
  }
  return found
}

/** The parts between the commas of braces at `open` and `close`. */
function alternatives(
  characters: readonly string[],
  open: number,
  close: number,
  closing: Closings,
): (readonly [begin: number, end: number])[] {
  const parts: (readonly [number, number])[] = []
  let begin = open + 1
  for (const [from, to] of pieces(characters, open + 1, close, closing)) {
    if (characters[from] !== ',') continue
    parts.push([begin, from])
    begin = to
  }
  return [...parts, [begin, close]]
}

/** Whether a character is in a class, `a-z_` or `!a-z_`. */
function classOf(content: readonly string[]): (character: string) => boolean {
  const negated = content[0] === '!' || content[0] === '^'
  const single = new Set<string>()
  const ranges: [number, number][] = []
  for (let at = negated ? 1 : 0; at < content.length; at++) {
    const from = content[at] ?? ''
    const to = content[at + 2]
    if (content[at + 1] === '-' && to !== undefined) {
      ranges.push([codeOf(from), codeOf(to)])
      at += 2
    } else single.add(from)
  }
  return (character) => {
    const code = codeOf(character)
    return negated !== (single.has(character) || ranges.some(([a, b]) => code >= a && code <= b))
  }
}

const codeOf = (character: string): number => character.codePointAt(0) ?? 0

/** Whether a name matches, and how many states it took to find out. */
export function runGlob(
  { states, start, negated }: Glob,
  name: string,
): { readonly matches: boolean; readonly steps: number } {
  let steps = 0
  let current = new Set<number>()
  const enter = (first: number, into: Set<number>): void => {
    const open = [first]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (into.has(at)) continue
      steps++
      into.add(at)
      const state = states[at]
      if (state?.kind === 'any') open.push(state.next)
      else if (state?.kind === 'fork') open.push(...state.next)
    }
  }
  enter(start, current)
  for (const character of name) {
    const following = new Set<number>()
    for (const at of current) {
      const state = states[at]
      if (state?.kind === 'any') enter(at, following)
      else if (state?.kind === 'one' && state.fits(character)) enter(state.next, following)
    }
    current = following
  }
  return { matches: current.has(0) !== negated, steps }
}
