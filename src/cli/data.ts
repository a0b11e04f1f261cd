/** DATA arguments as batches of a model's inputs, with notes on the terminal. */
import { type ConstantValue, constantInput } from '../data/constants.js'
import { describeFeedNote } from '../data/feedNote.js'
import { type DataSource, type FeedOptions, type FeedSet, loadFeeds } from '../data/feeds.js'
import { openData } from '../data/files.js'
import { isFloatType, isTensorType } from '../tensor/elements.js'
import { namedTensors } from '../tensor/named.js'
import type { Feeds, RunnerInput } from '../tensor/tensor.js'
import type { CommandContext } from './command.js'
import { CLI_HINTS } from './hints.js'
import { printable, type Terminal } from './terminal.js'

/** Opens DATA arguments. A text before an equals sign that is the name of an input is one. */
export function openSources(
  data: readonly string[],
  inputs: readonly RunnerInput[],
): Promise<readonly DataSource[]> {
  const names = inputs.map(({ name }) => name)
  return Promise.all(data.map((argument) => openData(argument, names)))
}

/**
 * Constant inputs that switch rather than carry data, for planModel: integers and booleans of a shape that is fixed. Ifs that
 * follow from them are resolved.
 */
export function switchInputs(
  inputs: readonly RunnerInput[],
  constants: Readonly<Record<string, ConstantValue>> = {},
): Feeds {
  const isSwitch = ({ name, type, dims }: RunnerInput): boolean =>
    Object.hasOwn(constants, name) &&
    isTensorType(type) &&
    !isFloatType(type) &&
    dims?.every((dim) => typeof dim === 'number') === true
  return namedTensors(
    inputs.filter(isSwitch).map((input) => {
      const tensor = constantInput(input, constants[input.name]!, undefined)
      return [input.name, tensor({ samples: 1, named: new Map() })]
    }),
  )
}

/** Opens samples of every input, and prints what is to be known of them. */
export async function openFeeds(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  options: FeedOptions,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: CommandContext['signal'] },
): Promise<FeedSet> {
  const feeds = await loadFeeds(sources, inputs, { ...options, signal })
  for (const note of feeds.notes) terminal.say(`note: ${printable(describeFeedNote(note, CLI_HINTS))}`)
  return feeds
}
