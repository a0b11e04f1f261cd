/**
 * The options of the methods on the command line: names, ranges and defaults come from the tables of
 * src/methods/methods.ts, the help from src/methods/methodWords.ts. Only the words that a shell needs are here, for instance what stands for a number.
 */
import { type Command, Option } from 'commander'
import {
  BEST,
  defaultPasses,
  METHODS,
  methodEntry,
  methodsWith,
  OPTION_TABLE,
  OPTIONS,
  type OptionEntry,
} from '../methods/methods.js'
import { BEST_WORDS, METHOD_WORDS, OPTION_WORDS } from '../methods/methodWords.js'
import type { AnyMethodOptions, Method, OptionName } from '../options.js'
import { given, kebab, notNegative, parseSparsity, whole } from './values.js'

/** What stands for the value in the help; null for a flag. */
const VALUES = {
  passes: '<n>',
  damping: '<share>',
  actOrder: null,
  seed: '<n>',
  alignment: '<r>',
  redundancy: '<r>',
  preprocess: null,
  sparsity: '<rule>',
} as const satisfies Readonly<Record<OptionName, string | null>>

/** --method, --preset and an option for each option of a method, and the list of methods below the help. */
export function addMethodOptions(command: Command): Command {
  command
    .addOption(
      new Option('--method <name>', 'how codes are chosen; listed below (default: gpfq)').choices(METHODS),
    )
    .addOption(new Option('--preset <name>', `best: ${BEST_WORDS.what}`).choices(['best']))
  for (const name of OPTIONS) addOwnOption(command, name)
  return command.addHelpText('after', `\nMethods, with their papers on arXiv:\n${methodLines().join('\n')}`)
}

/** The options of the method that were given, as the library has them. Their combination is not yet checked. */
export function chosenMethod(values: AnyMethodOptions): AnyMethodOptions {
  const { preset, method, passes, damping, actOrder, seed, alignment, redundancy, sparsity, preprocess } =
    values
  const ofMethods = { damping, actOrder, seed, alignment, redundancy, sparsity, preprocess }
  return given({ preset, method, passes, ...ofMethods })
}

function addOwnOption(command: Command, name: OptionName): void {
  const value = VALUES[name]
  const flags = `--${kebab(name)}${value === null ? '' : ` ${value}`}`
  const text = helpOf(name)
  const entry: OptionEntry = OPTION_TABLE[name]
  if (entry.kind === 'whole') command.option(flags, text, (word) => whole(word, entry.least, entry.most))
  else if (entry.kind === 'number') command.option(flags, text, notNegative)
  else if (entry.kind === 'rule') command.option(flags, text, parseSparsity)
  else command.option(flags, text)
  if (name === 'actOrder')
    command.option('--no-act-order', 'inputs in their own order (default for the others)')
}

/** The methods of an option where they are few, what it does, and its default. */
function helpOf(name: OptionName): string {
  const methods = methodsWith(name)
  const which = methods.length <= 2 ? `${methods.join(', ')}: ` : ''
  const standard = defaultOf(name, methods)
  return `${which}${OPTION_WORDS[name]}${standard === null ? '' : ` (${standard})`}`
}

function defaultOf(name: OptionName, methods: readonly Method[]): string | null {
  if (name === 'passes') {
    const own = methods.filter((method) => defaultPasses(method) !== 0)
    const others = own.map((method) => `${method} ${defaultPasses(method)}, `)
    return `default: 0; ${others.join('')}--preset best ${BEST.passes}`
  }
  if (name === 'actOrder') {
    const on = methods.filter((method) => methodEntry(method).options.actOrder === true)
    const searched = methods.filter((method) => methodEntry(method).options.actOrder === 'searched')
    return `default for ${[...on, ...searched].join(', ')} with --radius search`
  }
  const values = methods.map((method) => methodEntry(method).options[name])
  const [first] = values
  if (typeof first !== 'number') return null
  const others = methods.filter((_, i) => values[i] !== first)
  const own = others.map((method) => `; ${method} ${methodEntry(method).options[name]}`)
  return `default: ${first}${own.join('')}`
}

function methodLines(): readonly string[] {
  return METHODS.map((method) => {
    const { what, paper } = METHOD_WORDS[method]
    return `  ${method.padEnd(7)} ${(paper?.arXiv ?? '').padEnd(11)} ${what}`
  })
}
