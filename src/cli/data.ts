/** DATA arguments as batches of a model's inputs, with notes on the terminal. */
import { describeFeedNote } from '../data/feedNote.js'
import { type DataSource, type FeedOptions, type FeedSet, loadFeeds } from '../data/feeds.js'
import { openData } from '../data/files.js'
import type { RunnerInput } from '../tensor/tensor.js'
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
